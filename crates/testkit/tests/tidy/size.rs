//! How long a file, a function and a line may be.

use crate::finding::Finding;
use crate::source::Source;

const FILE_LINES: usize = 600;
/// A little more than `rustfmt` fills, for SQL and text that it does not break.
const LINE_CHARACTERS: usize = 120;
const FUNCTION_LINES: usize = 70;
/// Nine functions in ten are at most so long.
const MOST_FUNCTION_LINES: usize = 40;

pub(crate) fn file_length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES {
        return Vec::new();
    }
    vec![Finding {
        path: source.path.clone(),
        line: 0,
        what: format!("{lines} lines, {FILE_LINES} are allowed"),
        mend: "Move a part that has a name of its own to a module of its own.",
    }]
}

pub(crate) fn line_width(source: &Source) -> Vec<Finding> {
    let wide = source.text.lines().enumerate().filter(|(_, line)| line.chars().count() > LINE_CHARACTERS);
    wide.map(|(at, line)| Finding {
        path: source.path.clone(),
        line: at + 1,
        what: format!("{} characters, {LINE_CHARACTERS} are allowed", line.chars().count()),
        mend: "Break it: a comment between words, a string by a backslash at the line's end.",
    })
    .collect()
}

/// A function with its first line and its length in lines, signature and braces included.
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

fn functions(source: &Source) -> Vec<Function<'_>> {
    let starts = source.tokens.iter().enumerate().filter(|(_, token)| token.text == "fn");
    starts.filter_map(|(at, token)| function(source, at, token.line)).collect()
}

/// The function whose `fn` stands there; none for a function type and for a declaration without a body.
fn function(source: &Source, at: usize, line: usize) -> Option<Function<'_>> {
    let name = source.tokens.get(at + 1).filter(|token| token.text != "(")?;
    let mut next = at + 2;
    loop {
        let token = source.tokens.get(next)?;
        match (token.text.as_str(), token.close) {
            (";", _) => return None,
            ("{", Some(close)) => {
                let lines = source.tokens[close].line - line + 1;
                return Some(Function { name: &name.text, line, lines });
            }
            (_, Some(close)) => next = close + 1,
            _ => next += 1,
        }
    }
}

pub(crate) fn function_length(source: &Source) -> Vec<Finding> {
    let long = functions(source).into_iter().filter(|function| function.lines > FUNCTION_LINES);
    long.map(|function| Finding {
        path: source.path.clone(),
        line: function.line,
        what: format!("`{}` has {} lines, {FUNCTION_LINES} are allowed", function.name, function.lines),
        mend: "Give a step of it a name and a function.",
    })
    .collect()
}

/// Whether nine functions in ten of the whole project are short; if not, the longest of the others are named.
pub(crate) fn ninety_percent(sources: &[Source]) -> Vec<Finding> {
    let mut all: Vec<_> =
        sources.iter().flat_map(|source| functions(source).into_iter().map(move |at| (source, at))).collect();
    all.sort_by_key(|(_, function)| std::cmp::Reverse(function.lines));
    let too_many = all.iter().filter(|(_, function)| function.lines > MOST_FUNCTION_LINES).count();
    if too_many * 10 <= all.len() {
        return Vec::new();
    }
    let excess = all.iter().take(too_many - all.len() / 10);
    excess
        .map(|(source, function)| Finding {
            path: source.path.clone(),
            line: function.line,
            what: format!(
                "`{}` has {} lines, and {too_many} of {} functions have more than {MOST_FUNCTION_LINES}",
                function.name,
                function.lines,
                all.len()
            ),
            mend: "One in ten may; shorten some.",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{file_length, function_length, line_width, ninety_percent};
    use crate::finding::lines;
    use crate::source::Source;

    fn function_of(lines: usize) -> String {
        format!("fn a(f: fn(u8) -> u8) -> [u8; {{ 1 }}] {{\n{}}}\n", "    b();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_may_have_600_lines() {
        assert_eq!(file_length(&Source::new("a.rs", &"\n".repeat(600))), []);
        let found = file_length(&Source::new("a.rs", &"\n".repeat(601)));
        assert_eq!(found[0].what, "601 lines, 600 are allowed");
    }

    #[test]
    fn a_line_may_have_120_characters() {
        let text = format!("// {}\n// {}\n", "é".repeat(117), "é".repeat(118));
        assert_eq!(lines(&line_width(&Source::new("a.rs", &text))), [2]);
    }

    #[test]
    fn a_function_may_have_70_lines() {
        assert_eq!(function_length(&Source::new("a.rs", &function_of(70))), []);
        let text = format!("trait T {{\n    fn t();\n}}\n\n{}", function_of(71));
        let found = function_length(&Source::new("a.rs", &text));
        assert_eq!(lines(&found), [5]);
        assert_eq!(found[0].what, "`a` has 71 lines, 70 are allowed");
    }

    #[test]
    fn one_function_in_ten_may_be_longer_than_40_lines() {
        let short = "fn a() {}\n".repeat(9);
        let good = Source::new("a.rs", &format!("{short}{}", function_of(41)));
        let bad = Source::new("b.rs", &function_of(50));
        assert_eq!(ninety_percent(std::slice::from_ref(&good)), []);
        let found = ninety_percent(&[good, bad]);
        assert_eq!((found[0].path.as_str(), found.len()), ("b.rs", 1));
    }
}
