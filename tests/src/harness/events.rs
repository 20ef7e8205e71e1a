//! A stream of server-sent events, read as it comes. What an event means is the test's matter.

use std::time::Duration;

use serde_json::Value;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// For `Last-Event-ID`.
    pub id: String,
    /// The `event:` field.
    pub name: String,
    /// The JSON of the `data:` field.
    pub data: Value,
}

/// An open stream.
pub struct Events {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Events {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self {
            response,
            buffer: Vec::new(),
        }
    }

    /// The next event; none at the end of the stream, however it came.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                    return Some(event);
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// The next event that `wanted` takes.
    ///
    /// # Panics
    /// At the end of the stream, or after `deadline`.
    pub async fn find(&mut self, deadline: Duration, wanted: impl Fn(&Event) -> bool) -> Event {
        let look = async {
            while let Some(event) = self.next().await {
                if wanted(&event) {
                    return Some(event);
                }
            }
            None
        };
        let found = tokio::time::timeout(deadline, look).await;
        found
            .expect("the event comes in time")
            .expect("the event comes before the stream ends")
    }
}

fn parse(block: &str) -> Option<Event> {
    let mut event = Event {
        id: String::new(),
        name: String::new(),
        data: Value::Null,
    };
    for line in block.lines() {
        let Some((field, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut event.id),
            "event" => value.clone_into(&mut event.name),
            "data" => event.data = serde_json::from_str(value).ok()?,
            _ => {}
        }
    }
    (!event.data.is_null()).then_some(event)
}
