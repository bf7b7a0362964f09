//! The binary. All it does is in the library.

fn main() {}
