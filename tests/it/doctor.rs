//! `eyefleet doctor` on healthy and on broken machines.
