//! What can go wrong with a store. An answer such as "your lease is lost" is no error.

use thiserror::Error;

/// What is wrong with the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database doesn't answer. Whether a write that ended so was done is not known.
    #[error("{place} is away: {what}")]
    Away {
        /// Which database, without user and password.
        place: String,
        /// What was seen.
        what: String,
    },
    /// The address or the rights are wrong: trying again doesn't help.
    #[error("{place} refuses: {what}")]
    Refused {
        /// Which database, without user and password.
        place: String,
        /// What is wrong and, where known, the mend.
        what: String,
    },
    /// The schema can't be brought up to date.
    #[error("{place} can't be migrated: {source}")]
    Migrate {
        /// Which database, without user and password.
        place: String,
        /// What sqlx says.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A row says what this version can't read.
    #[error("{what} can't be read: {why}; was it written by a later version?")]
    Unreadable {
        /// Which row.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A publication under an address that is another job's.
    #[error("the address `{slug}` belongs to another job: reserve one first")]
    SlugTaken {
        /// The address.
        slug: String,
    },
    /// A statement failed that shouldn't have: a fault of this crate.
    #[error("the database refused a statement: {0}")]
    Statement(#[source] sqlx::Error),
}

impl StoreError {
    /// A stable word.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Away { .. } => "store-away",
            Self::Refused { .. } => "store-refused",
            Self::Migrate { .. } => "store-migrate",
            Self::Unreadable { .. } => "store-unreadable",
            Self::SlugTaken { .. } => "slug-taken",
            Self::Statement(_) => "store-statement",
        }
    }

    /// The same for another call that failed with this one.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Away { place, what } => Self::Away {
                place: place.clone(),
                what: what.clone(),
            },
            error => Self::Refused {
                place: "the database".to_owned(),
                what: error.to_string(),
            },
        }
    }

    /// Whether the same call may work later.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

/// What goes wrong inside, before it is known at which database.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    pub(crate) fn at(self, place: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) if is_away(&error) => StoreError::Away {
                place: place.to_owned(),
                what: error.to_string(),
            },
            Self::Sql(error) => StoreError::Statement(error),
        }
    }
}

/// Whether this says that the database is away or busy, rather than that a statement is wrong.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    use sqlx::Error as E;
    match error {
        E::Io(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Protocol(_) => true,
        E::Database(said) => {
            let code = said.code().unwrap_or_default();
            if said
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .is_some()
            {
                is_away_in_postgres(&code)
            } else {
                is_away_in_sqlite(&code)
            }
        }
        _ => false,
    }
}

/// Connection, resources, shutdown, system, a rollback that wasn't ours, a standby.
fn is_away_in_postgres(code: &str) -> bool {
    ["08", "53", "57P", "58", "40", "55P03", "57014", "25006"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// `SQLITE_BUSY`, `LOCKED`, `READONLY`, `IOERR`, `FULL`, `CANTOPEN`, with all that refine them.
fn is_away_in_sqlite(code: &str) -> bool {
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
}
