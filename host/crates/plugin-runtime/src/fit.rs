//! Whether a component fits the interface, told so that its author can mend it: what is missing
//! is named with its version and those that are served. Linking itself happens in `guest`.

use semver::Version;
use std::collections::BTreeMap;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

const PACKAGE: &str = "gantry:phase";
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// Reasons that are told at once.
const TOLD: usize = 5;

/// Versions of the interface that fit one another: 0.9.0 and 0.9.1, but not 0.10.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    V0_9,
    V0_10,
}

/// What this host has of a line. Tests compare it with the interface's text.
struct Served {
    line: Line,
    /// The second number of its versions; the first is 0.
    minor: u64,
    newest: &'static str,
    /// The functions of `job`.
    job: &'static [&'static str],
    steps: &'static [&'static str],
}

const STEPS: &[&str] = &["describe", "self-test", "prompt", "validate", "deploy"];

const JOB: &[&str] = &[
    "id", "name", "pipeline", "phase", "attempt", "revision", "params", "settings", "feedback",
    "now", "seed", "files", "stat", "read", "outcomes", "log", "group",
];

/// Every line that this host serves, the oldest first.
const SERVED: &[Served] = &[
    Served {
        line: Line::V0_9,
        minor: 9,
        newest: "0.9.1",
        job: JOB,
        steps: STEPS,
    },
    Served {
        line: Line::V0_10,
        minor: 10,
        newest: "0.10.0",
        job: JOB,
        steps: STEPS,
    },
];

impl Served {
    /// What a version is served by, where it is served at all. A pre-release fits nothing but
    /// itself, and none is served.
    fn of(version: Option<&Version>) -> Option<&'static Self> {
        let version = version.filter(|version| version.pre.is_empty())?;
        SERVED
            .iter()
            .find(|served| version.major == 0 && version.minor == served.minor)
    }

    /// `0.9`
    fn name(&self) -> String {
        format!("0.{}", self.minor)
    }
}

/// `gantry:phase 0.9 up to 0.9.1, and 0.10 up to 0.10.0`
fn all_served() -> String {
    let lines = SERVED
        .iter()
        .map(|served| format!("{} up to {}", served.name(), served.newest));
    format!("{PACKAGE} {}", lines.collect::<Vec<_>>().join(", and "))
}

