//! What was said between the server and PostgreSQL: which transaction holds which record, and when its commit was
//! confirmed.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::trace::Call;
use super::wal::Wanted;

/// One connection.
#[derive(Default)]
struct Connection {
    sent: Vec<u8>,
    /// Where each send ends in `sent`, and the line at which it began.
    sends: Vec<(usize, usize)>,
    /// What was received and is not a whole message yet.
    rest: Vec<u8>,
    /// The tag of the last command that was complete.
    tag: String,
    /// The line at which the end of each transaction was received, and whether it was a commit.
    ends: Vec<(usize, bool)>,
}

/// For each of the records whose commit was confirmed: the line at which the confirmation had been received.
pub(crate) fn durable(calls: &[Call], records: &HashSet<Uuid>, port: u16) -> HashMap<Uuid, usize> {
    let to = format!("->127.0.0.1:{port}]");
    let mut connections: BTreeMap<&str, Connection> = BTreeMap::new();
    let mut events: Vec<(usize, &Call)> = calls
        .iter()
        .filter(|call| call.file.ends_with(&to) && call.returned > 0)
        .filter_map(|call| Some((if call.is_receive() { call.left? } else { call.entered }, call)))
        .collect();
    events.sort_by_key(|(line, _)| *line);
    for (line, call) in events {
        let connection = connections.entry(&call.file).or_default();
        if call.is_receive() {
            connection.hear(line, &call.data);
        } else {
            connection.say(line, &call.data);
        }
    }
    assert!(!connections.is_empty(), "no connection to 127.0.0.1:{port} in the trace");
    let (mut durable, wanted) = (HashMap::new(), Wanted::new(records));
    for (record, line) in connections.values().flat_map(|connection| connection.committed(&wanted)) {
        let earliest = durable.entry(record).or_insert(line);
        *earliest = line.min(*earliest);
    }
    durable
}

impl Connection {
    fn say(&mut self, line: usize, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        self.sends.push((self.sent.len(), line));
    }

    fn hear(&mut self, line: usize, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some((kind, body)) = self.message() {
            match (kind, body.as_slice()) {
                (b'C', tag) => self.tag = String::from_utf8_lossy(tag.trim_ascii_end()).replace('\0', ""),
                // Ready, and in no transaction: whatever there was has ended.
                (b'Z', b"I") => self.ends.push((line, std::mem::take(&mut self.tag) == "COMMIT")),
                _ => {}
            }
        }
    }

    /// The next whole message: its type, four bytes of length, its body.
    fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let length = u32::from_be_bytes(self.rest.get(1..5)?.try_into().ok()?);
        let end = 1 + usize::try_from(length).ok()?;
        let body = self.rest.get(5..end)?.to_vec();
        let kind = self.rest[0];
        self.rest.drain(..end);
        Some((kind, body))
    }

    /// The records that were sent here in a transaction that ended well, with the line of that end.
    fn committed(&self, wanted: &Wanted<'_>) -> Vec<(Uuid, usize)> {
        let mut committed = Vec::new();
        for (place, record) in wanted.in_bytes(&self.sent) {
            let (_, line) = self.sends[self.sends.partition_point(|(end, _)| *end < place + 16)];
            let end = self.ends.iter().find(|(end, _)| *end > line);
            committed.extend(end.filter(|(_, commit)| *commit).map(|(end, _)| (record, *end)));
        }
        committed
    }
}
