//! SQLite's write-ahead log, as the system calls wrote it: which transaction holds which record, and when a sync
//! covered it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::trace::Call;

const LOG_HEADER: u64 = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;
const FRAME: u64 = (FRAME_HEADER + PAGE) as u64;

/// A transaction in the log: sealed by a frame that says so.
struct Transaction {
    records: Vec<Uuid>,
    /// The line at which its last byte was written, though not yet durable.
    written: usize,
}

/// For each of the records that a completed sync covers: the line at which that sync was over.
pub(crate) fn durable(calls: &[Call], records: &HashSet<Uuid>) -> HashMap<Uuid, usize> {
    let of_log: Vec<&Call> = calls.iter().filter(|call| call.file.ends_with("/pitlane.db-wal")).collect();
    let syncs: Vec<(usize, usize)> = of_log
        .iter()
        .filter(|call| call.is_sync())
        .filter_map(|call| Some((call.entered, call.left?)))
        .collect();
    let mut durable = HashMap::new();
    for transaction in transactions(&of_log, &Wanted::new(records)) {
        // A sync that began before the last byte was written promises nothing about it.
        let covering =
            syncs.iter().filter(|(entered, _)| *entered > transaction.written).map(|(_, left)| *left);
        if let Some(over) = covering.min() {
            for record in transaction.records {
                // A page is written again with every neighbour; the first time counts.
                durable.entry(record).or_insert(over);
            }
        }
    }
    durable
}

/// The transactions in their order. One thread writes the log, a frame's header and then its page.
fn transactions(of_log: &[&Call], wanted: &Wanted<'_>) -> Vec<Transaction> {
    let mut transactions = Vec::new();
    let mut records = Vec::new();
    let mut header: Option<&Call> = None;
    for call in of_log.iter().filter(|call| call.name == "pwrite64") {
        match (header.take(), call.data.len()) {
            (None, FRAME_HEADER) if (call.last - LOG_HEADER).is_multiple_of(FRAME) => header = Some(call),
            (None, _) if call.last == 0 => {}
            (Some(header), PAGE) if call.last == header.last + FRAME_HEADER as u64 => {
                records.extend(wanted.in_bytes(&call.data).into_iter().map(|(_, id)| id));
                if seals(&header.data) {
                    let written = call.left.expect("a write that was over");
                    transactions.push(Transaction { records: std::mem::take(&mut records), written });
                }
            }
            (_, length) => panic!("{length} bytes at {} are no part of a log that is known here", call.last),
        }
    }
    transactions
}

/// A frame with a database size in its header is the last of its transaction.
fn seals(header: &[u8]) -> bool {
    header[4..8] != [0; 4]
}

/// Looks for ids as 16 bytes.
pub(crate) struct Wanted<'w> {
    ids: &'w HashSet<Uuid>,
    /// All are of the same hours, so their first bytes are the same few: most places need no look-up.
    beginnings: Vec<[u8; 2]>,
}

impl<'w> Wanted<'w> {
    pub(crate) fn new(ids: &'w HashSet<Uuid>) -> Self {
        let beginnings: HashSet<[u8; 2]> =
            ids.iter().map(|id| [id.as_bytes()[0], id.as_bytes()[1]]).collect();
        Self { ids, beginnings: beginnings.into_iter().collect() }
    }

    /// The ids in these bytes, each with the place where it begins.
    pub(crate) fn in_bytes(&self, bytes: &[u8]) -> Vec<(usize, Uuid)> {
        let mut found = Vec::new();
        for (place, window) in bytes.windows(16).enumerate() {
            if self.beginnings.iter().any(|two| window[0] == two[0] && window[1] == two[1]) {
                let id = Uuid::from_slice(window).expect("16 bytes");
                if self.ids.contains(&id) {
                    found.push((place, id));
                }
            }
        }
        found
    }
}
