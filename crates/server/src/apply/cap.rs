//! `caps` and `budgets`: how much of a result a network takes in a calendar period.

use domain::cap::{Limit, Measure};
use domain::money::{Currency, Money};
use domain::period::Period;
use toml::de::DeValue;

use super::fault::Sound;
use super::fields::Fields;
use super::value;

/// The greatest cap.
const MAX_CAP: i64 = 1_000_000_000;

/// Conversions by day, week, month and in total.
pub(crate) fn caps(fields: &mut Fields<'_>) -> Sound<Vec<Limit>> {
    let like = "{ day = 100, total = 5000 }";
    let read = |given: &DeValue<'_>| value::whole(given, &(1..=MAX_CAP));
    limits(fields, ("caps", like), Measure::Conversions, Period::ALL, read)
}

/// Revenue by day and in total.
pub(crate) fn budgets(fields: &mut Fields<'_>) -> Sound<Vec<Limit>> {
    let like = "{ day = \"100.00\", total = \"5000.00\" }";
    limits(fields, ("budgets", like), Measure::Revenue, &[Period::Day, Period::Total], value::amount)
}

fn limits(
    fields: &mut Fields<'_>,
    (key, like): (&'static str, &str),
    measure: Measure,
    periods: &[Period],
    read: impl Fn(&DeValue<'_>) -> Result<i64, String>,
) -> Sound<Vec<Limit>> {
    let Some(mut table) = fields.table(key, like)? else { return Ok(Vec::new()) };
    let mut sound = Ok(());
    let mut limits = Vec::new();
    for period in periods.iter().copied() {
        match table.optional(period.code(), &read) {
            Ok(most) => limits.extend(most.map(|most| Limit { measure, period, most })),
            Err(told) => sound = Err(told),
        }
    }
    table.finish().and(sound)?;
    if limits.is_empty() {
        let why = format!("{key}: is empty; name a limit like {like}, or leave it out");
        return Err(fields.fault(fields.at(key), why));
    }
    Ok(limits)
}

/// Limits in words: `100 a day, 5000 in total`; none when there are none.
pub(crate) fn text(limits: &[Limit], currency: Currency) -> Option<String> {
    let one = |limit: &Limit| {
        let most = match limit.measure {
            Measure::Conversions => limit.most.to_string(),
            Measure::Revenue => Money { micros: limit.most, currency }.to_string(),
        };
        match limit.period {
            Period::Total => format!("{most} in total"),
            period => format!("{most} a {period}"),
        }
    };
    (!limits.is_empty()).then(|| limits.iter().map(one).collect::<Vec<_>>().join(", "))
}
