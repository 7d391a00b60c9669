//! Tables in Markdown, and the file that keeps them.

use std::fs;
use std::path::Path;

use crate::failure::{During as _, Result};

/// A table: the first column is text, the others are figures.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Vec<String>,
}

impl Table {
    pub(crate) fn new<S: AsRef<str>>(columns: &[S]) -> Self {
        let mut table = Self { lines: Vec::new() };
        table.row(columns);
        let rest = "--:|".repeat(columns.len().saturating_sub(1));
        table.lines.push(format!("|---|{rest}"));
        table
    }

    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.lines.push(format!("| {} |", cells.join(" | ")));
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }
}

/// A figure with as many digits as mean something: 152,831 → `152.8k`, 8.43 → `8.4`.
pub(crate) fn figure(value: f64) -> String {
    match value {
        _ if value.is_nan() => "–".to_owned(),
        _ if value >= 10_000_000.0 => format!("{:.0}M", value / 1e6),
        _ if value >= 10_000.0 => format!("{:.1}k", value / 1e3),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Bytes as MiB.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", figure(crate::statistic::float(bytes) / 1_048_576.0))
}

/// A file with a result put between `<!-- name -->` and `<!-- /name -->`, or behind its end when it has no such place.
pub(crate) fn write(file: &Path, name: &str, result: &str) -> Result<()> {
    let old =
        if file.exists() { fs::read_to_string(file).during("read the results")? } else { String::new() };
    fs::write(file, placed(&old, name, result)).during(format!("write {}", file.display()))
}

fn placed(text: &str, name: &str, result: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let places = text.find(&open).and_then(|from| Some((from + open.len(), text.find(&close)?)));
    match places {
        Some((from, to)) if from <= to => format!("{}\n{result}{}", &text[..from], &text[to..]),
        _ => format!("{text}\n{open}\n{result}{close}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, figure, placed};

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["what", "a", "b"]);
        table.row(&["x", "1", "2"]);
        assert_eq!(table.text(), "| what | a | b |\n|---|--:|--:|\n| x | 1 | 2 |\n");
    }

    #[test]
    fn figures_are_short() {
        let shown = [12_345_678.0, 152_831.0, 950.4, 8.43, 0.784, f64::NAN].map(figure);
        assert_eq!(shown, ["12M", "152.8k", "950", "8.4", "0.78", "–"]);
    }

    #[test]
    fn a_result_replaces_the_one_before_and_nothing_else() {
        let text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n";
        let new = placed(text, "x", "new\n");
        assert_eq!(new, "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n");
        assert_eq!(placed(&new, "x", "new\n"), new);
        assert_eq!(placed("a\n", "y", "new\n"), "a\n\n<!-- y -->\nnew\n<!-- /y -->\n");
    }
}
