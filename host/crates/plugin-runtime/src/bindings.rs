//! What `bindgen!` makes of the interface, a module for each line that is served: the imports with
//! `describe`, and each further step by itself, since one world would demand every step of every
//! plugin. Only `sandbox` and `guest::component` name these types; nothing here converts them.

macro_rules! step {
    ($module:ident, $path:literal, $wit:literal) => {
        pub(crate) mod $module {
            wasmtime::component::bindgen!({
                inline: $wit,
                path: $path,
                with: { "gantry:phase/types": crate::bindings::v0_9::base::gantry::phase::types },
            });
        }
    };
}

pub(crate) mod v0_10;
pub(crate) mod v0_9;
