//! A story as a partner reads it, moment by moment. Only what is listed here is told: not what a conversion is worth
//! to the network, not who the advertiser is, and of its requests only the outcome.

use domain::click::Step;
use domain::conversion::{Reason, Waiting};
use domain::inbound::Answer as Answered;
use domain::time::Timestamp;
use store::story::{Attempted, Changed, Converted, Request, Rules, Story, Told, Visited};

use crate::format::Format;
use crate::icon::Svg;
use crate::{click_word, conversion_word, icon};

/// The longest text of a stranger that is shown in full, in characters.
const MOST: usize = 2_000;
/// The rule whose comparison says what the advertiser pays.
const ROOM: &str = "caps and budgets leave room";
/// Rules about a report whose comparisons are about the partner's own traffic.
const PLAIN_RULES: [&str; 10] = [
    "postback is new",
    "click id was new",
    "click was sent on",
    "not too fast",
    "not too late",
    "offer not over",
    "advertiser does not reject it",
    "event in sequence",
    "member has not completed it",
    "approval",
];

/// One thing that happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    at: Option<Timestamp>,
    /// When, to the millisecond, in the viewer's zone.
    pub(crate) time: String,
    /// How long after the first one.
    pub(crate) offset: String,
    /// Its meaning: `good`, `attention`, `bad`, `info` or `plain`.
    pub(crate) kind: &'static str,
    /// What happened.
    pub(crate) title: String,
    /// More about it.
    pub(crate) lines: Vec<String>,
    /// Names and values.
    pub(crate) facts: Vec<(String, String)>,
    /// The rules that were looked at.
    pub(crate) steps: Vec<Looked>,
    /// Texts to be unfolded: name, text.
    pub(crate) raw: Vec<(&'static str, String)>,
    /// Another trace that it leads to: address and words.
    pub(crate) link: Option<(String, String)>,
}

/// One rule.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    /// Whether it let it pass.
    pub(crate) passed: bool,
    /// Its name.
    pub(crate) rule: String,
    /// What was compared, where that is the partner's to know.
    pub(crate) detail: String,
}

impl Moment {
    fn new(at: Timestamp, kind: &'static str, title: impl Into<String>) -> Self {
        Self { at: Some(at), kind, title: title.into(), ..Self::default() }
    }

    fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// The icon in its dot.
    pub(crate) fn icon(&self) -> Svg {
        match self.kind {
            "plain" => icon::svg("trace"),
            kind => icon::of_kind(kind),
        }
    }
}

/// The moments of a story, in order of time.
pub(crate) fn of(story: &Story, format: &Format) -> Vec<Moment> {
    let mut moments = Vec::new();
    if let Some(click) = &story.click {
        moments.extend(visit(click, story.rules.as_ref()));
    }
    moments.extend(story.requests.iter().map(report));
    for conversion in &story.conversions {
        moments.extend(
            conversion
                .history
                .iter()
                .enumerate()
                .map(|(version, own)| changed(conversion, version, own, format)),
        );
        moments.extend(waits(conversion, format));
        moments.extend(conversion.deliveries.iter().flat_map(|told| delivery(told, format)));
    }
    // What has the same time stays in the order of cause and effect.
    moments.sort_by_key(|moment| moment.at);
    let first = moments.first().and_then(|moment| moment.at);
    for moment in &mut moments {
        let (Some(at), Some(first)) = (moment.at, first) else { continue };
        moment.time = format.time_ms(at);
        moment.offset = offset(at.ms().saturating_sub(first.ms()), format);
    }
    moments
}

