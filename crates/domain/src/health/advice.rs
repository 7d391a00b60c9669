//! What a link's clicks say about how it was set up, and what to do about it. What was seen is told to everybody in the
//! same words; the next step is the partner's or the network's.

use super::{Health, Judged, Newest};
use crate::click::Verdict;
use crate::format::Numbers;
use crate::report::Clicks;
use crate::time::Timestamp;
use crate::visible::line;

/// Clicks from which on a share of them means something.
const ENOUGH: usize = 20;
/// A member id on more than this share of the newest clicks, in percent, is no person's.
const CONSTANT: usize = 20;
/// Click ids that come again on more than this share, in percent.
const REUSED: usize = 2;
/// Hits of bots beyond this share, in percent.
const BOTS: i64 = 30;
/// Hits of one verdict that are told of even when they are less than a hundredth.
const MANY: i64 = 20;
/// The longest value that is shown in full, in characters.
const WIDEST: usize = 80;

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing happens: the link is not used.
    Idle,
    /// Worth knowing.
    Notice,
    /// Visitors are turned away, or conversions will not count.
    Loss,
}

/// One thing that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// How much it matters.
    pub weight: Weight,
    /// How many clicks it is about.
    pub clicks: i64,
    /// What was seen, a sentence without its full stop.
    pub what: String,
    /// When the last of these clicks came, where that is known.
    pub last: Option<Timestamp>,
    /// What the network may do.
    pub for_network: &'static str,
    /// What the partner may do.
    pub for_partner: &'static str,
}

impl Advice {
    /// What was seen, with the time of the last one in UTC.
    pub fn told(&self) -> String {
        match self.last {
            Some(last) => format!("{}; the last one at {last}", self.what),
            None => self.what.clone(),
        }
    }
}

/// The next step: the network's, and the partner's.
type Steps = (&'static str, &'static str);

const VARY: Steps = (
    "let the partner send a value that is another one for each of its users, or its click id",
    "send a value that is another one for each of your users, or your click id where you have no user ids",
);

/// Everything that looks wrong with a link's clicks of so many days, worst first, with its numbers as the reader
/// writes them.
pub fn advice(health: &Health, days: i64, numbers: Numbers) -> Vec<Advice> {
    let total = health.total();
    if total.hits == 0 {
        let steps = (
            "ask the partner whether it uses the link, and try it: `pitlane link check URL`",
            "open the link once yourself with test values, and look what becomes of the click",
        );
        return vec![seen(Weight::Idle, 0, format!("nobody followed this link in {days} days"), steps)];
    }
    let newest = &health.newest;
    let often = |hits: i64| hits >= MANY || hits * 100 >= total.hits;
    let judged = health.verdicts.iter().filter(|judged| often(judged.clicks.hits));
    let judged = judged.filter_map(|judged| of_verdict(judged, total.hits, days));
    constant(newest, numbers)
        .into_iter()
        .chain(reused(newest, numbers))
        .chain(judged)
        .chain(bots(&total))
        .collect()
}

fn seen(weight: Weight, clicks: i64, what: String, (for_network, for_partner): Steps) -> Advice {
    Advice { weight, clicks, what, last: None, for_network, for_partner }
}

fn of_verdict(judged: &Judged, hits: i64, days: i64) -> Option<Advice> {
    let (weight, what, steps) = about(judged.verdict)?;
    let share = percent(judged.clicks.hits, hits);
    let what = format!("{share} of the hits of {days} days {what}");
    Some(Advice { last: Some(judged.last), ..seen(weight, judged.clicks.hits, what, steps) })
}

fn constant(newest: &Newest, numbers: Numbers) -> Option<Advice> {
    let (member, count) = newest.top_members.first()?;
    // A partner without user ids sends its click id for both; then one value is one click.
    let constant =
        newest.clicks >= ENOUGH && count * 100 > newest.clicks * CONSTANT && newest.same * 2 <= newest.clicks;
    let what = || {
        format!(
            "{} of the last {} clicks carry the same pub_member_id `{}`; only its first conversion will count",
            share(*count, newest.clicks),
            numbers.count(int(newest.clicks)),
            line(member, WIDEST)
        )
    };
    constant.then(|| seen(Weight::Loss, int(*count), what(), VARY))
}

fn reused(newest: &Newest, numbers: Numbers) -> Option<Advice> {
    let again = newest.clicks.saturating_sub(newest.click_ids);
    let often = newest.clicks >= ENOUGH && again * 100 > newest.clicks * REUSED;
    let what = || {
        format!(
            "{} of the last {} clicks carry a pub_click_id that another one of them carries",
            share(again, newest.clicks),
            numbers.count(int(newest.clicks))
        )
    };
    let steps = (
        "let the partner make a new click id for each click; its tracker cannot tell these apart",
        "send a new click id for each click; your tracker cannot tell these apart",
    );
    often.then(|| seen(Weight::Loss, int(again), what(), steps))
}

