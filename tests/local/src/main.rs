//! stepfleet
fn main() {}
