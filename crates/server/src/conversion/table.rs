//! Tables in files: the rows of a CSV or of an XLSX file's first sheet, one after another, read on a thread of their
//! own and never all at once.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use calamine::{DataRef, Reader as _, Xlsx};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::failure::Failure;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 100 * 1024 * 1024;
/// Rows that may wait between the reader and whoever works on them.
const AHEAD: usize = 2_000;
/// More columns than any table of ours has.
const MAX_COLUMNS: usize = 64;

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    /// Its number; the header is mostly row 1.
    pub(super) number: i64,
    /// Its cells as text, or why they cannot be read.
    pub(super) cells: Result<Vec<String>, String>,
    /// How many bytes of the file are read; 0 where that is not known.
    pub(super) position: u64,
}

/// A file that holds a table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    path: PathBuf,
    sheet: bool,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// SHA-256 of its content.
    pub(super) hash: [u8; 32],
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
struct CannotRead {
    path: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Table {
    /// Looks at a file: its kind, its size and what is in it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let broken = |source: std::io::Error| {
            let path = path.display().to_string();
            Failure::usage(CannotRead { path, source: source.into() }).next("name a file that you can read")
        };
        let mut file = File::open(path).map_err(broken)?;
        let about = file.metadata().map_err(broken)?;
        if !about.is_file() || about.len() > MAX_BYTES {
            let error = format!("{} is no file of at most 100 MB", path.display());
            return Err(Failure::usage(error).next("split it into several; each begins with the header"));
        }
        let (mut digest, mut buffer, mut start) = (Sha256::new(), vec![0; 64 * 1024], Vec::new());
        loop {
            let read = file.read(&mut buffer).map_err(broken)?;
            if read == 0 {
                break;
            }
            if start.len() < 4 {
                start.extend_from_slice(&buffer[..read.min(4)]);
            }
            digest.update(&buffer[..read]);
        }
        // An XLSX file is a ZIP archive; its name may say anything.
        let sheet = start.starts_with(b"PK\x03\x04");
        Ok(Self { path: path.to_owned(), sheet, bytes: about.len(), hash: digest.finalize().into() })
    }

    /// Whether it is a spreadsheet; a text file otherwise.
    pub(super) fn is_sheet(&self) -> bool {
        self.sheet
    }

    /// Begins to read: the rows that are not empty, the header first. An error comes last.
    pub(super) fn rows(&self) -> Receiver<Result<Raw, Failure>> {
        let (to, rows) = mpsc::channel(AHEAD);
        let own = self.clone();
        std::thread::spawn(move || {
            let read = if own.sheet { own.read_sheet(&to) } else { own.read_text(&to) };
            if let Err(source) = read {
                let error = CannotRead { path: own.path.display().to_string(), source };
                let next = "save it as CSV UTF-8 or as XLSX, and give that";
                // Whoever is gone needs no error.
                drop(to.blocking_send(Err(Failure::usage(error).next(next))));
            }
        });
        rows
    }

    fn read_text(&self, to: &Sender<Result<Raw, Failure>>) -> Result<(), Fault> {
        let mut file = BufReader::new(File::open(&self.path)?);
        let delimiter = begin_text(&mut file)?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(file);
        let mut record = csv::ByteRecord::new();
        let mut last = 0;
        while reader.read_byte_record(&mut record)? {
            // The position is behind the row, which may have line ends inside.
            let inside = record.as_slice().split(|byte| *byte == b'\n').count() as u64 - 1;
            let number = i64::try_from(reader.position().line().saturating_sub(1 + inside)).unwrap_or(0);
            last = number.max(last + 1);
            let position = reader.position().byte();
            if !send(to, Raw { number: last, cells: text_cells(&record), position }) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn read_sheet(&self, to: &Sender<Result<Raw, Failure>>) -> Result<(), Fault> {
        let mut book = Xlsx::new(BufReader::new(File::open(&self.path)?))?;
        let name = book.sheet_names().first().cloned().ok_or("it has no sheet")?;
        let mut cells = book.worksheet_cells_reader(&name)?;
        let mut row: Option<(u32, Vec<String>)> = None;
        while let Some(cell) = cells.next_cell()? {
            let (number, column) = cell.get_position();
            if row.as_ref().is_some_and(|(own, _)| *own != number) && !send_row(to, row.take()) {
                return Ok(());
            }
            let (_, texts) = row.get_or_insert_with(|| (number, Vec::new()));
            let column = column as usize;
            if column >= MAX_COLUMNS {
                return Err(format!("row {} has more than {MAX_COLUMNS} columns", number + 1).into());
            }
            if texts.len() <= column {
                texts.resize(column + 1, String::new());
            }
            texts[column] = cell_text(cell.get_value());
        }
        send_row(to, row);
        Ok(())
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Skips a byte order mark, and says what separates the cells: what the first line has most of.
fn begin_text(file: &mut impl BufRead) -> Result<u8, Fault> {
    let start = file.fill_buf()?;
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16".into());
    }
    let mark = if start.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
    let line = start[mark..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: u8| line.split(|byte| *byte == delimiter).count();
    let delimiter = [b',', b';', b'\t'].into_iter().rev().max_by_key(|one| count(*one)).unwrap_or(b',');
    file.consume(mark);
    Ok(delimiter)
}

fn text_cells(record: &csv::ByteRecord) -> Result<Vec<String>, String> {
    if record.len() > MAX_COLUMNS {
        return Err(format!("it has {} cells, more than {MAX_COLUMNS}", record.len()));
    }
    let read = |cell: &[u8]| std::str::from_utf8(cell).map(|text| text.trim().to_owned());
    let cells: Result<Vec<String>, _> = record.iter().map(read).collect();
    cells.map_err(|_| "it is not UTF-8; save the file as CSV UTF-8".to_owned())
}

/// A cell as a person reads it. Numbers are the shortest decimals that mean what is stored, as a spreadsheet shows
/// them; moments are UTC.
fn cell_text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.trim().to_owned()
        }
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Bool(truth) => truth.to_string(),
        DataRef::DateTime(at) => {
            let (year, month, day, hour, minute, second, ms) = at.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
        }
        DataRef::Error(error) => error.to_string(),
    }
}

