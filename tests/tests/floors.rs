//! Who may import whom: the floors of docs/src/architecture.md, held against Cargo's own word.
//! A new edge is a decision: it belongs into the table here, and its reason into the docs.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

use std::collections::{BTreeMap, BTreeSet};

/// Each crate of the workspace, and what it may import of the others.
const FLOORS: &[(&str, &[&str])] = &[
    // 1: the vocabulary.
    ("pipeline", &[]),
    // Beside it: a run's socket, for both that listen on one.
    ("door", &[]),
    // 2: never each other.
    ("store", &["pipeline"]),
    ("runner", &["pipeline"]),
    ("plugin-runtime", &["pipeline"]),
    ("deploy", &["pipeline"]),
    ("workspace", &["pipeline"]),
    ("gateway", &["door", "pipeline"]),
    ("egress", &["door", "pipeline"]),
    // The other end of plugin-runtime's pipes, in a process of its own.
    ("extism-child", &["pipeline", "plugin-runtime"]),
    // 3: never each other.
    (
        "driver",
        &[
            "pipeline",
            "store",
            "runner",
            "plugin-runtime",
            "deploy",
            "workspace",
            "gateway",
            "egress",
            "door",
        ],
    ),
    ("api", &["pipeline", "store"]),
    // 4: composition.
    (
        "gantry",
        &[
            "pipeline",
            "store",
            "runner",
            "plugin-runtime",
            "deploy",
            "workspace",
            "gateway",
            "egress",
            // An image that is tried gets a model's socket as a run gets it.
            "door",
            "driver",
            "api",
            "demo-agent",
            "extism-child",
        ],
    ),
    // 5: everything from outside.
    (
        "tests",
        &[
            "pipeline",
            "gateway",
            "store",
            "plugin-runtime",
            "demo-agent",
            // A benchmark pays from a run's accounts as a driver does.
            "driver",
        ],
    ),
    // Beside the house: what runs in a sandbox, in a container, or before there is a host.
    ("demo-agent", &[]),
    ("xtask", &[]),
    ("gantry-sdk", &[]),
    ("idea", &["gantry-sdk"]),
    ("design", &["gantry-sdk"]),
    ("plan", &["gantry-sdk"]),
    ("build", &["gantry-sdk"]),
    ("static-site", &["gantry-sdk"]),
];

/// What the pure core must never depend on, not even through somebody else.
const NOT_IN_PIPELINE: &[&str] = &["tokio", "sqlx", "bollard", "wasmtime", "axum", "hyper"];

fn metadata() -> cargo_metadata::Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    cargo_metadata::MetadataCommand::new()
        .manifest_path(manifest)
        .other_options(["--locked".to_owned()])
        .exec()
        .unwrap()
}

#[test]
fn no_crate_imports_one_that_its_floor_may_not() {
    let metadata = metadata();
    let members: BTreeMap<String, BTreeSet<String>> = metadata
        .workspace_packages()
        .iter()
        .filter(|package| !package.manifest_path.as_str().contains("/tests/guests/"))
        .map(|package| {
            let own = |dependency: &&cargo_metadata::Dependency| {
                dependency.path.is_some()
                    && dependency.kind == cargo_metadata::DependencyKind::Normal
            };
            let names = package
                .dependencies
                .iter()
                .filter(own)
                .map(|d| d.name.clone());
            (package.name.to_string(), names.collect())
        })
        .collect();
    let known: BTreeSet<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    for (name, imports) in &members {
        assert!(
            known.contains(name.as_str()),
            "`{name}` has no floor: give it one here"
        );
        let (_, allowed) = FLOORS.iter().find(|(floor, _)| floor == name).unwrap();
        for import in imports {
            assert!(
                allowed.contains(&import.as_str()),
                "`{name}` imports `{import}`, which its floor may not"
            );
        }
    }
}

#[test]
fn the_pure_core_depends_on_nothing_that_acts() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let name = |id: &cargo_metadata::PackageId| metadata[id].name.to_string();
    let start = resolve
        .nodes
        .iter()
        .find(|node| name(&node.id) == "pipeline")
        .unwrap();
    let mut seen = BTreeSet::from([start.id.clone()]);
    let mut open = vec![start.id.clone()];
    while let Some(id) = open.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == id).unwrap();
        for dependency in &node.deps {
            let normal = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal);
            if normal && seen.insert(dependency.pkg.clone()) {
                open.push(dependency.pkg.clone());
            }
        }
    }
    let names: BTreeSet<String> = seen.iter().map(name).collect();
    assert!(names.contains("serde"), "the walk found nothing: {names:?}");
    for banned in NOT_IN_PIPELINE {
        assert!(!names.contains(*banned), "`pipeline` depends on `{banned}`");
    }
}
