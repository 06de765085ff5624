//! Unit vectors, and the repeatable source of numbers behind everything here.

/// `SplitMix64`.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// About normal, mean 0, deviation 1.
    fn normal(&mut self) -> f32 {
        let share = |bits: u64| (bits >> 40) as f32 / (1 << 24) as f32;
        (0..12).map(|_| share(self.next())).sum::<f32>() - 6.0
    }
}

/// `count` unit vectors of `dim` values in `groups` groups, row after row, as photos of a library
/// lie: each near the centre of its group, with noise of the length `spread`.
pub fn grouped(seed: u64, count: usize, dim: usize, groups: usize, spread: f32) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    let centres: Vec<Vec<f32>> = (0..groups).map(|_| direction(&mut dice, dim)).collect();
    let noise = spread / (dim as f32).sqrt();
    let mut vectors = Vec::with_capacity(count * dim);
    for row in 0..count {
        let centre = &centres[row % groups];
        let mut vector: Vec<f32> = centre.iter().map(|x| x + noise * dice.normal()).collect();
        to_unit(&mut vector);
        vectors.extend(vector);
    }
    vectors
}

fn direction(dice: &mut Dice, dim: usize) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..dim).map(|_| dice.normal()).collect();
    to_unit(&mut vector);
    vector
}

fn to_unit(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    for value in vector {
        *value /= norm;
    }
}