fn send_row(to: &Sender<Result<Raw, Failure>>, row: Option<(u32, Vec<String>)>) -> bool {
    row.is_none_or(|(number, cells)| {
        send(to, Raw { number: i64::from(number) + 1, cells: Ok(cells), position: 0 })
    })
}

/// `false` when nobody listens any more. Rows without any text are left out.
fn send(to: &Sender<Result<Raw, Failure>>, row: Raw) -> bool {
    let empty = row.cells.as_ref().is_ok_and(|cells| cells.iter().all(String::is_empty));
    empty || to.blocking_send(Ok(row)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Vec<Raw> {
        let folder = testkit::Folder::new();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut rows = Table::open(&path).unwrap().rows();
        std::iter::from_fn(|| rows.blocking_recv().map(Result::unwrap)).collect()
    }

    fn numbered(rows: &[Raw]) -> Vec<(i64, Vec<&str>)> {
        let cells = |row: &'_ Raw| row.cells.as_ref().unwrap().clone();
        rows.iter().map(|row| (row.number, cells(row).leak().iter().map(String::as_str).collect())).collect()
    }

    #[test]
    fn rows_are_numbered_as_an_editor_does() {
        let text = "\u{feff}a;b\r\n1;2\r\n\r\n\"x\ny\";z\n;\n3;4";
        let rows = read("t.csv", text.as_bytes());
        let expected =
            [(1, vec!["a", "b"]), (2, vec!["1", "2"]), (4, vec!["x\ny", "z"]), (7, vec!["3", "4"])];
        assert_eq!(numbered(&rows), expected);
    }

    #[test]
    fn a_row_that_is_not_utf8_is_a_bad_row_and_no_more() {
        let rows = read("t.csv", b"a,b\n\xff,2\n3,4\n");
        assert!(rows[1].cells.as_ref().unwrap_err().contains("CSV UTF-8"), "{rows:?}");
        assert_eq!(rows[2].cells, Ok(vec!["3".to_owned(), "4".to_owned()]));
    }
}
