//! Libraries: nothing crosses between two, and a purge leaves nothing.
