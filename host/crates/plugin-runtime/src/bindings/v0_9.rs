//! `gantry:phase@0.9`: the imports with `describe`, and each further step by itself, since one
//! world would demand every step of every plugin. Only `sandbox::v0_9` and `guest::component::v0_9`
//! name these types.

pub(crate) mod base {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "base",
        imports: { default: trappable },
    });
}

macro_rules! step {
    ($module:ident, $wit:literal) => {
        pub(crate) mod $module {
            wasmtime::component::bindgen!({
                inline: $wit,
                path: "../../../wit",
                with: { "gantry:phase/types": crate::bindings::v0_9::base::gantry::phase::types },
            });
        }
    };
}

step!(
    prompt,
    "package gantry:host-prompt; world prompt-alone { export gantry:phase/prompt@0.9.0; }"
);
step!(
    validate,
    "package gantry:host-validate; world validate-alone { export gantry:phase/validate@0.9.0; }"
);
step!(
    deploy,
    "package gantry:host-deploy; world deploy-alone { export gantry:phase/deploy@0.9.0; }"
);
/// By itself: it shares no type with the others.
pub(crate) mod self_test {
    wasmtime::component::bindgen!({
        inline: "package gantry:host-self-test;
            world self-test-alone { export gantry:phase/self-test@0.9.0; }",
        path: "../../../wit",
    });
}
