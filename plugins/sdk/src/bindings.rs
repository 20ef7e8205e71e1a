//! What `wit-bindgen` makes of `wit/phase.wit`: one module for each interface that a plugin may
//! export, so that a component exports those it implements and no others. It isn't for plugins to
//! name: `export!` does, and the crate's root re-exports the types.

/// `job`, the types, and the one export that every plugin has.
pub mod describe {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "base",
        pub_export_macro: true,
        export_macro_name: "export_interface",
        default_bindings_module: "gantry_sdk::bindings::describe",
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

// A world of one export each: where several are used, `wit-component` joins them.
macro_rules! step {
    ($step:ident, $world:literal) => {
        pub mod $step {
            wit_bindgen::generate!({
                inline: $world,
                path: "../../wit",
                with: { "gantry:phase/types@0.9.1": crate::bindings::describe::gantry::phase::types },
                pub_export_macro: true,
                export_macro_name: "export_interface",
                additional_derives: [PartialEq],
            });
        }
    };
}

step!(
    prompt,
    "package gantry:sdk-prompt; world prompt-alone { export gantry:phase/prompt@0.9.1; }"
);
step!(
    validate,
    "package gantry:sdk-validate; world validate-alone { export gantry:phase/validate@0.9.1; }"
);
step!(
    deploy,
    "package gantry:sdk-deploy; world deploy-alone { export gantry:phase/deploy@0.9.1; }"
);

/// Uses none of the shared types, which is why it stands alone.
pub mod self_test {
    wit_bindgen::generate!({
        inline: "package gantry:sdk-self-test;
                 world self-test-alone { export gantry:phase/self-test@0.9.1; }",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_interface",
    });
}
