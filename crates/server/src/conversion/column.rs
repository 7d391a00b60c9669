//! What the columns of a file mean, and a row as an order. Knows nothing about files and the record.

use domain::conversion::Status;
use domain::id::{ClickId, ConversionId};
use domain::inbound::{Fields, Stated};
use domain::money::parse_micros;
use domain::time::{MINUTE_MS, Timestamp};
use jiff::civil;
use store::ruling::Named;
use store::upload::{Entry, Kind, Work};

use super::table::Raw;
use super::{MAX_REASON_BYTES, plain};
use crate::failure::Failure;

/// How far ahead of our clock another one may be, in milliseconds.
const CLOCK_SKEW_MS: i64 = 5 * MINUTE_MS;

/// A column that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    ConversionId,
    ClickId,
    EventId,
    Status,
    Reason,
    CompletedAt,
    Revenue,
    Payout,
    Amount,
    Reward,
}

/// A column of a kind of file: how it is written, and what else it may be called (lower case, letters and digits).
type Known = (Column, &'static str, &'static [&'static str]);

const OF_CHANGES: &[Known] = &[
    (Column::ConversionId, "ConversionId", &["id"]),
    (Column::ClickId, "ClickId", &["gkclickid", "click"]),
    (Column::EventId, "EventID", &["cnveventid", "event"]),
    (Column::Status, "Status", &["cnvstatus", "newstatus"]),
    (Column::Reason, "Reason", &["note", "comment"]),
];

const OF_UPLOADS: &[Known] = &[
    (Column::ClickId, "ClickId", &["gkclickid", "click"]),
    (Column::EventId, "EventID", &["cnveventid", "event"]),
    (Column::CompletedAt, "UserCompletedAt", &["completedat"]),
    (Column::Revenue, "Revenue", &[]),
    (Column::Payout, "Payout", &[]),
    (Column::Amount, "Amount", &["cnvamount"]),
    (Column::Reward, "Reward", &["rewardpoints"]),
    (Column::ConversionId, "ConversionId", &["cnvconversionid"]),
];

/// The columns of one file, in its order.
#[derive(Debug)]
pub(super) struct Columns {
    kind: Kind,
    columns: Vec<Column>,
}

impl Columns {
    /// Understands a header.
    pub(super) fn read(kind: Kind, header: &[String]) -> Result<Self, Failure> {
        let known = match kind {
            Kind::Change => OF_CHANGES,
            Kind::Upload => OF_UPLOADS,
        };
        let next = format!(
            "the first row names the columns, in any order: {}",
            known.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
        );
        let refused = |error: String| Failure::usage(error).next(next.clone());
        let mut columns = Vec::new();
        // Empty cells behind the last name are a spreadsheet's habit.
        let used = header.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        for (at, name) in header[..used].iter().enumerate() {
            let Some((column, written, _)) = known.iter().find(|known| is_called(known, name)) else {
                let guess =
                    close_to(known, name).map_or(String::new(), |own| format!("; did you mean {own}?"));
                return Err(refused(format!("column {} `{name}` is unknown{guess}", at + 1)));
            };
            if columns.contains(column) {
                return Err(refused(format!("column {written} is there twice")));
            }
            columns.push(*column);
        }
        let lacks = match kind {
            Kind::Change if !columns.contains(&Column::Status) => Some("Status"),
            Kind::Change if !columns.contains(&Column::ConversionId) => {
                (!columns.contains(&Column::ClickId)).then_some("ConversionId or ClickId")
            }
            Kind::Upload if !columns.contains(&Column::ClickId) => Some("ClickId"),
            _ => None,
        };
        match lacks {
            Some(lacks) => Err(refused(format!("the file has no column {lacks}"))),
            None => Ok(Self { kind, columns }),
        }
    }

    /// A row as an order, or what is wrong with it.
    pub(super) fn entry(&self, raw: &Raw, now: Timestamp) -> Entry {
        let cells = raw.cells.as_deref().unwrap_or_default();
        let row = Cells { columns: &self.columns, cells };
        let given = match self.kind {
            Kind::Change => row.get(Column::ConversionId).or(row.get(Column::ClickId)),
            Kind::Upload => row.get(Column::ClickId),
        };
        let given = given.unwrap_or_default().chars().take(64).collect();
        let work = raw.cells.as_ref().map_err(Clone::clone).and_then(|_| {
            row.fits()?;
            match self.kind {
                Kind::Change => change(&row),
                Kind::Upload => record(&row, now),
            }
        });
        Entry { number: raw.number, given, work }
    }
}

/// The cells of a row by their columns.
struct Cells<'a> {
    columns: &'a [Column],
    cells: &'a [String],
}

impl<'a> Cells<'a> {
    /// A cell that is there and not empty.
    fn get(&self, column: Column) -> Option<&'a str> {
        let at = self.columns.iter().position(|own| *own == column)?;
        self.cells.get(at).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn fits(&self) -> Result<(), String> {
        let beyond = self.cells.iter().skip(self.columns.len()).any(|cell| !cell.is_empty());
        if beyond {
            let (cells, columns) = (self.cells.len(), self.columns.len());
            return Err(format!("it has {cells} cells, the header {columns}; quote a cell with a separator"));
        }
        Ok(())
    }
}

fn change(row: &Cells<'_>) -> Result<Work, String> {
    let status = row.get(Column::Status).ok_or("Status is empty; write Success, Pending or Rejected")?;
    let to = Status::from_wire(status).ok_or_else(|| {
        format!("Status `{}` is unknown; write Success, Pending or Rejected", shown(status))
    })?;
    let event = row.get(Column::EventId).map(str::to_owned);
    if event.as_deref().is_some_and(domain::query::has_control) {
        return Err("EventID contains a control character".to_owned());
    }
    let named = match (row.get(Column::ConversionId), row.get(Column::ClickId)) {
        (Some(id), _) => {
            Named::Conversion(id.parse::<ConversionId>().map_err(|_| no_id("ConversionId", id))?)
        }
        (None, Some(id)) => Named::Click(id.parse::<ClickId>().map_err(|_| no_id("ClickId", id))?, event),
        (None, None) => return Err("ConversionId and ClickId are empty; write one of them".to_owned()),
    };
    let reason = row.get(Column::Reason).unwrap_or_default();
    let reason = plain(reason, MAX_REASON_BYTES).map_err(|why| format!("Reason: {why}"))?;
    Ok(Work::Change { named, to, reason })
}

/// The same checks as a postback's, in the words of a file.
fn record(row: &Cells<'_>, now: Timestamp) -> Result<Work, String> {
    let names = [
        (Column::ClickId, "gk_click_id", "ClickId"),
        (Column::EventId, "cnv_event_id", "EventID"),
        (Column::Amount, "cnv_amount", "Amount"),
        (Column::ConversionId, "cnv_conversion_id", "ConversionId"),
    ];
    let mut fields = Fields::default();
    let added = names.iter().try_for_each(|(column, name, _)| match row.get(*column) {
        Some(value) => fields.add(name, value),
        None => Ok(()),
    });
    let read = added.and_then(|()| fields.read()).map_err(|refusal| {
        names.iter().fold(refusal.message, |message, (_, name, column)| message.replace(name, column))
    });
    let mut postback = read?;
    let money = |column, name: &str| {
        let text: Option<&str> = row.get(column);
        text.map(parse_micros).transpose().map_err(|why| format!("{name}: {why}"))
    };
    postback.stated = Stated {
        revenue_micros: money(Column::Revenue, "Revenue")?,
        payout_micros: money(Column::Payout, "Payout")?,
    };
    if let Some(points) = row.get(Column::Reward) {
        let number: Result<u32, _> = points.parse();
        let number =
            number.map_err(|_| format!("Reward `{}` is no whole number of points", shown(points)))?;
        postback.kept.insert("reward".to_owned(), number.to_string());
    }
    let completed = row.get(Column::CompletedAt).map(|text| moment(text, now)).transpose()?;
    Ok(Work::Record { postback: Box::new(postback), completed })
}

/// A moment with a zone, or one in UTC.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let utc = |civil: civil::DateTime| {
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp::from_ms(zoned.timestamp().as_millisecond()))
    };
    let at = text.parse::<Timestamp>().ok().or_else(|| utc(text.parse::<civil::DateTime>().ok()?));
    let Some(at) = at else {
        let text = shown(text);
        return Err(format!("UserCompletedAt `{text}` is no point in time; write 2026-11-22T20:18:00Z"));
    };
    if at > now.plus_ms(CLOCK_SKEW_MS) {
        return Err(format!("UserCompletedAt {at} is in the future; without a zone, times are UTC"));
    }
    Ok(at)
}

