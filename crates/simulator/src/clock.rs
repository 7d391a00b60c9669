//! The simulators' own clock: two strangers do not share Pitlane's.

use jiff::Timestamp;

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// `2026-11-22 20:15:04.123 UTC`, or the bare number when it is no time at all.
pub(crate) fn show(at_ms: i64) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S.%3f UTC").to_string(),
        Err(_) => at_ms.to_string(),
    }
}
