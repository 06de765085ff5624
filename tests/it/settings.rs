//! `eyefleet config show`.