/// Why a component can't be a plugin of this host.
pub(crate) fn misfit(engine: &Engine, component: &Component) -> Option<String> {
    let kind = component.component_type();
    let imports = kind.imports(engine);
    let mut reasons: Vec<String> = imports
        .flat_map(|(name, item)| import(engine, name, &item.ty))
        .collect();
    let imports = kind.imports(engine).map(|(name, _)| name);
    let exports: Vec<&str> = kind.exports(engine).map(|(name, _)| name).collect();
    reasons.extend(exports.iter().filter_map(|name| export(name)));
    if reasons.is_empty() {
        reasons.extend(mixed(imports.chain(exports.iter().copied())));
    }
    if reasons.is_empty() && built_for(engine, component).is_none() {
        reasons.push(format!(
            "doesn't export {PACKAGE}/describe, so it isn't a Gantry plugin; it exports {}",
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

/// The version of the interface that a component was built for, and its line: those of
/// `describe`, which every plugin has.
pub(crate) fn built_for(engine: &Engine, component: &Component) -> Option<(Line, Version)> {
    let kind = component.component_type();
    kind.exports(engine).find_map(|(name, _)| {
        let it = parse(name).filter(|it| it.package == PACKAGE && it.interface == "describe")?;
        let served = Served::of(it.version.as_ref())?;
        Some((served.line, it.version?))
    })
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

/// What to do about a version that isn't served.
fn mend(version: Option<&Version>) -> String {
    let lines = SERVED.iter().map(|served| served.name());
    let lines = lines.collect::<Vec<_>>().join(" or ");
    let newest = SERVED.last().map_or(0, |served| served.minor);
    let newer = version.is_some_and(|version| (version.major, version.minor) > (0, newest));
    match newer {
        true => format!("update the host, or build it for {lines}"),
        false => format!("build it for {lines}"),
    }
}

/// One plugin speaks one line: what `job` means is what its steps are asked by.
fn mixed<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut lines: BTreeMap<u64, &str> = BTreeMap::new();
    for name in names {
        // `types` comes with what uses it.
        let it = parse(name).filter(|it| it.package == PACKAGE && it.interface != "types");
        if let Some(served) = it.and_then(|it| Served::of(it.version.as_ref())) {
            lines.entry(served.minor).or_insert(name);
        }
    }
    if lines.len() < 2 {
        return None;
    }
    let names: Vec<&str> = lines.into_values().collect();
    Some(format!(
        "mixes lines of the interface ({}): build all of it for one of them",
        names.join(" with ")
    ))
}

fn import(engine: &Engine, name: &str, item: &ComponentItem) -> Vec<String> {
    match parse(name) {
        Some(it) if it.package == PACKAGE => {
            let Some(served) = Served::of(it.version.as_ref()) else {
                return vec![unserved("imports", name, it.version.as_ref())];
            };
            match it.interface {
                "types" => Vec::new(),
                "job" => functions(engine, item)
                    .filter(|function| !served.job.contains(&function.as_str()))
                    .map(|function| {
                        format!(
                            "imports the function `{function}` of {name}, which isn't in \
                             {PACKAGE}/job@{}, and this host serves {}: update the host, or build \
                             the plugin without it",
                            served.newest,
                            all_served()
                        )
                    })
                    .collect(),
                _ => vec![unknown("imports", name, served)],
            }
        }
        Some(it) if it.package.starts_with("wasi:") => wasi(name, &it).into_iter().collect(),
        _ => vec![format!(
            "imports {name}, which no host of {PACKAGE} has: a plugin may import {PACKAGE}/job, \
             {PACKAGE}/types and WASI 0.2"
        )],
    }
}

fn unserved(how: &str, name: &str, version: Option<&Version>) -> String {
    let (served, mend) = (all_served(), mend(version));
    format!("{how} {name}, but this host serves {served}: {mend}")
}

fn unknown(how: &str, name: &str, served: &Served) -> String {
    let (newest, all) = (served.newest, all_served());
    format!(
        "{how} {name}, which isn't in {PACKAGE}@{newest}, and this host serves {all}: update the \
         host, or build the plugin without it"
    )
}

fn wasi(name: &str, it: &Name<'_>) -> Option<String> {
    let package = it.package.trim_start_matches("wasi:");
    let version = it.version.as_ref();
    let p2 = |version: &Version| (version.major, version.minor) == (0, 2) && version.pre.is_empty();
    let p2 = version.is_some_and(p2);
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
    let Some(served) = Served::of(it.version.as_ref()) else {
        return Some(unserved("exports", name, it.version.as_ref()));
    };
    match served.steps.contains(&it.interface) {
        true => None,
        false => Some(unknown("exports", name, served)),
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
    fn what_is_served_of_a_line_is_what_its_text_has() {
        let texts = [
            include_str!("../../../../wit/phase.wit"),
            include_str!("../../../../wit/0.10/phase.wit"),
        ];
        assert_eq!(texts.len(), SERVED.len());
        for (wit, served) in texts.into_iter().zip(SERVED) {
            let newest = served.newest;
            assert!(wit.contains(&format!("package {PACKAGE}@{newest};")));
            assert_eq!(Version::parse(newest).unwrap().minor, served.minor);
            let (_, rest) = wit.split_once("interface job {").unwrap();
            let (job, _) = rest.split_once("\n}").unwrap();
            let named = job
                .lines()
                .filter_map(|line| line.trim().split_once(": func("));
            let named: Vec<&str> = named.map(|(name, _)| name).collect();
            assert_eq!(named, served.job, "{newest}");
            for step in served.steps {
                assert!(wit.contains(&format!("interface {step} {{")), "{step}");
            }
        }
    }

    #[test]
    fn a_version_is_served_by_its_line() {
        let of = |version: &str| {
            let version = Version::parse(version).unwrap();
            Served::of(Some(&version)).map(|served| served.line)
        };
        for version in ["0.9.0", "0.9.1", "0.9.7"] {
            assert_eq!(of(version), Some(Line::V0_9), "{version}");
        }
        assert_eq!(of("0.10.0"), Some(Line::V0_10));
        for version in ["0.8.9", "0.11.0", "1.9.0", "0.9.1-rc.1", "0.10.0-preview"] {
            assert_eq!(of(version), None, "{version}");
        }
    }

    #[test]
    fn the_mend_says_which_way_to_go() {
        let of = |version: &str| mend(Some(&Version::parse(version).unwrap()));
        assert_eq!(of("0.8.2"), "build it for 0.9 or 0.10");
        assert_eq!(of("0.11.0"), "update the host, or build it for 0.9 or 0.10");
        assert_eq!(of("1.0.0"), of("0.11.0"));
        assert_eq!(mend(None), "build it for 0.9 or 0.10");
    }
}
