//! `gantry:phase@0.10`. `types` is as in 0.9, and so are its Rust types; the rest is its own.
//! It holds nothing of 0.9.

pub(crate) mod base {
    wasmtime::component::bindgen!({
        path: "../../../wit/0.10",
        world: "base",
        imports: { default: trappable },
        with: { "gantry:phase/types": crate::bindings::v0_9::base::gantry::phase::types },
    });
}

step!(
    prompt,
    "../../../wit/0.10",
    "package gantry:host-prompt; world prompt-alone { export gantry:phase/prompt@0.10.0; }"
);
step!(
    validate,
    "../../../wit/0.10",
    "package gantry:host-validate; world validate-alone { export gantry:phase/validate@0.10.0; }"
);
step!(
    deploy,
    "../../../wit/0.10",
    "package gantry:host-deploy; world deploy-alone { export gantry:phase/deploy@0.10.0; }"
);

/// By itself: it shares no type with the others.
pub(crate) mod self_test {
    wasmtime::component::bindgen!({
        inline: "package gantry:host-self-test;
            world self-test-alone { export gantry:phase/self-test@0.10.0; }",
        path: "../../../wit/0.10",
    });
}
