//! Nothing is decoded twice, no async thread is blocked, all cores work.
