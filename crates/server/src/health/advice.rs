//! What a link's clicks say about how it was set up, and what to do about it.

use domain::click::Verdict;
use domain::report::Clicks;
use store::health::{Health, Newest};

use crate::terminal::line;

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

/// One thing that looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    /// What was seen.
    pub(super) what: String,
    /// What to do.
    pub(super) next: &'static str,
}

/// Everything that looks wrong, worst first.
pub(super) fn of(health: &Health, days: i64) -> Vec<Warning> {
    let mut total = Clicks::default();
    for judged in &health.verdicts {
        total.add(&judged.clicks);
    }
    if total.hits == 0 {
        return vec![Warning {
            what: format!("nobody followed this link in {days} days"),
            next: "ask the partner whether it uses the link, and try it: `pitlane link check URL`",
        }];
    }
    let newest = &health.newest;
    let often = |hits: i64| hits >= MANY || hits * 100 >= total.hits;
    let judged = health.verdicts.iter().filter(|judged| often(judged.clicks.hits)).filter_map(|judged| {
        let (what, next) = about(judged.verdict)?;
        let share = percent(judged.clicks.hits, total.hits);
        let what = format!("{share} of the hits of {days} days {what}; the last one at {}", judged.last);
        Some(Warning { what, next })
    });
    constant(newest).into_iter().chain(reused(newest)).chain(judged).chain(bots(&total)).collect()
}

fn constant(newest: &Newest) -> Option<Warning> {
    let (member, count) = newest.top_members.first()?;
    // A partner without user ids sends its click id for both; then one value is one click.
    let constant =
        newest.clicks >= ENOUGH && count * 100 > newest.clicks * CONSTANT && newest.same * 2 <= newest.clicks;
    constant.then(|| Warning {
        what: format!(
            "{} of the last {} clicks carry the same pub_member_id `{}`; only its first conversion will count",
            share(*count, newest.clicks),
            newest.clicks,
            line(member, WIDEST)
        ),
        next: "let the partner send a value that is another one for each of its users, or its click id",
    })
}

fn reused(newest: &Newest) -> Option<Warning> {
    let again = newest.clicks.saturating_sub(newest.click_ids);
    let often = newest.clicks >= ENOUGH && again * 100 > newest.clicks * REUSED;
    often.then(|| Warning {
        what: format!(
            "{} of the last {} clicks carry a pub_click_id that another one of them carries",
            share(again, newest.clicks),
            newest.clicks
        ),
        next: "let the partner make a new click id for each click; its tracker cannot tell these apart",
    })
}

fn bots(total: &Clicks) -> Option<Warning> {
    (total.bots * 100 > total.hits * BOTS).then(|| Warning {
        what: format!(
            "{} of the hits are bots'; they are recorded and not counted",
            percent(total.bots, total.hits)
        ),
        next: "ask the partner where the link stands; links in public pages are followed by crawlers",
    })
}

/// What a verdict says about the link, for those that its partner can mend.
fn about(verdict: Verdict) -> Option<(&'static str, &'static str)> {
    Some(match verdict {
        Verdict::MemberIdEmpty => (
            "came without pub_member_id",
            "let the partner fill in its user id; these visitors were turned away",
        ),
        Verdict::ClickIdEmpty => (
            "came without pub_click_id",
            "let the partner fill in its click id; these visitors were turned away",
        ),
        Verdict::MemberIdMacro | Verdict::ClickIdMacro => (
            "carried a placeholder that the partner's tracker did not replace",
            "let the partner look up how its tracker writes this macro; these visitors were turned away",
        ),
        Verdict::ParameterMalformed => (
            "carried a parameter that cannot be read",
            "let the partner percent-encode its values, and give each parameter once",
        ),
        Verdict::MemberIdStatic => (
            "carried a member id that most of the link's clicks had",
            "let the partner send a value that is another one for each of its users, or its click id",
        ),
        Verdict::ClickIdReused => {
            ("carried a click id that had come before", "let the partner make a new click id for each click")
        }
        Verdict::PartnerNotApproved => {
            ("came while the link was not approved", "approve the link, or ask the partner to take it down")
        }
        Verdict::TargetMismatch => (
            "came from visitors whom the offer does not take",
            "tell the partner the offer's targeting, or send these visitors to a fallback",
        ),
        _ => return None,
    })
}

fn share(part: usize, of: usize) -> String {
    percent(i64::try_from(part).unwrap_or(i64::MAX), i64::try_from(of).unwrap_or(i64::MAX))
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
    use domain::report::Clicks;
    use store::health::{Health, Newest};

    use super::{constant, of, percent, reused};

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

    #[test]
    fn a_constant_member_is_told_with_its_share() {
        let what = constant(&newest(1_200, 816)).unwrap().what;
        let told = "68 % of the last 1200 clicks carry the same pub_member_id `site_12`; only its first conversion \
                    will count";
        assert_eq!(what, told);
        assert_eq!(constant(&newest(1_200, 240)), None, "a busy member");
        assert_eq!(constant(&newest(19, 19)), None, "too few to tell");
        assert_eq!(constant(&Newest { same: 1_200, ..newest(1_200, 816) }), None, "click ids for both");
    }

    #[test]
    fn click_ids_that_come_again_are_told() {
        assert_eq!(reused(&newest(100, 1)), None);
        assert!(
            reused(&Newest { click_ids: 90, ..newest(100, 1) }).unwrap().what.starts_with("10 % of the last")
        );
    }

    #[test]
    fn a_link_that_nobody_follows_is_told() {
        let health = Health { verdicts: Vec::new(), quarters: Vec::new(), newest: Newest::default() };
        assert_eq!(of(&health, 7)[0].what, "nobody followed this link in 7 days");
        assert_eq!(percent(1, 1_000), "less than 1 %");
        assert_eq!(Clicks::default().refused(), 0);
    }
}
