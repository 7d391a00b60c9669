//! The Checklist tab of an offer's page: what a link needs before money comes, ticked by the system from what it
//! has seen, never by hand: that the link was copied is told by the button that does it. Test clicks count too: they
//! are how the list is worked through.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::click::{Click, Verdict};
use domain::conversion::Status;
use domain::delivery::DeliveryState;
use domain::health::Health;
use domain::time::Timestamp;
use domain::visit::Param;
use store::{Error, Tx};

use crate::component::Tab;
use crate::format::Format;
use crate::health::{self, DAYS, Warned};
use crate::offer::{Own, Show, find};
use crate::page::{self, Answer, Shell};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// Test clicks and conversions that are looked at.
const TESTS: i64 = 20;
/// Values that come again on more than this share of clicks, in percent, are not one's own.
const REPEATED: usize = 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Whether it is so.
    done: bool,
    /// What is to be so.
    word: &'static str,
    /// What was seen; empty for nothing.
    seen: String,
    /// What to do next; empty when it is done.
    next: &'static str,
    /// Where to do it: an address below the offer's page.
    href: &'static str,
}

/// What the system has seen of a link.
#[derive(Debug, Default)]
struct Evidence {
    /// When it was copied first, and by whom.
    copied: Option<(Timestamp, String)>,
    /// Its clicks of the last days.
    health: Health,
    /// Its newest test clicks.
    tests: Vec<Click>,
    /// How its newest test conversions stand.
    converted: Vec<Status>,
    /// Whether a postback of one of its conversions was answered, and whether one is under way.
    answered: bool,
    waiting: bool,
    /// How the last attempt ended, when none was answered.
    last_result: String,
}

#[derive(Template)]
#[template(path = "offer/checklist.html")]
struct Page {
    shell: Shell,
    tabs: Vec<Tab>,
    path: String,
    has_link: bool,
    lines: Vec<Line>,
    done: usize,
    days: i64,
    warnings: Vec<Warned>,
}

/// `GET /offers/{offer}/checklist`
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let own = found.own;
    let evidence = site.app.db.read(move |tx| own.map(|own| evidence(tx, own)).transpose()).await?;
    let mut evidence = evidence.unwrap_or_default();
    let mut warnings = Vec::new();
    let link = own.and_then(|own| viewer.link(own.id));
    if let Some(link) = link {
        let (health, shown) = health::of_link(&site, &viewer, link).await?;
        (evidence.health, warnings) = (health, shown.warnings);
    }
    let lines = lines(&evidence, &viewer.format);
    let page = Page {
        shell: found.shell(&viewer),
        tabs: found.tabs(Show::Checklist),
        path: found.path(),
        has_link: own.is_some(),
        done: lines.iter().filter(|line| line.done).count(),
        lines,
        days: DAYS,
        warnings,
    };
    Ok(page::html(StatusCode::OK, &page))
}

/// `POST /offers/{offer}/copied`: the viewer copied the link, as the button's script says, or they themselves.
pub(crate) async fn note_copied(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let own = found.own.ok_or(Refused::Absent)?;
    let (user, at) = (viewer.user.id, viewer.now);
    site.app.db.write(move |tx| store::link_copy::note(tx, own.id, user, at)).await?;
    Ok(page::see_other(&format!("{}/checklist", found.path())))
}

fn evidence(tx: &mut Tx<'_>, own: Own) -> Result<Evidence, Error> {
    let tests = store::activity::test_clicks(tx, own.id, TESTS)?;
    let converted = store::activity::test_conversions(tx, own.id, TESTS)?;
    let copied = store::link_copy::first(tx, own.id)?;
    let mut evidence = Evidence { copied, tests, ..Evidence::default() };
    let newest = store::activity::conversions(tx, own.id, TESTS)?;
    for conversion in converted.iter().chain(&newest) {
        if evidence.answered {
            break;
        }
        for delivery in store::delivery::by_conversion(tx, conversion.id)? {
            evidence.answered |= delivery.state == DeliveryState::Delivered;
            evidence.waiting |= delivery.state == DeliveryState::Pending;
            if let Some(attempt) = delivery.attempts.last().filter(|_| evidence.last_result.is_empty()) {
                evidence.last_result.clone_from(&attempt.result);
            }
        }
    }
    evidence.converted = converted.iter().map(|conversion| conversion.status).collect();
    Ok(evidence)
}

/// Every line, in the order in which they are done.
fn lines(seen: &Evidence, format: &Format) -> Vec<Line> {
    vec![
        copied(seen, format),
        present(seen, Param::ClickId, [Verdict::ClickIdEmpty, Verdict::ClickIdMacro], format),
        present(seen, Param::MemberId, [Verdict::MemberIdEmpty, Verdict::MemberIdMacro], format),
        redirects(seen, format),
        unique(seen, format),
        varies(seen, format),
        tested(seen),
        converted(seen),
        answered(seen),
    ]
}

fn line(done: bool, word: &'static str, seen: String, (next, href): (&'static str, &'static str)) -> Line {
    let (next, href) = if done { ("", "") } else { (next, href) };
    Line { done, word, seen, next, href }
}

