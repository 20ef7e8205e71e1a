//! The whole of Gantry from outside: what its tests share. It holds no test.

pub mod harness;
pub mod standin;