fn bots(total: &Clicks) -> Option<Advice> {
    let steps = (
        "ask the partner where the link stands; links in public pages are followed by crawlers",
        "look where the link stands; links in public pages are followed by crawlers",
    );
    let what = || {
        format!(
            "{} of the hits are bots'; they are recorded and not counted",
            percent(total.bots, total.hits)
        )
    };
    (total.bots * 100 > total.hits * BOTS).then(|| seen(Weight::Notice, total.bots, what(), steps))
}

/// What a verdict says about the link, for those that its partner can mend.
fn about(verdict: Verdict) -> Option<(Weight, &'static str, Steps)> {
    Some(match verdict {
        Verdict::MemberIdEmpty => (Weight::Loss, "came without pub_member_id", EMPTY_MEMBER),
        Verdict::ClickIdEmpty => (Weight::Loss, "came without pub_click_id", EMPTY_CLICK),
        Verdict::MemberIdMacro | Verdict::ClickIdMacro => {
            (Weight::Loss, "carried a placeholder that the partner's tracker did not replace", PLACEHOLDER)
        }
        Verdict::ParameterMalformed => (Weight::Loss, "carried a parameter that cannot be read", MALFORMED),
        Verdict::MemberIdStatic => {
            (Weight::Loss, "carried a member id that most of the link's clicks had", VARY)
        }
        Verdict::ClickIdReused => (Weight::Loss, "carried a click id that had come before", REUSED_CLICK),
        Verdict::PartnerNotApproved => (Weight::Notice, "came while the link was not approved", NOT_APPROVED),
        Verdict::TargetMismatch => {
            (Weight::Notice, "came from visitors whom the offer does not take", NOT_TARGETED)
        }
        _ => return None,
    })
}

const EMPTY_MEMBER: Steps = (
    "let the partner fill in its user id; these visitors were turned away",
    "fill in your user id; these visitors were turned away",
);
const EMPTY_CLICK: Steps = (
    "let the partner fill in its click id; these visitors were turned away",
    "fill in your click id; these visitors were turned away",
);
const PLACEHOLDER: Steps = (
    "let the partner look up how its tracker writes this macro; these visitors were turned away",
    "look up how your tracker writes this macro; these visitors were turned away",
);
const MALFORMED: Steps = (
    "let the partner percent-encode its values, and give each parameter once",
    "percent-encode your values, and give each parameter once",
);
const REUSED_CLICK: Steps =
    ("let the partner make a new click id for each click", "send a new click id for each click");
const NOT_APPROVED: Steps = (
    "approve the link, or ask the partner to take it down",
    "ask the network to approve the link, and take it down until then",
);
const NOT_TARGETED: Steps = (
    "tell the partner the offer's targeting, or send these visitors to a fallback",
    "send only visitors whom the offer's targeting takes",
);

fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn share(part: usize, of: usize) -> String {
    percent(int(part), int(of))
}

/// Whole percents, and `less than 1 %` for what is not nothing.
fn percent(part: i64, of: i64) -> String {
    match part.saturating_mul(100) / of.max(1) {
        0 if part > 0 => "less than 1 %".to_owned(),
        whole => format!("{whole} %"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::{Weight, advice, percent};
    use crate::format::Numbers;
    use crate::health::{Health, Newest};

    fn newest(clicks: usize, top: usize) -> Newest {
        Newest {
            clicks,
            members: 10,
            click_ids: clicks,
            same: 0,
            top_members: vec![("site_12".to_owned(), top)],
            top_click_ids: Vec::new(),
        }
    }

    fn constant(newest: &Newest) -> Option<super::Advice> {
        super::constant(newest, Numbers::CommaPoint)
    }

    fn reused(newest: &Newest) -> Option<super::Advice> {
        super::reused(newest, Numbers::CommaPoint)
    }

    #[test]
    fn a_constant_member_is_told_with_its_share() {
        let what = constant(&newest(1_200, 816)).unwrap().what;
        let told = "68 % of the last 1,200 clicks carry the same pub_member_id `site_12`; only its first conversion \
                    will count";
        assert_eq!(what, told);
        assert_eq!(constant(&newest(1_200, 240)), None, "a busy member");
        assert_eq!(constant(&newest(19, 19)), None, "too few to tell");
        assert_eq!(constant(&Newest { same: 1_200, ..newest(1_200, 816) }), None, "click ids for both");
    }

    #[test]
    fn click_ids_that_come_again_are_told() {
        assert_eq!(reused(&newest(100, 1)), None);
        let told = reused(&Newest { click_ids: 90, ..newest(100, 1) }).unwrap();
        assert!(told.what.starts_with("10 % of the last"));
        assert_eq!(told.clicks, 10);
    }

    #[test]
    fn a_link_that_nobody_follows_is_told() {
        let told = &advice(&Health::default(), 7, Numbers::CommaPoint)[0];
        assert_eq!(
            (told.weight, told.told().as_str()),
            (Weight::Idle, "nobody followed this link in 7 days")
        );
        assert_eq!(percent(1, 1_000), "less than 1 %");
    }
}
