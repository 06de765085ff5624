//! Stores and files that are absent, wrong, or lost in the middle.
