//! Signals as they come, true and forged.
