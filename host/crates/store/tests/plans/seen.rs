//! What the driver of the database logs: statements, and what the server says of them.

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, OnceLock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// By whom, and what.
type Line = (String, String);

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());
static LISTENS: OnceLock<()> = OnceLock::new();

/// The targets that are kept.
pub(crate) const NOTICES: &str = "sqlx::postgres::notice";
pub(crate) const QUERIES: &str = "sqlx::query";

/// From now on all is kept, of the whole process.
pub(crate) fn listen() {
    LISTENS.get_or_init(|| tracing::subscriber::set_global_default(Keeper).unwrap());
}

/// What was said by `target` since the last call.
pub(crate) fn take(target: &str) -> Vec<String> {
    let mut lines = LINES.lock().unwrap();
    let (taken, left): (Vec<Line>, Vec<Line>) = lines.drain(..).partition(|(by, _)| by == target);
    *lines = left;
    taken.into_iter().map(|(_, text)| text).collect()
}

struct Keeper;

impl Subscriber for Keeper {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        [NOTICES, QUERIES].contains(&about.target()) && *about.level() <= Level::DEBUG
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = (event.metadata().target().to_owned(), text.0);
        LINES.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message; of a statement its whole text, or its summary where that is all.
#[derive(Default)]
struct Text(String);

impl Text {
    fn take(&mut self, field: &Field, text: &str) {
        let is_better = field.name() == "db.statement" && !text.is_empty();
        if is_better || (self.0.is_empty() && ["message", "summary"].contains(&field.name())) {
            text.clone_into(&mut self.0);
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.take(field, &text);
    }
}
