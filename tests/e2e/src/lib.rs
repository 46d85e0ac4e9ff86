//! stepfleet
