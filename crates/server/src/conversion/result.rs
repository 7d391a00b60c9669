//! The result file: a row for each row of the input, in its order, with what became of it. It is written step by step,
//! behind the record: of work that is interrupted at most the newest step is missing, and that is kept in the record.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use store::upload::Line;

use crate::failure::Failure;
use crate::terminal::line;

/// The longest cell, in characters.
const MOST_CHARS: usize = 1_000;

const HEADER: [&str; 5] = ["row", "id", "conversion_id", "code", "message"];

/// A result file that is being written.
#[derive(Debug)]
pub(super) struct ResultFile {
    file: File,
    shown: String,
}

impl ResultFile {
    /// A new file, or one of ours that is written anew.
    pub(super) fn begin(path: &Path, input: &Path) -> Result<Self, Failure> {
        let mut own = Self::open(path, input)?;
        own.replace(0)?;
        own.push(csv::Writer::from_writer(Vec::new()), [HEADER.map(str::to_owned)])?;
        Ok(own)
    }

    /// Goes on behind row `done_row`: what stands behind it is cut off, and what the record kept of the newest step is
    /// added where it is missing.
    pub(super) fn go_on(path: &Path, input: &Path, done_row: i64, newest: &[Line]) -> Result<Self, Failure> {
        if !path.exists() {
            return Self::begin(path, input);
        }
        let mut own = Self::open(path, input)?;
        let (end, last_row) = whole_rows(&own.file, done_row).map_err(|error| own.broken(error))?;
        if end == 0 {
            // Its lock goes with it.
            drop(own);
            return Self::begin(path, input);
        }
        own.replace(end)?;
        let missing: Vec<Line> = newest.iter().filter(|line| line.row > last_row).cloned().collect();
        own.write(&missing)?;
        Ok(own)
    }

    /// Adds rows; they are on the disk when this returns.
    pub(super) fn write(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let rows = lines.iter().map(|line| {
            [
                line.row.to_string(),
                harmless(&line.given),
                line.conversion.map_or(String::new(), |id| id.to_string()),
                harmless(&line.code),
                harmless(&line.message),
            ]
        });
        self.push(csv::Writer::from_writer(Vec::new()), rows)
    }

    fn open(path: &Path, input: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let same = path.exists() && path.canonicalize().ok() == input.canonicalize().ok();
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let own = opened.map(|file| Self { file, shown: shown.clone() });
        let own = own.map_err(|error| cannot_write(&shown, error))?;
        if own.file.try_lock().is_err() {
            let error = format!("another run writes {shown}");
            return Err(Failure::new(error).next("wait for its end, or name another one with --result"));
        }
        let empty = own.file.metadata().is_ok_and(|about| about.len() == 0);
        if same || !(empty || is_ours(&own.file)) {
            let error = format!("{shown} is no result file, and nothing is overwritten");
            return Err(Failure::usage(error).next("name another one with --result"));
        }
        Ok(own)
    }

