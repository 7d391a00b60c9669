//! A link's health: what its clicks carry and how they were judged, and what that says about how the link was set up,
//! in words that the partner and the network both read.

mod advice;

use std::collections::HashMap;

pub use advice::{Advice, Weight, advice};

use crate::click::Verdict;
use crate::id::ClickId;
use crate::report::Clicks;
use crate::sketch::Seen;
use crate::time::Timestamp;

/// A link's clicks from one moment until before another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// By verdict, in the order of the contract.
    pub verdicts: Vec<Judged>,
    /// By quarter and verdict, oldest first.
    pub quarters: Vec<Quarter>,
    /// The newest clicks.
    pub newest: Newest,
}

impl Health {
    /// All clicks of the range.
    pub fn total(&self) -> Clicks {
        let mut total = Clicks::default();
        self.verdicts.iter().for_each(|judged| total.add(&judged.clicks));
        total
    }
}

/// The clicks of one verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// How many.
    pub clicks: Clicks,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// The newest of them; none when they are no longer kept.
    pub examples: Vec<ClickId>,
}

/// The clicks of one verdict in one quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarter {
    /// Its first moment.
    pub start: Timestamp,
    /// The verdict.
    pub verdict: Verdict,
    /// How many.
    pub clicks: Clicks,
}

/// What the newest clicks carry: exact, of so many clicks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Newest {
    /// How many were looked at.
    pub clicks: usize,
    /// How many different member ids they carry.
    pub members: usize,
    /// How many different click ids.
    pub click_ids: usize,
    /// On how many both ids are the same: the partner has no member ids.
    pub same: usize,
    /// The most frequent member ids, with how many clicks carry them.
    pub top_members: Vec<(String, usize)>,
    /// The most frequent click ids.
    pub top_click_ids: Vec<(String, usize)>,
}

impl Newest {
    /// What a sketch remembers of a link's newest clicks. A sketch knows no text: `name` gives the member id of one of
    /// the clicks that carry the most frequent one, and is only asked when clicks share it.
    pub fn of<E>(seen: &[Seen], name: impl FnOnce(Seen) -> Result<Option<String>, E>) -> Result<Self, E> {
        let mut members: HashMap<u32, (usize, Seen)> = HashMap::new();
        for one in seen {
            let (count, newest) = members.entry(one.member).or_insert((0, *one));
            *count += 1;
            *newest = *one;
        }
        let mut click_ids: Vec<u64> = seen.iter().map(|one| one.click).collect();
        click_ids.sort_unstable();
        click_ids.dedup();
        let top = members.values().max_by_key(|(count, newest)| (*count, newest.member));
        let top = top.filter(|(count, _)| *count > 1).copied();
        let named = top.map(|(count, newest)| Ok(name(newest)?.map(|text| (text, count)))).transpose()?;
        Ok(Self {
            clicks: seen.len(),
            members: members.len(),
            click_ids: click_ids.len(),
            same: seen.iter().filter(|one| one.is_click_for_member()).count(),
            top_members: named.flatten().into_iter().collect(),
            top_click_ids: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::convert::Infallible;

    use super::{Newest, advice};
    use crate::format::Numbers;
    use crate::health::Health;
    use crate::sketch::Seen;
    use crate::time::Timestamp;

    fn seen(click: &str, member: &str) -> Seen {
        Seen::of(click, member, None, "", Timestamp::from_ms(0))
    }

    #[test]
    fn a_sketch_tells_shares_and_asks_for_one_name() {
        let clicks: Vec<Seen> =
            (0..25).map(|n| seen(&format!("c{n}"), if n % 5 == 0 { "m" } else { "site_12" })).collect();
        let name =
            |one: Seen| Ok::<_, Infallible>((one.member == clicks[1].member).then(|| "site_12".to_owned()));
        let newest = Newest::of(&clicks, name).unwrap();
        assert_eq!((newest.clicks, newest.members, newest.click_ids, newest.same), (25, 2, 25, 0));
        assert_eq!(newest.top_members, [("site_12".to_owned(), 20)]);
    }

    #[test]
    fn click_ids_for_members_are_known_by_their_hashes() {
        let clicks: Vec<Seen> = (0..25).map(|n| seen(&format!("c{n}"), &format!("c{n}"))).collect();
        let newest =
            Newest::of(&clicks, |_| -> Result<_, Infallible> { unreachable!("each came once") }).unwrap();
        assert_eq!((newest.same, newest.top_members.len()), (25, 0));
        assert_eq!(
            advice(&Health { newest, ..Health::default() }, 7, Numbers::CommaPoint).len(),
            1,
            "nothing but that nobody came"
        );
    }
}
