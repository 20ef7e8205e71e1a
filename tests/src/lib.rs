//! The whole of Gantry from outside: what its tests and benchmarks share. It holds no test.

pub mod bank;
pub mod bench;
pub mod chaos;
pub mod harness;
pub mod once;
pub mod standin;
