//! Whether a component fits the interface, told so that its author can mend it: what is missing
//! is named with both versions. Linking itself happens in `guest`.

use semver::Version;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// The version of `wit/phase.wit` that this host serves.
pub(crate) const INTERFACE: &str = "0.9.0";
const PACKAGE: &str = "gantry:phase";
/// The functions of `job`; a test compares them with the interface's text.
const JOB: [&str; 16] = [
    "id", "name", "pipeline", "phase", "attempt", "revision", "params", "settings", "feedback",
    "now", "seed", "files", "stat", "read", "outcomes", "log",
];
const STEPS: [&str; 5] = ["describe", "self-test", "prompt", "validate", "deploy"];
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// Reasons that are told at once.
const TOLD: usize = 5;

/// Why a component can't be a plugin of this host.
pub(crate) fn misfit(engine: &Engine, component: &Component) -> Option<String> {
    let kind = component.component_type();
    let imports = kind.imports(engine);
    let mut reasons: Vec<String> = imports
        .flat_map(|(name, item)| import(engine, name, &item.ty))
        .collect();
    let exports: Vec<&str> = kind.exports(engine).map(|(name, _)| name).collect();
    reasons.extend(exports.iter().filter_map(|name| export(name)));
    let describes = |name: &&str| parse(name).is_some_and(|it| it.interface == "describe");
    if reasons.is_empty() && !exports.iter().any(describes) {
        reasons.push(format!(
            "doesn't export {PACKAGE}/describe@{INTERFACE}, so it isn't a Gantry plugin; it \
             exports {}",
            listed(&exports)
        ));
    }
    let more = reasons.len().saturating_sub(TOLD);
    reasons.truncate(TOLD);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: Option<Version>,
}

/// `gantry:phase/job@0.9.0` in its parts.
fn parse(name: &str) -> Option<Name<'_>> {
    let (path, version) = match name.split_once('@') {
        Some((path, version)) => (path, Version::parse(version).ok()),
        None => (name, None),
    };
    let (package, interface) = path.split_once('/')?;
    Some(Name {
        package,
        interface,
        version,
    })
}

/// Whether a guest built for this version may run on this host; functions that this host lacks
/// are told one by one.
fn speaks(version: Option<&Version>) -> bool {
    version.is_some_and(|version| version.major == 0 && version.minor == 9)
}

fn mend(version: Option<&Version>) -> &'static str {
    let newer = version.is_some_and(|version| (version.major, version.minor) > (0, 9));
    match newer {
        true => "update the host, or build it with an SDK for 0.9",
        false => "build it with an SDK for 0.9",
    }
}

fn import(engine: &Engine, name: &str, item: &ComponentItem) -> Vec<String> {
    let served = format!("this host serves {PACKAGE}@{INTERFACE}");
    match parse(name) {
        Some(it) if it.package == PACKAGE => {
            if !speaks(it.version.as_ref()) {
                let mend = mend(it.version.as_ref());
                return vec![format!("imports {name}, but {served}: {mend}")];
            }
            match it.interface {
                "types" => Vec::new(),
                "job" => functions(engine, item)
                    .filter(|function| !JOB.contains(&function.as_str()))
                    .map(|function| {
                        format!(
                            "imports the function `{function}` of {name}, which isn't in \
                             {PACKAGE}/job@{INTERFACE} that this host serves: update the host, \
                             or build the plugin without it"
                        )
                    })
                    .collect(),
                _ => vec![format!("imports {name}, which {served} doesn't have")],
            }
        }
        Some(it) if it.package.starts_with("wasi:") => wasi(name, &it).into_iter().collect(),
        _ => vec![format!(
            "imports {name}, which no host of {PACKAGE}@{INTERFACE} has: a plugin may import \
             {PACKAGE}/job, {PACKAGE}/types and WASI 0.2"
        )],
    }
}

fn wasi(name: &str, it: &Name<'_>) -> Option<String> {
    let package = it.package.trim_start_matches("wasi:");
    let version = it.version.as_ref();
    let p2 = version.is_some_and(|version| version.major == 0 && version.minor == 2);
    if WASI.contains(&package) && p2 {
        return None;
    }
    let all = WASI.join(", ");
    Some(format!(
        "imports {name}; of WASI this host has {all} at 0.2, and they are empty: plugins read \
         through {PACKAGE}/job"
    ))
}

fn export(name: &str) -> Option<String> {
    let it = parse(name).filter(|it| it.package == PACKAGE)?;
    let version = it.version.as_ref();
    if !speaks(version) {
        let mend = mend(version);
        return Some(format!(
            "exports {name}, but this host serves {PACKAGE}@{INTERFACE}: {mend}"
        ));
    }
    match STEPS.contains(&it.interface) {
        true => None,
        false => Some(format!(
            "exports {name}, which {PACKAGE}@{INTERFACE} doesn't have"
        )),
    }
}

fn functions(engine: &Engine, item: &ComponentItem) -> impl Iterator<Item = String> {
    let names: Vec<String> = match item {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
            .map(|(name, _)| name.to_owned())
            .collect(),
        _ => Vec::new(),
    };
    names.into_iter()
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        _ => names
            .iter()
            .take(TOLD)
            .copied()
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_of_job_are_those_of_the_interface() {
        let wit = include_str!("../../../../wit/phase.wit");
        assert!(wit.contains(&format!("package {PACKAGE}@{INTERFACE};")));
        let (_, rest) = wit.split_once("interface job {").unwrap();
        let (job, _) = rest.split_once("\n}").unwrap();
        let named = job
            .lines()
            .filter_map(|line| line.trim().split_once(": func("));
        let named: Vec<&str> = named.map(|(name, _)| name).collect();
        assert_eq!(named, JOB);
    }
}
