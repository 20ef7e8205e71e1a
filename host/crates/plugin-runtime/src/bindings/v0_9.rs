//! `gantry:phase@0.9`, made of its newest text: it has everything that the earlier ones have, and
//! guests of all of them find it by its line. It holds no types of 0.10 but those that are the same.

pub(crate) mod base {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "base",
        imports: { default: trappable },
    });
}

step!(
    prompt,
    "../../../wit",
    "package gantry:host-prompt; world prompt-alone { export gantry:phase/prompt@0.9.1; }"
);
step!(
    validate,
    "../../../wit",
    "package gantry:host-validate; world validate-alone { export gantry:phase/validate@0.9.1; }"
);
step!(
    deploy,
    "../../../wit",
    "package gantry:host-deploy; world deploy-alone { export gantry:phase/deploy@0.9.1; }"
);

/// By itself: it shares no type with the others.
pub(crate) mod self_test {
    wasmtime::component::bindgen!({
        inline: "package gantry:host-self-test;
            world self-test-alone { export gantry:phase/self-test@0.9.1; }",
        path: "../../../wit",
    });
}
