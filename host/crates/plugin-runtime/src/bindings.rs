//! What `bindgen!` makes of the interface, a module for each version that is served. It converts
//! nothing.

pub(crate) mod v0_9;
