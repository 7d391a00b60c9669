//! The terms of one result: of a single-event offer, or of one event.

use domain::money::{Currency, Money, Rate};
use domain::offer::{Approval, ConversionKind, Terms};
use domain::sequence::Order;
use toml::de::DeValue;

use super::fault::Sound;
use super::fields::Fields;
use super::plan::Field;
use super::{cap, sequence, value};

/// The keys that stand on a single-event offer, or on each event of a multi-event offer.
pub(crate) const KEYS: [&str; 7] =
    ["revenue", "payout", "reward_points", "approval", "pending_days", "repeats", "caps"];

/// Reads everything but the order.
pub(crate) fn read(fields: &mut Fields<'_>, conversion_kind: ConversionKind) -> Sound<Terms> {
    let revenue = fields.required("revenue", |given| rate(given, conversion_kind));
    let payout = fields.required("payout", |given| rate(given, conversion_kind));
    let reward_points = fields.optional("reward_points", points);
    let approval = fields.optional("approval", value::code);
    let pending_days = fields.optional("pending_days", |given| value::whole(given, &(0..=3_650)));
    let repeats = fields.optional("repeats", value::flag);
    let caps = cap::caps(fields);
    let (revenue, payout) = (revenue?, payout?);
    let loses = match (revenue, payout) {
        (Rate::Flat(revenue), Rate::Flat(payout)) => payout > revenue,
        (Rate::Share(revenue), Rate::Share(payout)) => payout > revenue,
        _ => false,
    };
    if loses {
        fields.warn(fields.at("payout"), "payout: is greater than revenue, so each conversion loses money");
    }
    Ok(Terms {
        revenue,
        payout,
        reward_points: reward_points?.unwrap_or(0),
        approval: approval?.unwrap_or(Approval::Automatic),
        pending_days: pending_days?.unwrap_or(0),
        repeats: repeats?.unwrap_or(false),
        caps: caps?,
        order: Order::default(),
    })
}

/// What an offer of this kind pays.
pub(crate) fn rate(given: &DeValue<'_>, conversion_kind: ConversionKind) -> Result<Rate, String> {
    match (value::rate(given)?, conversion_kind) {
        (Rate::Flat(_), ConversionKind::RevShare) => {
            Err("a RevShare offer pays a share like \"12.5%\"".to_owned())
        }
        (Rate::Share(_), ConversionKind::FlatRate) => Err(
            "a FlatRate offer pays an amount like \"1.20\"; for a share set conversion_type = \"RevShare\""
                .to_owned(),
        ),
        (rate, _) => Ok(rate),
    }
}

/// Reward points.
pub(crate) fn points(given: &DeValue<'_>) -> Result<i64, String> {
    value::whole(given, &(0..=1_000_000_000))
}

/// Terms as the file writes them; every key begins with `prefix`.
pub(crate) fn fields(fields: &mut Vec<Field>, prefix: &str, terms: &Terms, currency: Currency) {
    fields.extend([
        Field::new(format!("{prefix}revenue"), rate_text(terms.revenue, currency)),
        Field::new(format!("{prefix}payout"), rate_text(terms.payout, currency)),
        Field::new(format!("{prefix}reward_points"), terms.reward_points),
        Field::new(format!("{prefix}approval"), terms.approval),
        Field::new(format!("{prefix}pending_days"), terms.pending_days),
        Field::new(format!("{prefix}repeats"), terms.repeats),
        Field::maybe(format!("{prefix}caps"), cap::text(&terms.caps, currency)),
    ]);
    fields.extend(sequence::fields(prefix, terms.order));
}

/// A rate as the file writes it.
pub(crate) fn rate_text(rate: Rate, currency: Currency) -> String {
    match rate {
        Rate::Flat(micros) => Money { micros, currency }.plain(),
        Rate::Share(share) => share.to_string().replace(' ', ""),
    }
}
