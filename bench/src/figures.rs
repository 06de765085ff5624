//! What every round found, by system and name.

use std::collections::BTreeMap;

use crate::process::System;

#[derive(Default)]
pub struct Figures(BTreeMap<(System, String), Vec<f64>>);

impl Figures {
    pub fn add(&mut self, system: System, name: &str, value: f64) {
        self.0.entry((system, name.to_owned())).or_default().push(value);
    }

    pub fn median(&self, system: System, name: &str) -> Option<f64> {
        let mut values = self.0.get(&(system, name.to_owned()))?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        Some(if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        })
    }
}
