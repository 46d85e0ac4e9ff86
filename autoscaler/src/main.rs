//! The binary `autoscaler`.

fn main() {}
