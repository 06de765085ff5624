//! Bad files: each gets a state with its reason, and nothing is lost.
