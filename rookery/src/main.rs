//! Rookery: one binary, every role.
fn main() {}
