//! What an offer asks of visitors, clicks and conversions beyond its terms.

use domain::money::Currency;
use domain::offer::Rules;

use super::fault::Sound;
use super::fields::Fields;
use super::plan::Field;
use super::{cap, targeting, value};

/// Reads the rules of an offer whose conversions count for `window_ms` after the click.
pub(crate) fn read(fields: &mut Fields<'_>, window_ms: i64) -> Sound<Rules> {
    let min_conversion = fields.optional("min_conversion_time", value::delay);
    let late_conversions = fields.optional("late_conversions", value::flag);
    let budgets = cap::budgets(fields);
    let targeting = targeting::read(fields);
    let trusts_partner_place = fields.optional("trusts_partner_place", value::flag);
    let link_approval = fields.optional("link_approval", value::code);
    let static_members = fields.optional("static_members", value::code);
    let reused_clicks = fields.optional("reused_clicks", value::code);
    let min_conversion_ms = min_conversion?.unwrap_or(0);
    if min_conversion_ms >= window_ms {
        let window = value::length_text(window_ms);
        let why =
            format!("min_conversion_time: must be less than `attribution_window`, which is \"{window}\"");
        return Err(fields.fault(fields.at("min_conversion_time"), why));
    }
    let default = Rules::default();
    Ok(Rules {
        min_conversion_ms,
        late_conversions: late_conversions?.unwrap_or(default.late_conversions),
        budgets: budgets?,
        targeting: targeting?,
        trusts_partner_place: trusts_partner_place?.unwrap_or(default.trusts_partner_place),
        link_approval: link_approval?.unwrap_or(default.link_approval),
        static_members: static_members?.unwrap_or(default.static_members),
        reused_clicks: reused_clicks?.unwrap_or(default.reused_clicks),
    })
}

/// Rules as the file, or words, tell them.
pub(crate) fn fields(rules: &Rules, currency: Currency) -> [Field; 8] {
    let least = (rules.min_conversion_ms > 0).then(|| value::length_text(rules.min_conversion_ms));
    [
        Field::maybe("min_conversion_time", least),
        Field::new("late_conversions", rules.late_conversions),
        Field::maybe("budgets", cap::text(&rules.budgets, currency)),
        Field::maybe("targeting", targeting::text(&rules.targeting)),
        Field::new("trusts_partner_place", rules.trusts_partner_place),
        Field::new("link_approval", rules.link_approval),
        Field::new("static_members", rules.static_members),
        Field::new("reused_clicks", rules.reused_clicks),
    ]
}
