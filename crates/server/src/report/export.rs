//! A report for other programs.

use domain::report::{Clicks, Line, Takings, money};
use serde_json::{Value, json};

use super::Asked;
use crate::failure::Failure;

/// The columns behind those of the groups.
const COLUMNS: [&str; 15] = [
    "hits",
    "clicks",
    "unique",
    "sent_on",
    "refused",
    "bots",
    "prefetches",
    "currency",
    "pending",
    "success",
    "rejected",
    "revenue",
    "payout",
    "margin",
    "epc",
];

/// A line for each group and currency. Clicks have no currency: they stand on the first line of their group, so that a
/// column may be summed.
pub(super) fn csv(asked: &Asked) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let groups = asked.by.iter().map(|dimension| dimension.code());
    writer.write_record(groups.chain(COLUMNS)).map_err(Failure::new)?;
    for (key, line) in &asked.report.lines {
        let own: Vec<String> = key.iter().map(|(_, value)| cell(value)).collect();
        let mut clicks = clicks_cells(line);
        let all = line.takings.iter().map(|(currency, takings)| money_cells(line, *currency, takings));
        let all: Vec<Vec<String>> = all.collect();
        let none = vec![vec![String::new(); COLUMNS.len() - clicks.len()]];
        for money in if all.is_empty() { none } else { all } {
            writer.write_record([&own[..], &clicks[..], &money[..]].concat()).map_err(Failure::new)?;
            clicks.iter_mut().for_each(String::clear);
        }
    }
    let bytes = writer.into_inner().map_err(|error| Failure::new(error.to_string()))?;
    String::from_utf8(bytes).map_err(Failure::new)
}

/// A text that a spreadsheet does not take for a formula.
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn clicks_cells(line: &Line) -> Vec<String> {
    let Some(clicks) = &line.clicks else { return vec![String::new(); 7] };
    let Clicks { hits, counted, unique, sent_on, bots, prefetches } = clicks;
    [*hits, *counted, *unique, *sent_on, clicks.refused(), *bots, *prefetches].map(|n| n.to_string()).to_vec()
}

fn money_cells(line: &Line, currency: domain::money::Currency, takings: &Takings) -> Vec<String> {
    let plain = |micros: i64| money(micros, currency).plain();
    let earned = line.clicks.as_ref().and_then(|clicks| takings.earned_per_click_micros(clicks));
    vec![
        currency.code().to_owned(),
        takings.pending.to_string(),
        takings.success.to_string(),
        takings.rejected.to_string(),
        takings.revenue_micros.map_or_else(String::new, plain),
        plain(takings.payout_micros),
        takings.margin_micros().map_or_else(String::new, plain),
        earned.map_or_else(String::new, plain),
    ]
}

/// One object: what was asked, the lines, and the total of each currency.
pub(super) fn json(asked: &Asked) -> Result<String, Failure> {
    let lines = asked.report.lines.iter().map(|(key, line)| {
        let values = asked.by.iter().zip(key).map(|(by, (_, value))| (by.code().to_owned(), json!(value)));
        let mut object: serde_json::Map<String, Value> = values.collect();
        object.extend(figures(line));
        Value::Object(object)
    });
    let whole = json!({
        "network": asked.network.label,
        "partner": asked.partner,
        "from": asked.range.0.to_string(),
        "until": asked.range.1.to_string(),
        "zone": asked.zone,
        "as_of": asked.report.as_of.to_string(),
        "by": asked.by,
        "lines": lines.collect::<Vec<Value>>(),
        "total": Value::Object(figures(&asked.total)),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&whole).map_err(Failure::new)?))
}

fn figures(line: &Line) -> serde_json::Map<String, Value> {
    let clicks = line.clicks.map(|clicks| {
        let Clicks { hits, counted, unique, sent_on, bots, prefetches } = clicks;
        json!({
            "hits": hits, "clicks": counted, "unique": unique, "sent_on": sent_on, "refused": clicks.refused(),
            "bots": bots, "prefetches": prefetches,
        })
    });
    let takings = line.takings.iter().map(|(currency, takings)| {
        let plain = |micros: i64| money(micros, *currency).plain();
        let earned = line.clicks.as_ref().and_then(|clicks| takings.earned_per_click_micros(clicks));
        json!({
            "currency": currency, "pending": takings.pending, "success": takings.success,
            "rejected": takings.rejected, "revenue": takings.revenue_micros.map(plain),
            "payout": plain(takings.payout_micros), "margin": takings.margin_micros().map(plain),
            "epc": earned.map(plain),
        })
    });
    let rate = line.conversion_rate().map(super::percent);
    let all = [
        ("clicks", json!(clicks)),
        ("money", Value::Array(takings.collect())),
        ("conversion_rate", json!(rate)),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_is_never_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1"] {
            assert_eq!(cell(formula), format!("'{formula}"));
        }
        assert_eq!(cell("a=1"), "a=1");
    }
}