/// Copied with the page's button; or with the mouse, and then the first click tells.
fn copied(seen: &Evidence, format: &Format) -> Line {
    let clicked = seen.health.total().hits > 0 || !seen.tests.is_empty();
    let told = match &seen.copied {
        Some((at, email)) => format!("by {email}, {}", format.time(*at)),
        None if clicked => "a click came over it".to_owned(),
        None => String::new(),
    };
    let next = ("Copy the Offer URL, with your tracker's macros filled in.", "#link");
    line(clicked || seen.copied.is_some(), "Link copied", told, next)
}

/// How many hits had one of these verdicts.
fn hits(health: &Health, verdicts: [Verdict; 2]) -> i64 {
    let own = health.verdicts.iter().filter(|judged| verdicts.contains(&judged.verdict));
    own.map(|judged| judged.clicks.hits).sum()
}

/// A parameter is there when hits came and hardly any lacked it; before there are hits, the last test click tells.
fn present(seen: &Evidence, param: Param, lacking: [Verdict; 2], format: &Format) -> Line {
    let (word, given): (_, fn(&Click) -> bool) = match param {
        Param::ClickId => ("pub_click_id present", |click| click.pub_click_id.is_some()),
        _ => ("pub_member_id present", |click| click.pub_member_id.is_some()),
    };
    let fill = "Fill your tracker's macro in under Customize URL; these visitors were turned away.";
    let total = seen.health.total().hits;
    let lacked = hits(&seen.health, lacking);
    if total > 0 {
        let told = if lacked == 0 {
            format!("on all of {} clicks", format.count(total))
        } else {
            format!("missing or not replaced on {} of the clicks", format.percent(lacked, total))
        };
        return line(lacked * 100 <= total, word, told, (fill, "#customise"));
    }
    let last = seen.tests.first();
    let good = last.is_some_and(|click| given(click) && !lacking.contains(&click.verdict));
    let told = match (last, good) {
        (None, _) => String::new(),
        (Some(_), true) => "on the last test click".to_owned(),
        (Some(_), false) => "missing or not replaced on the last test click".to_owned(),
    };
    line(good, word, told, ("Make a test click with the parameter filled in.", "/test"))
}

fn redirects(seen: &Evidence, format: &Format) -> Line {
    let word = "Link redirects";
    let sent: i64 = seen.health.total().sent_on;
    if sent > 0 {
        return line(true, word, format!("{} visitors sent on", format.count(sent)), ("", ""));
    }
    let last = seen.tests.first();
    let sends_on = |click: &Click| click.verdict.sends_on() && !click.facts.destination.is_empty();
    let told = match last {
        Some(click) if sends_on(click) => "the last test click was sent on".to_owned(),
        Some(click) => format!("the last test click was {}", click.verdict),
        None => String::new(),
    };
    line(
        last.is_some_and(sends_on),
        word,
        told,
        ("Make a test click and read which rule stopped it.", "/test"),
    )
}

fn unique(seen: &Evidence, format: &Format) -> Line {
    let word = "Click ids unique";
    let newest = &seen.health.newest;
    let next = "Send a new click id with every click; make two test clicks with different ones.";
    if newest.clicks > 1 {
        let told = apart(newest.click_ids, newest.clicks, format);
        return line(newest.click_ids * 100 >= newest.clicks * 98, word, told, (next, "#customise"));
    }
    different(seen, word, (next, "/test"), |click| click.pub_click_id.as_deref())
}

fn varies(seen: &Evidence, format: &Format) -> Line {
    let word = "Member ids vary";
    let newest = &seen.health.newest;
    let next = "Send a value that is another one for each of your users, or reuse the click id.";
    if newest.clicks > 1 {
        let top = newest.top_members.first().map_or(0, |(_, count)| *count);
        let constant = newest.members < 2 || (newest.clicks >= 20 && top * 100 > newest.clicks * REPEATED);
        let told = apart(newest.members, newest.clicks, format);
        return line(!constant, word, told, (next, "#customise"));
    }
    different(seen, word, (next, "/test"), |click| click.pub_member_id.as_deref())
}

fn apart(values: usize, clicks: usize, format: &Format) -> String {
    format!("{} different ones on the last {} clicks", format.len(values), format.len(clicks))
}

/// Whether test clicks carried more than one value.
fn different<'c>(
    seen: &'c Evidence,
    word: &'static str,
    next: (&'static str, &'static str),
    value: impl Fn(&'c Click) -> Option<&'c str>,
) -> Line {
    let values: Vec<&str> = seen.tests.iter().filter_map(value).collect();
    let own: HashSet<&str> = values.iter().copied().collect();
    let told = match values.len() {
        0 => String::new(),
        1 => "one test click so far".to_owned(),
        all => format!("{} different ones on {all} test clicks", own.len()),
    };
    line(own.len() > 1, word, told, next)
}

