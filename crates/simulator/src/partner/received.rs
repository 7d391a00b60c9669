//! The postbacks that the partner received.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::signature::SignatureCheck;
use crate::clock;
use crate::page::ShownUrl;
use crate::query::{self, Pair};

/// A postback as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Counts from 1 over the life of the partner.
    pub number: usize,
    /// When its last byte had come, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// `GET` or `POST`.
    pub method: String,
    /// The request target, byte for byte.
    pub path_and_query: String,
    /// Empty when absent.
    pub content_type: String,
    /// At most 64 KiB; longer ones are refused with 413 and not kept.
    pub body: Vec<u8>,
    /// The parameters in their order, decoded: of the query, then of a form or a flat JSON object.
    pub parameters: Vec<(String, String)>,
    /// The header of that name. Another attempt at the same delivery carries the same one.
    pub webhook_id: Option<String>,
    /// Whether it says that it is of a test click (`x-pitlane-test: 1`).
    pub is_test: bool,
    /// What the check of its signature found.
    pub signature: SignatureCheck,
    /// How it was answered, in words.
    pub answer: String,
    /// Whether the answer was a 2xx that ends.
    pub accepted: bool,
}

impl Received {
    /// The value of the first parameter of that name, empty when absent.
    pub fn parameter(&self, name: &str) -> &str {
        query::first(&self.parameters, name)
    }

    pub(super) fn shown_at(&self) -> String {
        clock::show(self.at_ms)
    }

    pub(super) fn shown_url(&self) -> ShownUrl {
        ShownUrl::raw(&self.path_and_query)
    }

    pub(super) fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The parameters of a request, wherever it carries them.
pub(super) fn parameters(query: &str, content_type: &str, body: &[u8]) -> Vec<Pair> {
    let mut pairs = query::decode(query.as_bytes());
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/x-www-form-urlencoded" {
        pairs.extend(query::decode(body));
    } else if essence == "application/json"
        && let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(body)
    {
        pairs.extend(fields.into_iter().map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        }));
    }
    pairs
}

/// The last so many postbacks, and the count of all.
pub(super) struct Inbox {
    keep: usize,
    kept: Mutex<VecDeque<Arc<Received>>>,
    count: watch::Sender<usize>,
}

impl Inbox {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep: keep.max(1), kept: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Numbers the postback and keeps it, instead of the oldest when there is no room.
    pub(super) fn put(&self, mut received: Received) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        received.number = *self.count.borrow() + 1;
        let number = received.number;
        if kept.len() == self.keep {
            kept.pop_front();
        }
        kept.push_back(Arc::new(received));
        // Under the lock, so that whoever is told of a number finds it.
        self.count.send_replace(number);
    }

    /// Oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Received>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    pub(super) async fn wait_for(&self, count: usize) {
        // It fails only when the sender is gone, which is `self`.
        let _ = self.count.subscribe().wait_for(|&at| at >= count).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, Received, SignatureCheck, parameters};

    fn received() -> Received {
        Received {
            number: 0,
            at_ms: 0,
            method: "GET".to_owned(),
            path_and_query: "/postback".to_owned(),
            content_type: String::new(),
            body: Vec::new(),
            parameters: Vec::new(),
            webhook_id: None,
            is_test: false,
            signature: SignatureCheck::Missing,
            answer: String::new(),
            accepted: true,
        }
    }

    #[test]
    fn the_inbox_keeps_the_newest_and_counts_all() {
        let inbox = Inbox::new(2);
        for _ in 0..5 {
            inbox.put(received());
        }
        assert_eq!(inbox.all().iter().map(|at| at.number).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(inbox.count(), 5);
    }

    #[test]
    fn parameters_come_from_the_query_a_form_or_json() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parameters("a=1%202", "", b""), [pair("a", "1 2")]);
        let form = parameters("a=1", "application/x-www-form-urlencoded; charset=utf-8", b"b=2");
        assert_eq!(form, [pair("a", "1"), pair("b", "2")]);
        assert_eq!(parameters("", "application/json", br#"{"b":"2"}"#), [pair("b", "2")]);
        assert_eq!(parameters("", "application/json", br#"{"b":2}"#), [pair("b", "2")]);
        assert_eq!(parameters("", "application/json", b"[1]"), []);
        assert_eq!(parameters("", "text/plain", b"b=2"), []);
    }
}
