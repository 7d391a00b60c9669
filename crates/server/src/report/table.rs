//! A report for people at a terminal.

use std::fmt::Write as _;

use domain::money::Currency;
use domain::report::{Line, Takings, money};

use super::{Asked, percent};
use crate::terminal;

/// The longest value of a group that is shown in full, in characters.
const WIDEST: usize = 60;

/// Headings behind those of the groups.
const FIGURES: [&str; 13] = [
    "clicks", "unique", "refused", "bots", "CR", "pending", "success", "rejected", "revenue", "payout",
    "margin", "EPC", "",
];

/// The whole table, with its range, zone and time.
pub(super) fn of(asked: &Asked) -> String {
    let headings = asked.by.iter().map(|dimension| dimension.code()).chain(FIGURES);
    let mut rows: Vec<Vec<String>> = vec![headings.map(str::to_owned).collect()];
    for (key, line) in &asked.report.lines {
        rows.extend(lines(key.iter().map(|(_, value)| name(value)).collect(), line));
    }
    let totals = rows.len();
    if !asked.by.is_empty() {
        let mut heading = vec![String::new(); asked.by.len()];
        "total".clone_into(&mut heading[0]);
        rows.extend(lines(heading, &asked.total));
    }
    let mut text = heading(asked);
    draw(&mut text, &rows, asked.by.len(), totals);
    if asked.behind {
        text.push_str("\nSome clicks are not counted yet; ask again in a moment.\n");
    }
    text
}

fn heading(asked: &Asked) -> String {
    let of = asked.partner.as_ref().map_or(String::new(), |slug| format!(", partner {slug}"));
    let (from, until) = asked.range;
    format!(
        "Network {}{of}, {from} until {until}\nDays of {}. Everything recorded before {} is counted.\n\n",
        asked.network.label, asked.zone, asked.report.as_of
    )
}

fn name(value: &str) -> String {
    if value.is_empty() { "-".to_owned() } else { terminal::line(value, WIDEST) }
}

/// One row for each currency; clicks have none and stand on the first.
fn lines(key: Vec<String>, line: &Line) -> Vec<Vec<String>> {
    let width = key.len();
    let mut own: Vec<Vec<String>> =
        line.takings.iter().map(|(currency, takings)| figures(line, *currency, takings)).collect();
    if own.is_empty() {
        own.push(vec![String::new(); 8]);
    }
    let mut first = key;
    first.extend(clicks(line));
    let blank = || vec![String::new(); width + 5];
    let starts = std::iter::once(first).chain(std::iter::repeat_with(blank));
    starts.zip(own).map(|(start, money)| [start, money].concat()).collect()
}

fn clicks(line: &Line) -> Vec<String> {
    let Some(clicks) = &line.clicks else { return vec![String::new(); 5] };
    vec![
        clicks.counted.to_string(),
        clicks.unique.to_string(),
        clicks.refused().to_string(),
        clicks.bots.to_string(),
        line.conversion_rate().map_or_else(String::new, percent),
    ]
}

fn figures(line: &Line, currency: Currency, takings: &Takings) -> Vec<String> {
    let plain = |micros: i64| money(micros, currency).plain();
    let earned = line.clicks.as_ref().and_then(|clicks| takings.earned_per_click_micros(clicks));
    vec![
        takings.pending.to_string(),
        takings.success.to_string(),
        takings.rejected.to_string(),
        takings.revenue_micros.map_or_else(String::new, plain),
        plain(takings.payout_micros),
        takings.margin_micros().map_or_else(String::new, plain),
        earned.map_or_else(String::new, plain),
        currency.code().to_owned(),
    ]
}

/// Columns as wide as their widest cell: names to the left, figures to the right. A rule stands above the totals.
fn draw(out: &mut String, rows: &[Vec<String>], names: usize, totals: usize) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let whole: usize = widths.iter().map(|width| width + 2).sum();
    for (number, row) in rows.iter().enumerate() {
        if number == 1 || number == totals {
            let _ = writeln!(out, "{}", "-".repeat(whole.saturating_sub(2)));
        }
        let mut text = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing into a String cannot fail, here and above.
            let _ =
                if at < names { write!(text, "{cell:width$}  ") } else { write!(text, "{cell:>width$}  ") };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
}