fn tested(seen: &Evidence) -> Line {
    let good = seen.tests.iter().filter(|click| click.verdict.sends_on()).count();
    let told = if seen.tests.is_empty() {
        String::new()
    } else {
        format!("{good} of the last {} were sent on", seen.tests.len())
    };
    line(good > 0, "A test click seen", told, ("Make a test click.", "/test"))
}

fn converted(seen: &Evidence) -> Line {
    let good = seen.converted.iter().filter(|status| **status != Status::Rejected).count();
    let told = if seen.converted.is_empty() {
        String::new()
    } else {
        format!("{good} of the last {} would count", seen.converted.len())
    };
    line(good > 0, "A test conversion seen", told, ("Make a test conversion of a test click.", "/test"))
}

fn answered(seen: &Evidence) -> Line {
    let word = "Postback answered";
    if seen.answered {
        return line(true, word, "your server took it".to_owned(), ("", ""));
    }
    let (told, next) = match (seen.waiting, seen.last_result.is_empty()) {
        (_, false) => (
            format!("the last attempt: {}", seen.last_result),
            ("Look at the answer, mend your endpoint, and send it again.", "/postbacks"),
        ),
        (true, true) => {
            ("one is on its way".to_owned(), ("Wait a few seconds, and load this page again.", "/test"))
        }
        (false, true) if seen.converted.is_empty() => {
            (String::new(), ("Make a test conversion; its postback is sent at once.", "/test"))
        }
        (false, true) => (
            "no postback wanted to hear of it".to_owned(),
            ("Set up a postback, then make a test conversion.", "/postbacks"),
        ),
    };
    line(false, word, told, next)
}

#[cfg(test)]
mod tests {
    use domain::click::{Facts, Marks};
    use domain::health::{Judged, Newest};
    use domain::id::{ClickId, LinkId};
    use domain::report::Clicks;
    use uuid::Uuid;

    use super::*;

    fn test_click(number: u128, verdict: Verdict) -> Click {
        Click {
            id: ClickId(Uuid::from_u128(number)),
            link: LinkId(Uuid::nil()),
            verdict,
            marks: Marks::TEST,
            pub_click_id: (verdict != Verdict::ClickIdEmpty).then(|| format!("c{number}")),
            pub_member_id: Some(format!("m{number}")),
            facts: Facts { destination: "https://shop.example/".to_owned(), ..Facts::default() },
        }
    }

    fn ticks(seen: &Evidence) -> String {
        lines(seen, &Format::sample()).iter().map(|line| if line.done { 'x' } else { '.' }).collect()
    }

    #[test]
    fn the_list_is_worked_through_with_tests() {
        let mut seen = Evidence::default();
        assert_eq!(ticks(&seen), ".........");
        seen.copied = Some((Timestamp::from_ms(0), "ada@app.example".to_owned()));
        assert_eq!(ticks(&seen), "x........");
        seen.copied = None;
        assert!(
            lines(&seen, &Format::sample()).iter().all(|line| !line.next.is_empty() && !line.href.is_empty())
        );
        seen.tests = vec![test_click(1, Verdict::ClickIdEmpty)];
        seen.tests[0].facts.destination.clear();
        assert_eq!(ticks(&seen), "x.x......");
        seen.tests = vec![test_click(1, Verdict::Ok)];
        assert_eq!(ticks(&seen), "xxxx..x..");
        seen.tests.push(test_click(2, Verdict::Ok));
        assert_eq!(ticks(&seen), "xxxxxxx..");
        seen.converted = vec![Status::Success];
        assert_eq!(ticks(&seen), "xxxxxxxx.");
        assert!(lines(&seen, &Format::sample())[8].seen.contains("no postback"));
        seen.last_result = "HTTP 500".to_owned();
        assert!(lines(&seen, &Format::sample())[8].seen.contains("HTTP 500"));
        seen.answered = true;
        assert_eq!(ticks(&seen), "xxxxxxxxx");
        assert!(lines(&seen, &Format::sample()).iter().all(|line| line.next.is_empty()));
    }

    #[test]
    fn real_clicks_count_more_than_tests() {
        let clicks = |hits, sent_on| Clicks { hits, sent_on, ..Clicks::default() };
        let judged = |verdict, hits, sent_on| Judged {
            verdict,
            clicks: clicks(hits, sent_on),
            first: Timestamp::from_ms(0),
            last: Timestamp::from_ms(0),
            examples: Vec::new(),
        };
        let newest = Newest {
            clicks: 100,
            members: 3,
            click_ids: 60,
            top_members: vec![("site_12".to_owned(), 68)],
            ..Newest::default()
        };
        let verdicts = vec![judged(Verdict::Ok, 88, 88), judged(Verdict::ClickIdMacro, 12, 0)];
        let health = Health { verdicts, newest, ..Health::default() };
        let tests = vec![test_click(1, Verdict::Ok), test_click(2, Verdict::Ok)];
        let seen = Evidence { health, tests, ..Evidence::default() };
        assert_eq!(ticks(&seen), "x.xx..x..");
        assert!(
            lines(&seen, &Format::sample())[1].seen.contains("12.0"),
            "{:?}",
            lines(&seen, &Format::sample())[1]
        );
    }
}