    fn replace(&mut self, end: u64) -> Result<(), Failure> {
        let done = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end)));
        done.map(drop).map_err(|error| self.broken(error))
    }

    fn push(
        &mut self,
        mut text: csv::Writer<Vec<u8>>,
        rows: impl IntoIterator<Item = [String; 5]>,
    ) -> Result<(), Failure> {
        for row in rows {
            text.write_record(&row).map_err(Failure::new)?;
        }
        let bytes = text.into_inner().map_err(|error| Failure::new(error.to_string()))?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        written.map_err(|error| self.broken(error))
    }

    fn broken(&self, error: io::Error) -> Failure {
        cannot_write(&self.shown, error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
struct CannotWrite {
    path: String,
    source: io::Error,
}

fn cannot_write(path: &str, source: io::Error) -> Failure {
    Failure::new(CannotWrite { path: path.to_owned(), source })
        .next("name a file that you can write with --result, and run it again: it goes on where it was")
}

fn reader(mut file: &File) -> io::Result<csv::Reader<BufReader<&File>>> {
    file.seek(SeekFrom::Start(0))?;
    Ok(csv::ReaderBuilder::new().flexible(true).from_reader(BufReader::new(file)))
}

fn is_ours(file: &File) -> bool {
    let header = reader(file).ok().and_then(|mut rows| rows.headers().cloned().ok());
    header.is_some_and(|header| header.iter().eq(HEADER))
}

/// Where the rows up to `done_row` end, and the last of them. A row that was torn, and what is behind it, is not whole.
fn whole_rows(file: &File, done_row: i64) -> io::Result<(u64, i64)> {
    let mut rows = reader(file)?;
    let bytes = file.metadata()?.len();
    if rows.headers().map_or(0, csv::StringRecord::len) != HEADER.len() {
        return Ok((0, 0));
    }
    let (mut end, mut last) = (rows.position().byte(), 1);
    let mut record = csv::StringRecord::new();
    while matches!(rows.read_record(&mut record), Ok(true)) {
        let row = record.get(0).and_then(|text| text.parse::<i64>().ok());
        let position = rows.position().byte();
        let torn = position >= bytes && !ends_with_newline(file)?;
        match row {
            Some(row) if row <= done_row && record.len() == HEADER.len() && !torn => {
                (end, last) = (position, row);
            }
            _ => break,
        }
    }
    Ok((end, last))
}

fn ends_with_newline(mut file: &File) -> io::Result<bool> {
    let here = file.stream_position()?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    io::Read::read_exact(&mut file, &mut last)?;
    file.seek(SeekFrom::Start(here))?;
    Ok(last == [b'\n'])
}

/// A cell on one line that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    let text = line(text, MOST_CHARS);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(row: i64) -> Line {
        let given = "=1+1".to_owned();
        Line { row, given, conversion: None, code: "x".to_owned(), message: "a,\n\"b\"".to_owned() }
    }

    fn lines(rows: std::ops::RangeInclusive<i64>) -> Vec<Line> {
        rows.map(told).collect()
    }

    #[test]
    fn work_that_goes_on_makes_the_file_that_uninterrupted_work_makes() {
        let folder = testkit::Folder::new();
        let (path, input) = (folder.path().join("r.csv"), folder.path().join("i.csv"));
        std::fs::write(&input, "x").unwrap();
        ResultFile::begin(&path, &input).unwrap().write(&lines(2..=9)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(String::from_utf8_lossy(&whole).contains("\n2,'=1+1,,x,\"a,\\n\"\"b\"\"\"\n"), "{whole:?}");
        let header = "row,id,conversion_id,code,message\n".len();
        for cut in header..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            // Six rows are in the record; of the newest step, four of them, the file may have anything.
            if cut >= whole.len() * 3 / 8 + header {
                ResultFile::go_on(&path, &input, 7, &lines(4..=7)).unwrap().write(&lines(8..=9)).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
            }
        }
    }

    #[test]
    fn two_runs_do_not_write_the_same_file() {
        let folder = testkit::Folder::new();
        let (path, input) = (folder.path().join("r.csv"), folder.path().join("i.csv"));
        let first = ResultFile::begin(&path, &input).unwrap();
        let refused = ResultFile::go_on(&path, &input, 7, &[]).unwrap_err().text();
        assert!(refused.contains("another run writes "), "{refused}");
        drop(first);
        ResultFile::go_on(&path, &input, 7, &[]).unwrap();
    }

    #[test]
    fn nothing_else_is_overwritten() {
        let folder = testkit::Folder::new();
        let path = folder.path().join("mine.csv");
        std::fs::write(&path, "ClickId,Status\n").unwrap();
        let refused = ResultFile::begin(&path, &path).unwrap_err().text();
        assert!(refused.contains("is no result file") && refused.contains("--result"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ClickId,Status\n");
    }
}
