//! A story as people read it: what happened, in order of time, with the distance from the first moment.

use std::fmt::Write as _;

use domain::click::Step;
use domain::conversion::{Reason, Waiting};

use store::story::{
    At, Attempted, Brief, Converted, LISTED, Owner, Request, Rules, Story, Told, Visited, Waits,
};

use super::Answer;
use crate::terminal::line;

/// The longest text of a stranger that is shown in full, in characters.
const MOST: usize = 400;

/// One thing that happened, with what there is to say about it.
struct Moment {
    at: At,
    title: String,
    details: Vec<String>,
}

impl Moment {
    fn new(at: At, title: impl Into<String>) -> Self {
        Self { at, title: title.into(), details: Vec::new() }
    }

    fn with(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    fn maybe(self, detail: Option<impl Into<String>>) -> Self {
        match detail {
            Some(detail) => self.with(detail),
            None => self,
        }
    }
}

/// The whole story.
pub(super) fn of(story: &Story) -> String {
    let mut moments = Vec::new();
    if let Some(click) = &story.click {
        visit(&mut moments, click, story.rules.as_ref());
    }
    moments.extend(story.requests.iter().map(request));
    for conversion in &story.conversions {
        history(&mut moments, conversion);
        for told in &conversion.deliveries {
            delivery(&mut moments, told);
        }
    }
    // What has the same time stays in the order of cause and effect.
    moments.sort_by_key(|moment| moment.at);
    let mut text = head(story);
    let first = moments.first().map(|moment| moment.at);
    for moment in &moments {
        write(&mut text, first.unwrap_or(moment.at), moment);
    }
    text.push_str(&end(story));
    text
}

fn write(text: &mut String, first: At, moment: &Moment) {
    let after_ms = moment.at.0.ms().saturating_sub(first.0.ms());
    // Writing into a String cannot fail, here and below.
    let _ = writeln!(text, "{}  {:>11}  {}", moment.at.0, offset(after_ms), moment.title);
    for detail in &moment.details {
        let _ = writeln!(text, "    {detail}");
    }
}

/// `+0.012 s`, `+12 min 5 s`, `+3 d 4 h`: exact where it is short.
fn offset(ms: i64) -> String {
    let s = ms / 1_000;
    match s {
        ..600 => format!("+{s}.{:03} s", ms % 1_000),
        600..36_000 => format!("+{} min {} s", s / 60, s % 60),
        36_000..172_800 => format!("+{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("+{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

fn head(story: &Story) -> String {
    let Some(click) = &story.click else {
        return "No click of ours: advertisers reported on it, and that is all that is known.\n\n".to_owned();
    };
    let mut text = format!("Click {} on link {}\n", click.id, click.link);
    if let Some(Owner { network, offer_slug, offer_name, advertiser, partner, partner_name, .. }) =
        &click.owner
    {
        let _ = writeln!(text, "  network {network}, advertiser {advertiser}");
        let _ = writeln!(text, "  offer   {offer_slug} ({})", line(offer_name, MOST));
        let _ = writeln!(text, "  partner {partner} ({})", line(partner_name, MOST));
    } else {
        text.push_str("  the link is no longer stored\n");
    }
    text.push('\n');
    text
}

fn visit(moments: &mut Vec<Moment>, click: &Visited, rules: Option<&Rules>) {
    let address = click.address.as_deref().unwrap_or("an address that was not kept");
    let mut came = Moment::new(click.at, format!("a visitor came from {address}"));
    if !click.user_agent.is_empty() {
        came = came.with(format!("user agent: {}", line(&click.user_agent, MOST)));
    }
    let seen = known_of(click);
    if !seen.is_empty() {
        came = came.with(format!("seen as: {}", line(&seen, MOST)));
    }
    for (name, value) in [("pub_click_id", &click.pub_click_id), ("pub_member_id", &click.pub_member_id)] {
        came = came.with(match value {
            Some(value) => format!("{name} = {}", line(value, MOST)),
            None => format!("{name} not given, or not readable"),
        });
    }
    for (name, value) in &click.parameters {
        came = came.with(format!("{name} = {}", line(value, MOST)));
    }
    if !click.marks.is_empty() {
        came = came.with(format!("marked: {}", click.marks.join(", ")));
    }
    moments.push(came);
    moments.push(decision(click, rules));
    moments.push(match &click.sent_to {
        Some(url) if click.verdict.sends_on() => {
            Moment::new(click.at, "sent on to the advertiser (302)").with(line(url, 2 * MOST))
        }
        Some(url) => Moment::new(click.at, "sent to the fallback (302)").with(line(url, 2 * MOST)),
        None => Moment::new(click.at, format!("sent nowhere: answered {}", click.http_status)),
    });
}

/// What was found out about the visitor then.
fn known_of(click: &Visited) -> String {
    let place = [click.country.map(|own| own.to_string()), click.region.clone()];
    let device = click.device.map(|own| own.to_string());
    let families = [&click.os, &click.browser].map(|own| Some(own.clone()).filter(|own| !own.is_empty()));
    place.into_iter().chain([device]).chain(families).flatten().collect::<Vec<_>>().join(", ")
}

fn decision(click: &Visited, rules: Option<&Rules>) -> Moment {
    let mut decided = Moment::new(click.at, format!("decided: {}", click.verdict));
    if !click.message.is_empty() {
        decided = decided.with(format!("said: {}", line(&click.message, MOST)));
    }
    let Some(rules) = rules else { return decided };
    decided.details.extend(rules.steps.iter().map(looked));
    if !rules.agrees {
        let now = rules.verdict;
        decided =
            decided.with(format!("With the settings of now it would be {now}: they have changed since."));
    }
    decided
}

fn looked(step: &Step) -> String {
    let mark = if step.passed { "passed" } else { "FAILED" };
    format!("{mark}  {}: {}", step.rule, line(&step.detail, MOST))
}

fn request(request: &Request) -> Moment {
    let status = request.http_status.map(|status| format!(" ({status})")).unwrap_or_default();
    let title = format!("{} reported: answered {}{status}", request.address, request.code);
    let mut moment = Moment::new(request.at, title);
    moment = moment.with(format!("{} {}", request.method, line(&request.target, MOST)));
    if !request.body.is_empty() {
        moment = moment.with(format!("body: {}", line(&request.body, MOST)));
    }
    if !request.message.is_empty() {
        moment = moment.with(format!("said: {}", line(&request.message, MOST)));
    }
    moment.details.extend(request.steps.iter().map(looked));
    moment.maybe(request.conversion.map(|id| format!("names conversion {id}; answer id {}", request.id)))
}

fn history(moments: &mut Vec<Moment>, conversion: &Converted) {
    for (version, changed) in conversion.history.iter().enumerate() {
        let status = stands(changed.status, changed.reason);
        let id = conversion.id;
        if version > 0 {
            let title = format!("conversion {id} became {status}, by {}", changed.actor);
            let note = (!changed.note.is_empty()).then(|| format!("said: {}", line(&changed.note, MOST)));
            moments.push(Moment::new(changed.at, title).maybe(note));
            continue;
        }
        let by =
            if changed.actor == "advertiser" { String::new() } else { format!(", by {}", changed.actor) };
        let mut moment = Moment::new(changed.at, format!("conversion {id} recorded: {status}{by}"));
        moment = moment.maybe(conversion.event.as_ref().map(|code| format!("event {}", line(code, MOST))));
        moment = moment.maybe(conversion.amount.as_ref().map(|amount| format!("amount {amount}")));
        moment = moment.with(format!("revenue {}, payout {}", conversion.revenue, conversion.payout));
        moment = moment.maybe(conversion.test.then_some("a test: it holds no place and counts nowhere"));
        let own = conversion.advertiser_id.as_ref();
        moment = moment.maybe(own.map(|own| format!("cnv_conversion_id = {}", line(own, MOST))));
        for (name, value) in &conversion.parameters {
            moment = moment.with(format!("{name} = {}", line(value, MOST)));
        }
        moments.push(lost(moment, conversion));
    }
    if let Some(Waits { what, until }) = &conversion.waits {
        let end = match what {
            Waiting::Approval => "becomes Success by itself",
            Waiting::Predecessor => "is rejected (out_of_sequence) unless the event before it has come",
        };
        moments.push(Moment::new(*until, format!("conversion {} {end}", conversion.id)));
    }
}

/// What kept a conversion from counting, and from being told.
fn lost(moment: Moment, conversion: &Converted) -> Moment {
    if let Some(winner) = &conversion.winner {
        let at = winner.at.map(|at| format!(", recorded {}", at.0)).unwrap_or_default();
        let click = winner.click.map(|click| format!(" from click {click}")).unwrap_or_default();
        return moment
            .with(format!("the member's place is held by conversion {}{at}{click}", winner.id))
            .with("kept as evidence: it pays nothing and the partner is not told");
    }
    match (conversion.deliveries.is_empty(), conversion.reason) {
        (false, _) => moment,
        (true, None) => {
            moment.with("nobody was told: the partner has no postback for this, or it came later")
        }
        (true, Some(_)) => {
            moment.with("nobody was told: partners hear of what is rejected where they ask for it")
        }
    }
}

fn stands(status: domain::conversion::Status, reason: Option<Reason>) -> String {
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} ({reason})"))
}

fn delivery(moments: &mut Vec<Moment>, told: &Told) {
    let slug = if told.postback.is_empty() { "(gone)" } else { &told.postback };
    let title = format!("delivery {} made: tells postback {slug} of {}", told.id, told.status);
    let filled = (told.origin == "backfill").then_some("filled in afterwards");
    moments.push(Moment::new(told.at, title).maybe(filled));
    for (number, attempt) in (1..).zip(&told.attempts) {
        moments.push(attempted(told, number, attempt));
    }
    if let Some(next) = told.next_attempt {
        let title = format!("delivery {} is due: attempt {}", told.id, told.attempts.len() + 1);
        moments.push(Moment::new(next, title));
    }
}

fn attempted(told: &Told, number: usize, attempt: &Attempted) -> Moment {
    let title =
        format!("delivery {}: attempt {number} {} in {} ms", told.id, attempt.result, attempt.elapsed_ms);
    let mut moment = Moment::new(attempt.at, line(&title, MOST));
    moment = moment.with(format!("{} {}", attempt.method, line(&attempt.url, 2 * MOST)));
    if !attempt.body.is_empty() {
        moment = moment.with(format!("body: {}", line(&attempt.body, MOST)));
    }
    if !attempt.answer.is_empty() {
        moment = moment.with(format!("answer: {}", line(&attempt.answer, MOST)));
    }
    if number == told.attempts.len() && told.state == "dead" {
        moment = moment.with(format!("given up; `pitlane delivery again {}` sends it again", told.id));
    }
    moment
}

/// What it all came to.
fn end(story: &Story) -> String {
    let mut text = String::new();
    if story.more_requests {
        text.push_str("… and more requests, which are not shown\n");
    }
    let Some(click) = &story.click else { return text };
    text.push('\n');
    if story.conversions.is_empty() {
        let led = if click.verdict.sends_on() { "no conversion yet" } else { "the visitor never left" };
        let _ = writeln!(text, "Comes to: {}, {led}.", click.verdict);
    }
    for conversion in &story.conversions {
        let counts = match (conversion.holds_place, conversion.test) {
            (true, _) => ", holds the member's place",
            (false, true) => ", a test",
            (false, false) => "",
        };
        let state = |state| conversion.deliveries.iter().filter(|told| told.state == state).count();
        let (delivered, waiting, dead) = (state("delivered"), state("pending"), state("dead"));
        let status = stands(conversion.status, conversion.reason);
        let _ = writeln!(
            text,
            "Comes to: conversion {} {status}{counts}; \
             deliveries: {delivered} delivered, {waiting} waiting, {dead} dead.",
            conversion.id
        );
    }
    text
}

/// The clicks that an id leads to, newest first.
pub(super) fn list(answer: &Answer) -> String {
    let kinds: Vec<&str> = answer.found_as.iter().map(|kind| kind.name()).collect();
    let more = if answer.more { " or more" } else { "" };
    let mut text = format!(
        "`{}` is the {} of {}{more} clicks. Newest first:\n\n",
        line(&answer.asked, MOST),
        kinds.join(" and "),
        answer.total
    );
    let several = answer.clicks.iter().any(|click| click.network != answer.clicks[0].network);
    for click in &answer.clicks {
        text.push_str(&row(click, several));
    }
    if answer.total > LISTED || answer.more {
        let _ = writeln!(text, "… and {}{more} older", answer.total - answer.clicks.len());
    }
    if let Some(first) = answer.clicks.first() {
        let _ = write!(text, "\nThe whole story of one: pitlane why {}\n", first.id);
    }
    text
}

fn row(click: &Brief, with_network: bool) -> String {
    let known = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
    let network = if with_network { format!("{}  ", known(&click.network)) } else { String::new() };
    let conversions = match click.conversions.as_slice() {
        [] => "no conversion".to_owned(),
        [only] => only.clone(),
        several => format!("{} conversions: {}", several.len(), several.join(", ")),
    };
    let id = |value: &Option<String>| line(value.as_deref().unwrap_or("-"), 40);
    format!(
        "{}  {}  {network}{}/{}  click {}  member {}  {}  {conversions}\n",
        click.at.0,
        click.id,
        known(&click.offer),
        known(&click.partner),
        id(&click.pub_click_id),
        id(&click.pub_member_id),
        click.verdict
    )
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn offsets_are_exact_where_they_are_short() {
        let cases = [
            (12, "+0.012 s"),
            (599_999, "+599.999 s"),
            (725_000, "+12 min 5 s"),
            (36_060_000, "+10 h 1 min"),
            (273_600_000, "+3 d 4 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(offset(ms), text);
        }
    }
}
