//! Extism's own log functions, which every kit has: their lines go to the host. Nothing else that
//! this process might log goes anywhere.

use crate::pipe;
use pipeline::Level;
use plugin_runtime::wire::FromChild;
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, subscriber};

/// Where Extism logs what a plug-in says.
const PLUGINS: &str = "extism::pdk";

/// From now on a plug-in's lines are told.
pub(crate) fn listen() {
    // There is one already where a test locks itself twice.
    let _ = subscriber::set_global_default(Lines);
}

struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.is_event() && about.target() == PLUGINS
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        // A host that is gone is noticed when the call has its answer.
        let _ = pipe::say(&FromChild::Log { level }, message.0.as_bytes());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string can't fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
