//! The book against the code and against itself: links that lead somewhere, pages that can be
//! found, tables that are complete. Whether what it says is true, a reader must tell.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The README, the book and the pages that both lead to.
fn pages() -> BTreeSet<PathBuf> {
    let mut pages: BTreeSet<PathBuf> = ["README.md", "CHANGELOG.md", "wit/README.md"]
        .iter()
        .map(|path| root().join(path))
        .collect();
    for folder in ["docs/src", "docs/src/decisions"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.insert(path);
            }
        }
    }
    pages
}

/// What stands between `](` and `)`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let prose = text.split("```").step_by(2);
    for part in prose.flat_map(|part| part.split("](").skip(1)) {
        let (link, _) = part.split_once(')').unwrap();
        links.push(link.to_owned());
    }
    links
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let (path, _) = link.split_once('#').unwrap_or((&link, ""));
            let target = page.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {link}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} links were found");
}

#[test]
fn every_page_of_the_book_is_in_its_contents() {
    let book = root().join("docs/src");
    let named: BTreeSet<PathBuf> = links(&read("docs/src/SUMMARY.md"))
        .iter()
        .map(|link| book.join(link))
        .collect();
    let there = pages().into_iter().filter(|page| page.starts_with(&book));
    let there: BTreeSet<PathBuf> = there.filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(named, there);
}

#[test]
fn the_table_of_settings_is_the_list_of_the_host() {
    let code = read("host/src/settings/layers.rs");
    let (_, list) = code.split_once("NAMES: &[(&str, &str)] = &[").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let quoted = |part: &str| Some(part.trim().strip_prefix('"')?.split_once('"')?.0.to_owned());
    let known: Vec<String> = list.split('(').filter_map(quoted).collect();
    let page = read("docs/src/settings.md");
    let ticked = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let told: Vec<String> = page.lines().filter_map(ticked).collect();
    assert!(known.len() > 20, "{known:?}");
    assert_eq!(told, known);
}

/// The rows of the API's own table: method, path, need.
fn routes() -> Vec<(String, String, String)> {
    let code = read("host/crates/api/src/routes.rs");
    let (_, table) = code.split_once("Table::default()").unwrap();
    let (table, _) = table.split_once("\n}").unwrap();
    let row = |row: &str| {
        let (method, rest) = row.split_once('(')?;
        let (_, rest) = rest.split_once('"')?;
        let (path, rest) = rest.split_once('"')?;
        let need = rest
            .trim_start_matches([',', ' ', '\n'])
            .split(',')
            .next()?;
        Some((
            method.trim().to_uppercase(),
            path.to_owned(),
            need.to_owned(),
        ))
    };
    table.split("\n        .").filter_map(row).collect()
}

#[test]
fn the_table_of_calls_has_every_route_of_the_api_with_its_scope() {
    let routes = routes();
    assert!(routes.len() > 40, "{routes:?}");
    let page = read("docs/src/api.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split(" | ").collect())
        .collect();
    for (method, path, need) in routes {
        let told = match need.as_str() {
            "Public" => "none",
            "Known" => "any",
            "Read" => "`read`",
            "ReadAll" => "`read`, all groups",
            "Submit" => "`submit`",
            "Admin" => "`admin`",
            other => panic!("{other}: how is it called in docs/src/api.md?"),
        };
        if need == "Public" && !path.starts_with("/api/") {
            continue;
        }
        let call = format!("`{method} {}", path.replace("{*path}", "{path}"));
        let is_it = |row: &&Vec<&str>| {
            ['`', '?']
                .iter()
                .any(|end| row[0].contains(&format!("{call}{end}")))
        };
        let row = rows.iter().find(is_it);
        let row = row.unwrap_or_else(|| panic!("{call}` isn't in docs/src/api.md"));
        assert_eq!(row[1], told, "{call}");
    }
}

#[test]
fn the_tests_that_hold_the_promises_are_there() {
    let mut code = String::new();
    let mut folders = vec![root().join("host"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                code.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let page = read("docs/src/architecture.md");
    let (_, invariants) = page.split_once("## Invariants").unwrap();
    let queue = read("docs/src/queue.md");
    let (queue, _) = queue.split_once("## Limits").unwrap();
    let isolation = read("docs/src/agent-isolation.md");
    let (isolation, _) = isolation.split_once("## What was tried").unwrap();
    let table = format!("{invariants}\n{queue}\n{isolation}");
    let is_name = |text: &&str| {
        text.contains('_') && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let names: Vec<&str> = table.split('`').filter(is_name).collect();
    assert!(names.len() >= 30, "{names:?}");
    for name in names {
        // Where a macro makes it of a name, the name stands alone.
        let is_there = [
            format!("fn {name}("),
            format!("{name},"),
            format!("{name}:"),
        ];
        assert!(
            is_there.iter().any(|it| code.contains(it)),
            "there is no test {name}"
        );
    }
}

#[test]
fn every_variable_of_compose_is_explained() {
    let compose = read("docker-compose.yml");
    let names = compose.split("${").skip(1);
    let names: BTreeSet<&str> = names
        .map(|rest| rest.split([':', '}']).next().unwrap())
        .collect();
    assert!(names.contains("API_TOKEN"), "{names:?}");
    let example = read(".env.example");
    for name in names {
        let told = example.lines().any(|line| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{name}="))
        });
        assert!(told, "{name} isn't in .env.example");
    }
}
