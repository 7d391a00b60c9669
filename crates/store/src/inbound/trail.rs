//! The rules that were looked at for a postback, in as few bytes as they need: most say the same of every postback.
//!
//! ```text
//! version 1 | for each rule: its name, with 128 added when it passed | what was compared
//! ```
//!
//! A name or a phrase that stands below is its place there, counted from 1. Another one is 0, its length in two bytes,
//! the highest first, and the text. What was compared for the rule before it as well is 127.

use std::borrow::Cow;

use domain::click::Step;

/// The version of what is written now.
const VERSION: u8 = 1;

/// What was written before began so: as JSON.
const JSON: u8 = b'[';

const PASSED: u8 = 128;
const SAME: u8 = 127;

/// Names of rules. They are stored by their places: a new one goes to the end, and none is ever taken out.
const NAMES: &[&str] = &[
    "advertiser proven",
    "parameters readable",
    "click known",
    "event and amount given",
    "postback is new",
    "sender's address allowed",
    "click id was new",
    "click was sent on",
    "not too fast",
    "not too late",
    "offer not over",
    "advertiser does not reject it",
    "event in sequence",
    "member has not completed it",
    "caps and budgets leave room",
    "approval",
];

/// What rules say of most postbacks, under the same condition.
const PHRASES: &[&str] = &[
    "no conversion has its key",
    "the advertiser's list takes it",
    "the advertiser's list does not take it",
    "new, or the offer does not mind",
    "it had come before",
    "its visitor went to the advertiser",
    "its visitor did not go to the advertiser",
    "status Active, expires never; later conversions do not count",
    "cnv_status not given",
    "cnv_status Success",
    "cnv_status Pending",
    "cnv_status Rejected",
    "the place is free",
    "repeats are allowed",
    "none are set",
    "a test is not counted",
    "Success: Automatic at once",
    "Pending: somebody decides",
];

/// The rules as they are stored.
pub(super) fn pack(steps: &[Step]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(128);
    packed.push(VERSION);
    let mut before = None;
    for step in steps {
        let passed = if step.passed { PASSED } else { 0 };
        write(&mut packed, place(NAMES, &step.rule), passed, &step.rule);
        let same = (before == Some(&step.detail)).then_some(SAME);
        write(&mut packed, same.or_else(|| place(PHRASES, &step.detail)), 0, &step.detail);
        before = Some(&step.detail);
    }
    packed
}

fn place(known: &[&str], text: &str) -> Option<u8> {
    let place = known.iter().position(|own| *own == text)?;
    u8::try_from(place + 1).ok()
}

fn write(packed: &mut Vec<u8>, place: Option<u8>, mark: u8, text: &str) {
    packed.push(place.unwrap_or(0) | mark);
    if place.is_none() {
        let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
        packed.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        packed.extend(text.as_bytes());
    }
}

/// What was stored are not the rules of a postback.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damaged {
    #[error("the packed rules of a postback are damaged")]
    Packed,
    #[error("the rules of a postback are damaged")]
    Json(#[source] serde_json::Error),
}

/// The rules out of what is stored; nothing at all are none.
pub(super) fn unpack(stored: &[u8]) -> Result<Vec<Step>, Damaged> {
    match stored.split_first() {
        None => Ok(Vec::new()),
        Some((&JSON, _)) => serde_json::from_slice(stored).map_err(Damaged::Json),
        Some((&VERSION, packed)) => steps(packed).ok_or(Damaged::Packed),
        Some(_) => Err(Damaged::Packed),
    }
}

fn steps(mut packed: &[u8]) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    while let Some((name, rest)) = packed.split_first() {
        packed = rest;
        let rule = text(NAMES, name & !PASSED, &mut packed)?;
        let detail = match *packed.split_off_first()? {
            SAME => steps.last()?.detail.clone(),
            phrase => text(PHRASES, phrase, &mut packed)?.into_owned(),
        };
        steps.push(Step { rule, passed: name & PASSED != 0, detail });
    }
    Some(steps)
}

/// The text at a place, or the one that follows.
fn text(known: &[&'static str], place: u8, packed: &mut &[u8]) -> Option<Cow<'static, str>> {
    match usize::from(place).checked_sub(1) {
        Some(index) => known.get(index).copied().map(Cow::Borrowed),
        None => read(packed).map(Cow::Owned),
    }
}

fn read(packed: &mut &[u8]) -> Option<String> {
    let length = u16::from_be_bytes([*packed.split_off_first()?, *packed.split_off_first()?]);
    let text = packed.split_off(..usize::from(length))?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rule: &'static str, passed: bool, detail: &str) -> Step {
        Step { rule: rule.into(), passed, detail: detail.to_owned() }
    }

    #[test]
    fn rules_come_back_as_they_were_stored() {
        let long = "é".repeat(40_000);
        let given = [
            step("postback is new", true, "no conversion has its key"),
            step("not too fast", true, "3.200 s after the click, 0 s to 30 d allowed"),
            step("not too late", false, "3.200 s after the click, 0 s to 30 d allowed"),
            step("a rule of tomorrow", true, ""),
            step("approval", true, &long),
        ];
        let packed = pack(&given);
        let read = unpack(&packed).unwrap();
        assert_eq!(read[..4], given[..4]);
        assert!(long.starts_with(&read[4].detail) && read[4].detail.len() == 65_534);
        assert_eq!(pack(&given[..3]).len(), 1 + 2 + 2 + 46 + 2, "known texts are a byte each");
        assert_eq!(unpack(&[]).unwrap(), [], "an erased request has none");
        assert_eq!(
            unpack(br#"[{"rule":"approval","passed":true,"detail":"x"}]"#).unwrap(),
            [step("approval", true, "x")]
        );
    }

    #[test]
    fn what_is_damaged_is_told() {
        let packed = pack(&[step("approval", true, "a text of its own")]);
        for end in 2..packed.len() {
            assert!(unpack(&packed[..end]).is_err(), "{end}");
        }
        for damaged in [&[VERSION, 100][..], &[VERSION, 1, 100], &[VERSION, 1, SAME], &[2], b"[{"] {
            assert!(unpack(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn places_fit_beside_their_marks() {
        assert!(NAMES.len() < usize::from(SAME) && PHRASES.len() < usize::from(SAME));
    }
}
