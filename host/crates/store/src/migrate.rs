//! The migrations, in the program itself. A version that is out is never changed: add the next.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

type Entry = (i64, &'static str, &'static str);

/// The versions, of which each database has its own file.
macro_rules! versions {
    ($($version:literal $number:literal $name:literal),+ $(,)?) => {
        const POSTGRES: &[Entry] = versions!(@of "postgres" $($version $number $name),+);
        const SQLITE: &[Entry] = versions!(@of "sqlite" $($version $number $name),+);
    };
    (@of $database:literal $($version:literal $number:literal $name:literal),+) => {
        &[$((
            $version,
            $name,
            include_str!(concat!(
                "../../../../migrations/", $database, "/", $number, "_", $name, ".sql"
            )),
        )),+]
    };
}

versions! {
    1 "0001" "start",
    2 "0002" "outputs",
    3 "0003" "plugins",
    4 "0004" "lines",
    5 "0005" "care",
    6 "0006" "tokens",
    7 "0007" "numbers",
    8 "0008" "vacuum",
    9 "0009" "money",
    10 "0010" "vacuum_now",
}

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
