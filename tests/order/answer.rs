//! What the server answered, as it left by its sockets.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::trace::Call;

/// Where an answer names a record of ours.
const NAMES: [&str; 4] = ["click=", "\"responseId\":\"", "\"conversionId\":\"", "\"winnerId\":\""];

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The line at which its first byte began to leave.
    pub(crate) line: usize,
    /// The whole of it.
    pub(crate) text: String,
}

impl Answer {
    /// The records that it speaks of.
    pub(crate) fn records(&self) -> Vec<Uuid> {
        let behind = NAMES.iter().flat_map(|name| self.text.split(name).skip(1));
        behind.filter_map(|rest| Uuid::parse_str(rest.get(..36)?).ok()).collect()
    }

    /// Its status and what it speaks of, on one line.
    pub(crate) fn brief(&self) -> String {
        format!("{} {:?}", self.text.lines().next().unwrap_or_default(), self.records())
    }
}

/// Every answer that left from this port, in the order of their beginnings.
pub(crate) fn answers(calls: &[Call], port: &str) -> Vec<Answer> {
    let from = format!("TCP:[127.0.0.1:{port}->");
    let mut connections: BTreeMap<&str, Vec<Answer>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.is_send() && call.file.starts_with(&from)) {
        let text = String::from_utf8_lossy(&call.data);
        let answers = connections.entry(&call.file).or_default();
        if text.starts_with("HTTP/1.1 ") {
            answers.push(Answer { line: call.entered, text: text.into_owned() });
        } else {
            // A body that left by a call of its own.
            answers.last_mut().expect("a head before its body").text.push_str(&text);
        }
    }
    let mut answers: Vec<Answer> = connections.into_values().flatten().collect();
    answers.sort_by_key(|answer| answer.line);
    answers
}
