//! The cores that a process may use, after `fleet.share`.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this thread, and those that it starts, to `share` of the cores that it may use, at least one.
///
/// Every process of a machine takes the same cores, so the share is that of the whole fleet. What asks
/// for the number of cores from here on is told the smaller one, so threads and slots follow.
pub fn keep_to(share: f64) -> io::Result<()> {
    if share >= 1.0 {
        return Ok(());
    }
    let all = sched_getaffinity(None)?;
    let mut kept = CpuSet::new();
    // From the end: the first ones answer most interrupts of the machine.
    let cores = (0..CpuSet::MAX_CPU).rev().filter(|core| all.is_set(*core));
    cores.take(cores_of(share, all.count())).for_each(|core| kept.set(core));
    Ok(sched_setaffinity(None, &kept)?)
}

fn cores_of(share: f64, cores: u32) -> usize {
    ((f64::from(cores) * share).round() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_to_cores_and_never_to_none() {
        let of = [(0.5, 2), (0.5, 16), (0.1, 4), (0.7, 4), (0.01, 128)];
        assert_eq!(of.map(|(share, cores)| cores_of(share, cores)), [1, 8, 1, 3, 1]);
    }

    #[test]
    fn a_thread_that_keeps_to_a_share_is_told_so() {
        std::thread::spawn(|| {
            let before = sched_getaffinity(None).unwrap().count();
            keep_to(1.0).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count(), before);
            keep_to(0.5).unwrap();
            let kept = std::thread::available_parallelism().unwrap().get();
            assert_eq!(kept, cores_of(0.5, before));
        })
        .join()
        .unwrap();
    }
}