fn no_id(column: &str, text: &str) -> String {
    format!(
        "{column} `{}` is no id of ours; they look like 0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6",
        shown(text)
    )
}

/// What stands in a cell, not too long for a message.
fn shown(text: &str) -> String {
    crate::terminal::line(text, 60)
}

fn is_called((_, written, aliases): &Known, name: &str) -> bool {
    let plain = bare(name);
    bare(written) == plain || aliases.contains(&plain.as_str())
}

fn close_to(known: &[Known], name: &str) -> Option<&'static str> {
    let plain = bare(name);
    let close = known.iter().map(|(_, written, _)| (strsim::jaro_winkler(&bare(written), &plain), *written));
    let best = close.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > 0.8).map(|(_, written)| written)
}

/// Letters and digits in lower case: `User completed at` is `UserCompletedAt`.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";
    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn texts(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    fn header(kind: Kind, cells: &[&str]) -> Result<Columns, String> {
        Columns::read(kind, &texts(cells)).map_err(|failure| failure.text())
    }

    fn fault(kind: Kind, names: &[&str], cells: &[&str]) -> String {
        let raw = Raw { number: 2, cells: Ok(texts(cells)), position: 0 };
        header(kind, names).unwrap().entry(&raw, NOW).work.unwrap_err()
    }

    #[test]
    fn columns_come_in_any_order_and_spelling() {
        let columns = header(Kind::Change, &["REASON", "cnv_status", "Conversion Id", ""]).unwrap();
        let raw = Raw { number: 7, cells: Ok(texts(&["fraud\nring", "reversed", ID])), position: 0 };
        let entry = columns.entry(&raw, NOW);
        assert_eq!((entry.number, entry.given.as_str()), (7, ID));
        let Ok(Work::Change { named, to, reason }) = entry.work else { panic!("{entry:?}") };
        assert_eq!((named, to), (Named::Conversion(ID.parse().unwrap()), Status::Rejected));
        assert_eq!(reason, "fraud ring");
    }

    #[test]
    fn a_wrong_header_is_told_with_the_right_one() {
        let told = |kind, cells: &[&str]| header(kind, cells).unwrap_err();
        assert!(
            told(Kind::Change, &["ClickId", "Statsu"])
                .contains("column 2 `Statsu` is unknown; did you mean Status?")
        );
        assert!(told(Kind::Change, &["ClickId"]).contains("no column Status"));
        assert!(told(Kind::Change, &["Status"]).contains("no column ConversionId or ClickId"));
        assert!(told(Kind::Upload, &["EventID"]).contains("no column ClickId"));
        assert!(told(Kind::Upload, &["ClickId", "click"]).contains("column ClickId is there twice"));
        assert!(
            told(Kind::Upload, &["ClickId", "x"]).contains("in any order: ClickId, EventID, UserCompletedAt")
        );
    }

    #[test]
    fn every_fault_of_a_row_has_its_words() {
        let change = |cells: &[&str]| fault(Kind::Change, &["ConversionId", "ClickId", "Status"], cells);
        assert!(change(&["", "", "Success"]).contains("write one of them"));
        assert!(change(&["7", "", "Success"]).starts_with("ConversionId `7` is no id of ours"));
        assert!(change(&["", ID, "ok"]).starts_with("Status `ok` is unknown"));
        assert!(change(&["", ID]).starts_with("Status is empty"));
        assert!(change(&["", ID, "Success", "x"]).starts_with("it has 4 cells, the header 3"));
        let names = ["ClickId", "UserCompletedAt", "Revenue", "Reward", "Amount"];
        let upload = |cells: &[&str]| fault(Kind::Upload, &names, cells);
        assert!(upload(&[""]).starts_with("ClickId is missing or empty"));
        assert!(upload(&["{gk_click_id}"]).starts_with("ClickId is `{"));
        assert!(upload(&[ID, "22.11.2026"]).starts_with("UserCompletedAt `22.11.2026` is no point in time"));
        assert!(upload(&[ID, "2999-01-01"]).contains("is in the future"));
        assert!(upload(&[ID, "", "1,50"]).starts_with("Revenue: `1,50` is not a plain decimal"));
        assert!(upload(&[ID, "", "", "1.5"]).starts_with("Reward `1.5` is no whole number"));
        assert!(upload(&[ID, "", "", "", "-1"]).starts_with("Amount: "));
    }

    #[test]
    fn moments_without_a_zone_are_utc() {
        let day = |text| moment(text, NOW).unwrap().to_string();
        assert_eq!(day("2026-09-01"), "2026-09-01T00:00:00.000Z");
        assert_eq!(day("2026-09-01 20:18"), "2026-09-01T20:18:00.000Z");
        assert_eq!(day("2026-09-01T20:18:00+02:00"), "2026-09-01T18:18:00.000Z");
    }
}
