//! `targeting`: whom an offer is for, rule by rule.

use domain::targeting::{Comparison, Mode, Rule, Test};
use toml::de::DeValue;

use super::fault::Sound;
use super::fields::{At, Fields, kind, nearest};
use super::value;

/// The most rules of one offer: each is looked at for every click.
const MAX_RULES: usize = 50;
/// The most values of one rule.
const MAX_VALUES: usize = 1_000;
/// Youngest and oldest.
const AGES: (u8, u8) = (1, 130);

const LIKE: &str = "targeting = [{ allow = \"country\", of = [\"DE\"] }], one table for each rule";

type Reader = fn(&mut Fields<'_>) -> Sound<Test>;

/// What a rule can look at, as the file names it, and how the rest of the rule is read.
const KINDS: [(&str, Reader); 11] = [
    ("country", |fields| of(fields, value::code).map(Test::Country)),
    ("region", |fields| of(fields, value::name).map(Test::Region)),
    ("device", |fields| of(fields, value::code).map(Test::Device)),
    ("os", |fields| of(fields, value::name).map(Test::Os)),
    ("browser", |fields| of(fields, value::name).map(Test::Browser)),
    ("language", |fields| of(fields, value::language).map(Test::Language)),
    ("age", age),
    ("gender", |fields| of(fields, value::code).map(Test::Gender)),
    ("time", time),
    ("address", |fields| of(fields, value::addresses).map(Test::Address)),
    ("sub", sub),
];

/// Every rule, in the order in which they are looked at.
pub(crate) fn read(fields: &mut Fields<'_>) -> Sound<Vec<Rule>> {
    let subject = fields.subject().to_owned();
    let tables = fields.tables("targeting", LIKE, |number| format!("{subject} targeting rule {number}"))?;
    if tables.len() > MAX_RULES {
        let why = format!("targeting: has more than {MAX_RULES} rules");
        return Err(fields.fault(fields.at("targeting"), why));
    }
    let mut sound = Ok(());
    let mut rules = Vec::with_capacity(tables.len());
    for table in tables {
        match rule(table) {
            Ok(rule) => rules.push(rule),
            Err(told) => sound = Err(told),
        }
    }
    sound.map(|()| rules)
}

fn rule(mut fields: Fields<'_>) -> Sound<Rule> {
    let allow = fields.optional("allow", reader);
    let block = fields.optional("block", reader);
    let (mode, read) = match (allow?, block?) {
        (Some(read), None) => (Mode::Allow, read),
        (None, Some(read)) => (Mode::Block, read),
        (None, None) => {
            let why = "`allow` or `block` is missing; a rule is like { allow = \"country\", of = [\"DE\"] }";
            return Err(fields.fault(fields.at("allow"), why));
        }
        (Some(_), Some(_)) => {
            let why = "block: stands beside `allow`; make a rule of its own of it";
            return Err(fields.fault(fields.at("block"), why));
        }
    };
    let test = read(&mut fields);
    fields.finish()?;
    Ok(Rule { mode, test: test? })
}

fn reader(given: &DeValue<'_>) -> Result<Reader, String> {
    let text = value::string(given)?;
    let found = KINDS.iter().find(|(name, _)| *name == text);
    let names = || KINDS.map(|(name, _)| name);
    found
        .map(|(_, read)| *read)
        .ok_or_else(|| format!("`{text}` is nothing to target; {}", nearest(text, &names())))
}

/// The values of a rule: at least one, each once.
fn of<T: PartialEq>(
    fields: &mut Fields<'_>,
    read: impl Fn(&DeValue<'_>) -> Result<T, String>,
) -> Sound<Vec<T>> {
    let all = fields.list("of", read)?;
    if all.is_empty() {
        let why = if fields.has("of") {
            "of: is empty; name at least one"
        } else {
            "`of` is missing; it lists what the rule is about"
        };
        return Err(fields.fault(fields.at("of"), why));
    }
    distinct(fields, "of", all)
}

fn distinct<T: PartialEq>(fields: &Fields<'_>, key: &str, all: Vec<At<T>>) -> Sound<Vec<T>> {
    if all.len() > MAX_VALUES {
        let why = format!("{key}: has more than {MAX_VALUES} values");
        return Err(fields.fault(fields.at(key), why));
    }
    let mut distinct: Vec<T> = Vec::with_capacity(all.len());
    for At { at, value } in all {
        if distinct.contains(&value) {
            return Err(fields.fault(at, format!("{key}: stands twice in this rule")));
        }
        distinct.push(value);
    }
    Ok(distinct)
}

fn age(fields: &mut Fields<'_>) -> Sound<Test> {
    let (least, most) = (i64::from(AGES.0), i64::from(AGES.1));
    let year = |given: &DeValue<'_>| {
        value::whole(given, &(least..=most)).map(|age| u8::try_from(age).unwrap_or(AGES.1))
    };
    let (from, to) = (fields.optional("from", year), fields.optional("to", year));
    match (from?, to?) {
        (None, None) => {
            Err(fields.fault(fields.at("from"), "`from` or `to` is missing: years, both included"))
        }
        (Some(from), Some(to)) if from > to => {
            Err(fields.fault(fields.at("to"), format!("to: must not be less than `from`, which is {from}")))
        }
        (from, to) => Ok(Test::Age { from: from.unwrap_or(AGES.0), to: to.unwrap_or(AGES.1) }),
    }
}

fn time(fields: &mut Fields<'_>) -> Sound<Test> {
    let zone = fields.required("zone", value::zone);
    let days = fields.optional("days", days);
    let hours = fields.optional("hours", hours);
    let (days, hours) = (days?, hours?);
    if days.is_none() && hours.is_none() {
        let why = "`days` or `hours` is missing, like days = \"mon-fri\", hours = \"8-19\"";
        return Err(fields.fault(fields.at("days"), why));
    }
    Ok(Test::Time { zone: zone?, days: days.unwrap_or_default(), hours: hours.unwrap_or_default() })
}

/// Monday is 1.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn days(given: &DeValue<'_>) -> Result<Vec<i8>, String> {
    cycle(given, (1, 7), |text| {
        let found = (1..).zip(DAYS).find(|(_, name)| *name == text);
        found.map(|(day, _)| day).ok_or_else(|| format!("`{text}` is no day; days are {}", DAYS.join(", ")))
    })
}

