//! Chores: test, tidy, bench, kill.

fn main() {}
