//! Wires everything.
fn main() {}
