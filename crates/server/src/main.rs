//! pitlane
fn main() {}
