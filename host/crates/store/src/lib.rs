//! Jobs, events, logs, sites and plugins' health, in PostgreSQL or in SQLite.
//!
//! [`DriverStore`] is what a driver needs, [`ApiStore`] what the API needs, [`AccessStore`] who may
//! call it, [`PluginStore`] what both remember of plugins, [`MoneyStore`] what is spent;
//! [`Postgres`] and [`Sqlite`] are all of them. What each call means, races included, is said once: by the conformance suite in `tests/`. Nothing here decides what follows
//! from an input: that is `pipeline::step`.

#[macro_use]
mod macros;

mod access;
mod api;
mod driver;
mod error;
mod gates;
mod lane;
mod live;
mod model;
mod money;
mod plugins;
mod retention;
mod wake;
mod write;

mod migrate;
mod rules;
mod taker;

mod postgres;
#[expect(
    clippy::duplicate_mod,
    reason = "the statements that both databases share are compiled once for each"
)]
mod sqlite;

pub use access::{AccessStore, Admins, Created, NewToken, Revoked, Session};
pub use api::ApiStore;
pub use driver::DriverStore;
pub use error::StoreError;
pub use gates::{Gate, GateChange, GateKind, Rate};
pub use live::Watching;
pub use model::{
    Acted, Appended, Ask, Beat, Begin, Change, Claimed, Clock, Committed, Deleted, Filter, Hold,
    HostReport, HostState, Idempotency, JobState, NewJob, OnCancel, Options, Page, Piece,
    PipelineEntry, Position, Site, Submitted, TakeOver, Unique,
};
pub use money::{
    AccountState, Booked, Booking, BudgetOf, BudgetState, DayMoney, JobMoney, MoneyStore, Payer,
    Spending,
};
pub use plugins::{Faulted, PluginStore, RolledBack};
pub use postgres::Postgres;
pub use retention::{EndedPage, RetentionStore, STEP as RETENTION_STEP, Trim, Trimmed};
pub use sqlite::Sqlite;
pub use taker::Taker;
pub use wake::Wake;
