//! The command `vivavoce`.

fn main() {}
