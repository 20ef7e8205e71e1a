//! The migrations, in the program itself. A version that is out is never changed: add the next.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

type Entry = (i64, &'static str, &'static str);

const POSTGRES: &[Entry] = &[
    (
        1,
        "start",
        include_str!("../../../../migrations/postgres/0001_start.sql"),
    ),
    (
        2,
        "outputs",
        include_str!("../../../../migrations/postgres/0002_outputs.sql"),
    ),
    (
        3,
        "plugins",
        include_str!("../../../../migrations/postgres/0003_plugins.sql"),
    ),
    (
        4,
        "lines",
        include_str!("../../../../migrations/postgres/0004_lines.sql"),
    ),
    (
        5,
        "care",
        include_str!("../../../../migrations/postgres/0005_care.sql"),
    ),
    (
        6,
        "tokens",
        include_str!("../../../../migrations/postgres/0006_tokens.sql"),
    ),
    (
        7,
        "numbers",
        include_str!("../../../../migrations/postgres/0007_numbers.sql"),
    ),
];

const SQLITE: &[Entry] = &[
    (
        1,
        "start",
        include_str!("../../../../migrations/sqlite/0001_start.sql"),
    ),
    (
        2,
        "outputs",
        include_str!("../../../../migrations/sqlite/0002_outputs.sql"),
    ),
    (
        3,
        "plugins",
        include_str!("../../../../migrations/sqlite/0003_plugins.sql"),
    ),
    (
        4,
        "lines",
        include_str!("../../../../migrations/sqlite/0004_lines.sql"),
    ),
    (
        5,
        "care",
        include_str!("../../../../migrations/sqlite/0005_care.sql"),
    ),
    (
        6,
        "tokens",
        include_str!("../../../../migrations/sqlite/0006_tokens.sql"),
    ),
    (
        7,
        "numbers",
        include_str!("../../../../migrations/sqlite/0007_numbers.sql"),
    ),
];

pub(crate) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

pub(crate) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

fn migrator(entries: &[Entry]) -> Migrator {
    let migration = |(version, name, sql): &Entry| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            (*sql).into_sql_str(),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(entries.iter().map(migration).collect());
    // An old host in a rolling upgrade meets migrations that it doesn't know.
    migrator.set_ignore_missing(true);
    migrator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_versions_in_order() {
        let names = |entries: &[Entry]| -> Vec<(i64, &str)> {
            entries.iter().map(|(v, name, _)| (*v, *name)).collect()
        };
        assert_eq!(names(POSTGRES), names(SQLITE));
        for (at, (version, ..)) in (1..).zip(POSTGRES) {
            assert_eq!(*version, at);
        }
    }
}