fn hours(given: &DeValue<'_>) -> Result<Vec<i8>, String> {
    cycle(given, (0, 23), |text| {
        let hour = text.parse().ok().filter(|hour| (0..=23).contains(hour));
        hour.ok_or_else(|| format!("`{text}` is no hour; hours are 0 to 23"))
    })
}

/// A list, or a range `from-to` that includes both ends and may pass the last one, as from Friday to Monday.
fn cycle(
    given: &DeValue<'_>,
    (first, last): (i8, i8),
    one: impl Fn(&str) -> Result<i8, String>,
) -> Result<Vec<i8>, String> {
    let mut all = match given {
        DeValue::Array(own) if own.is_empty() => return Err("is empty; name at least one".to_owned()),
        DeValue::Array(own) => {
            let element = |element: &DeValue<'_>| match element {
                DeValue::Integer(number) => one(&number.to_string()),
                other => one(value::string(other)?),
            };
            own.iter().map(|one| element(one.get_ref())).collect::<Result<Vec<i8>, String>>()?
        }
        DeValue::String(text) => {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            let (from, to) = (one(from)?, one(to)?);
            if from <= to { (from..=to).collect() } else { (first..=to).chain(from..=last).collect() }
        }
        other => {
            return Err(format!("a list in [ ] or a range like \"8-19\" is needed, not {}", kind(other)));
        }
    };
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn sub(fields: &mut Fields<'_>) -> Sound<Test> {
    let number = fields.required("number", |given| value::whole(given, &(1..=15)));
    let mut given = Vec::new();
    for how in Comparison::ALL {
        let values = fields.list(how.code(), value::sub);
        if fields.has(how.code()) {
            given.push((*how, values?));
        }
    }
    let number = usize::try_from(number?).unwrap_or_default();
    let (Some((how, values)), true) = (given.pop(), given.is_empty()) else {
        let why = "exactly one of `equals`, `begins` and `contains` is needed, like begins = [\"x\"]";
        return Err(fields.fault(fields.at("number"), why));
    };
    if values.is_empty() {
        return Err(fields.fault(fields.at(how.code()), format!("{how}: is empty; name at least one")));
    }
    Ok(Test::Sub { number, how, values: distinct(fields, how.code(), values)? })
}

/// Rules in words: `allow country DE, AT; block age 1 to 17`; none when there are none.
pub(crate) fn text(rules: &[Rule]) -> Option<String> {
    let one = |rule: &Rule| format!("{} {}", rule.mode, words(&rule.test));
    (!rules.is_empty()).then(|| rules.iter().map(one).collect::<Vec<_>>().join("; "))
}

fn words(test: &Test) -> String {
    let what = test.what();
    match test {
        Test::Country(ones) => format!("{what} {}", listed(ones)),
        Test::Device(ones) => format!("{what} {}", listed(ones)),
        Test::Gender(ones) => format!("{what} {}", listed(ones)),
        Test::Address(ones) => format!("{what} {}", listed(ones)),
        Test::Region(ones) | Test::Os(ones) | Test::Browser(ones) | Test::Language(ones) => {
            format!("{what} {}", listed(ones))
        }
        Test::Age { from, to } => format!("{what} {from} to {to}"),
        Test::Time { zone, days, hours } => {
            let day = |day: i8| {
                let at = usize::try_from(day - 1).unwrap_or_default();
                DAYS.get(at).map_or_else(|| day.to_string(), |name| (*name).to_owned())
            };
            let hour = |hour: i8| hour.to_string();
            let part = |word: &str, ones: &[i8], name: &dyn Fn(i8) -> String| match ones {
                [] => String::new(),
                ones => format!("{word} {} ", ranges(ones, name)),
            };
            format!("{}{}in {zone}", part("days", days, &day), part("hours", hours, &hour))
        }
        Test::Sub { how, values, .. } => format!("{what} {how} {}", listed(values)),
    }
}

fn listed(ones: &[impl ToString]) -> String {
    ones.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Sorted numbers, neighbours as ranges: `8-19, 22`.
fn ranges(ones: &[i8], name: &dyn Fn(i8) -> String) -> String {
    let runs = ones.chunk_by(|one, next| *next == one + 1);
    let run = |run: &[i8]| match run {
        [first, .., last] => format!("{}-{}", name(*first), name(*last)),
        alone => alone.iter().map(|own| name(*own)).collect(),
    };
    runs.map(run).collect::<Vec<String>>().join(", ")
}