/// `+0.012 s`, `+12 min 5 s`, `+3 d 4 h`: exact where it is short.
fn offset(ms: i64, format: &Format) -> String {
    let s = ms / 1_000;
    match s {
        ..600 => format!("+{} s", format.decimal(&format!("{s}.{:03}", ms % 1_000))),
        600..36_000 => format!("+{} min {} s", s / 60, s % 60),
        36_000..172_800 => format!("+{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("+{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

fn visit(click: &Visited, rules: Option<&Rules>) -> [Moment; 3] {
    let mut came = Moment::new(click.at.0, "plain", "A visitor followed your link");
    let fact = |name: &str, value: &str| (name.to_owned(), short(value));
    for (name, value) in [("pub_click_id", &click.pub_click_id), ("pub_member_id", &click.pub_member_id)] {
        came.facts.push(fact(name, value.as_deref().unwrap_or("(not given, or not readable)")));
    }
    came.facts.extend(click.parameters.iter().map(|(name, value)| fact(name, value)));
    let country = click.country.map(|own| own.to_string());
    let device = click.device.map(|own| own.to_string());
    let families = [&click.os, &click.browser].map(|own| Some(own.clone()).filter(|own| !own.is_empty()));
    let seen: Vec<String> =
        [country, click.region.clone(), device].into_iter().chain(families).flatten().collect();
    if !seen.is_empty() {
        came.facts.push(fact("seen as", &seen.join(", ")));
    }
    if !click.user_agent.is_empty() {
        came.raw.push(("User agent", short(&click.user_agent)));
    }
    if !click.marks.is_empty() {
        came.facts.push(fact("marked", &click.marks.join(", ")));
    }
    [came, decided(click, rules), sent(click)]
}

fn decided(click: &Visited, rules: Option<&Rules>) -> Moment {
    let words = click_word::verdict(click.verdict);
    let mut moment =
        Moment::new(click.at.0, words.kind, format!("Decided: {} ({})", words.word, click.verdict));
    moment = moment.with(words.meaning);
    if !click.message.is_empty() {
        moment = moment.with(short(&click.message));
    }
    let Some(rules) = rules else { return moment };
    moment.steps = rules.steps.iter().map(|step| looked(step, step.rule != ROOM)).collect();
    if !rules.agrees {
        let now = click_word::verdict(rules.verdict).word;
        moment =
            moment.with(format!("With the settings of now it would be “{now}”: they have changed since."));
    }
    moment
}

fn sent(click: &Visited) -> Moment {
    let (kind, title) = match (&click.sent_to, click.verdict.sends_on()) {
        (Some(_), true) => ("good", "Sent on to the offer (302)".to_owned()),
        (Some(_), false) => ("attention", "Sent to the fallback (302)".to_owned()),
        (None, _) => ("bad", format!("Sent nowhere: answered {}", click.http_status)),
    };
    let mut moment = Moment::new(click.at.0, kind, title);
    moment.raw.extend(click.sent_to.as_ref().map(|url| ("Where to", short(url))));
    moment
}

/// A rule, with what it compared or without.
fn looked(step: &Step, plain: bool) -> Looked {
    let detail = match (plain, step.rule == ROOM, step.passed) {
        (true, ..) => short(&step.detail),
        (false, true, true) => "room was left".to_owned(),
        (false, true, false) => "no room was left".to_owned(),
        (false, false, _) => String::new(),
    };
    Looked { passed: step.passed, rule: step.rule.clone().into_owned(), detail }
}

/// A report of the advertiser: what became of it, and nothing of what it said.
fn report(request: &Request) -> Moment {
    let code = request.code.split(':').next().unwrap_or_default();
    let (kind, title) = match code.parse::<Answered>() {
        Ok(Answered::Recorded) => ("good", "The advertiser reported a result: recorded"),
        Ok(Answered::Updated) => ("info", "The advertiser changed the result's status"),
        Ok(Answered::Duplicate) => ("plain", "The same report again: it changed nothing"),
        Ok(Answered::MemberAlreadyCompleted) => {
            ("attention", "The advertiser reported a result: this member had completed it before")
        }
        Ok(Answered::Rejected) => ("bad", "The advertiser reported a result: recorded as rejected"),
        Ok(Answered::NotAuthorized) => ("bad", "A report was refused: its sender was not proven"),
        Ok(Answered::AmountMalformed) => {
            ("bad", "A report was refused: its amount was missing or unreadable")
        }
        Ok(Answered::EventUnknown) => ("bad", "A report was refused: the offer has no such event"),
        Ok(Answered::Conflict) => ("bad", "A report was refused: it contradicts an earlier one"),
        Ok(Answered::NotRecorded) => {
            ("bad", "A report could not be recorded; its sender was asked to repeat it")
        }
        Ok(_) | Err(_) => ("bad", "A report was refused: it could not be read"),
    };
    let mut moment = Moment::new(request.at.0, kind, title);
    let reason = request.code.split_once(':').and_then(|(_, reason)| reason.parse::<Reason>().ok());
    if let Some((word, meaning)) = reason.map(conversion_word::reason) {
        moment = moment.with(format!("{word}: {meaning}"));
    }
    let plain = |step: &Step| PLAIN_RULES.contains(&step.rule.as_ref());
    if request.conversion.is_some() {
        moment.steps = request.steps.iter().map(|step| looked(step, plain(step))).collect();
    }
    moment
}

fn changed(conversion: &Converted, version: usize, own: &Changed, format: &Format) -> Moment {
    let (kind, word) = conversion_word::status(own.status);
    let by = match own.actor.as_str() {
        "advertiser" => "by the advertiser's report",
        actor if actor.starts_with("staff") => "by the network",
        _ => "by itself",
    };
    let title = if version == 0 {
        format!("Conversion recorded: {word}, {by}")
    } else {
        format!("The conversion became {word}, {by}")
    };
    let mut moment = Moment::new(own.at.0, kind, title);
    if let Some((word, meaning)) = own.reason.map(conversion_word::reason) {
        moment = moment.with(format!("{word}: {meaning}"));
    }
    if version > 0 {
        return moment;
    }
    moment.facts.push(("conversion id".to_owned(), conversion.id.to_string()));
    moment.facts.extend(conversion.event.clone().map(|event| ("event".to_owned(), event)));
    moment.facts.extend(conversion.amount.as_ref().map(|sale| ("sale".to_owned(), format.sum(sale))));
    if own.reason.is_none() {
        moment.facts.push(("payout".to_owned(), format.sum(&conversion.payout)));
    }
    if conversion.test {
        moment = moment.with("A test: it is counted nowhere and pays nothing.");
    }
    if let Some(winner) = &conversion.winner {
        moment.link =
            Some((format!("/trace/{}", winner.id), format!("The conversion that counts: {}", winner.id)));
    }
    moment
}

fn waits(conversion: &Converted, format: &Format) -> Option<Moment> {
    let waits = conversion.waits.as_ref()?;
    let until = format.time(waits.until.0);
    let end = match waits.what {
        Waiting::Approval => format!("It becomes Success by itself at {until}"),
        Waiting::Predecessor => format!("It is rejected at {until} unless the event before it has come"),
    };
    Some(Moment::new(waits.until.0, "info", end))
}

fn delivery(told: &Told, format: &Format) -> Vec<Moment> {
    let slug = if told.postback.is_empty() { "(removed)" } else { &told.postback };
    let title = format!("Your postback {} is to be told: {}", short(slug), told.status);
    let mut made = Moment::new(told.at.0, "plain", title);
    made.facts.push(("webhook-id".to_owned(), told.id.to_string()));
    if told.origin == "backfill" {
        made = made.with("Filled in afterwards.");
    }
    made.link = Some((format!("/deliveries/{}", told.id), "Open the delivery".to_owned()));
    let mut moments = vec![made];
    moments.extend((1..).zip(&told.attempts).map(|(number, own)| attempt(told, number, own, format)));
    if let Some(next) = &told.next_attempt {
        let title = format!("Attempt {} is due", told.attempts.len() + 1);
        moments.push(Moment::new(next.0, "info", title));
    }
    moments
}

fn attempt(told: &Told, number: usize, own: &Attempted, format: &Format) -> Moment {
    let delivered = own.http_status.is_some_and(|status| (200..300).contains(&status));
    let kind = if delivered { "good" } else { "bad" };
    let title = format!("Attempt {number}: {} in {} ms", short(&own.result), format.count(own.elapsed_ms));
    let mut moment = Moment::new(own.at.0, kind, title);
    let body = if own.body.is_empty() { String::new() } else { format!("\n\n{}", own.body) };
    moment.raw.push(("Request", short(&format!("{} {}{body}", own.method, own.url))));
    if !own.answer.is_empty() {
        moment.raw.push(("Answer", domain::visible::line(&own.answer, 5_000)));
    }
    moment.raw.push(("As cURL", curl(own)));
    if number == told.attempts.len() && told.state == "dead" {
        moment = moment.with("Given up. The delivery's page can send it again.");
    }
    moment
}

/// The request as a command. The signature is left out: it holds for some minutes only.
fn curl(own: &Attempted) -> String {
    let mut command = format!("curl -i -X {}", quoted(&own.method));
    if !own.body.is_empty() {
        let kind =
            if own.body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
        command = format!("{command} -H 'Content-Type: {kind}' --data-raw {}", quoted(&own.body));
    }
    format!("{command} {}", quoted(&own.url))
}

/// A text as a shell takes it.
fn quoted(text: &str) -> String {
    let plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./_-".contains(&byte));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn short(text: &str) -> String {
    domain::visible::line(text, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_advertiser_pays_is_not_compared_before_a_partner() {
        let step = |rule: &'static str, passed| Step {
            rule: rule.into(),
            passed,
            detail: "9.99 of 100 USD revenue".into(),
        };
        let room = looked(&step(ROOM, false), false);
        assert_eq!((room.detail.as_str(), room.passed), ("no room was left", false));
        assert_eq!(looked(&step("sender's address allowed", true), false).detail, "");
        assert_eq!(looked(&step("targeting", true), true).detail, "9.99 of 100 USD revenue");
        assert!(!PLAIN_RULES.contains(&ROOM));
    }

    #[test]
    fn a_request_is_one_command() {
        let own = Attempted {
            at: store::story::At(Timestamp::from_ms(0)),
            elapsed_ms: 1,
            method: "POST".into(),
            url: "https://p.example/?a='$(x)'".into(),
            body: r#"{"a":"b"}"#.into(),
            result: "answered 200".into(),
            http_status: Some(200),
            answer: String::new(),
        };
        let sent = r#"-H 'Content-Type: application/json' --data-raw '{"a":"b"}'"#;
        let url = r"'https://p.example/?a='\''$(x)'\'''";
        assert_eq!(curl(&own), format!("curl -i -X POST {sent} {url}"));
    }

    #[test]
    fn offsets_are_exact_where_they_are_short() {
        let cases = [
            (12, "+0.012 s"),
            (725_000, "+12 min 5 s"),
            (36_060_000, "+10 h 1 min"),
            (273_600_000, "+3 d 4 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(offset(ms, &Format::sample()), text);
        }
    }
}
