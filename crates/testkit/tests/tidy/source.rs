//! The project's files, and a Rust file as a flat list of tokens.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// The folders that hold Rust code.
const CODE: [&str; 3] = ["crates", "tests", "benches"];

/// A Rust file.
pub(crate) struct Source {
    /// From the workspace's root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// In order, macro bodies included, doc comments and other comments not.
    pub(crate) tokens: Vec<Token>,
}

/// A word, a mark, a literal, or the opening or closing mark of a group.
pub(crate) struct Token {
    /// As it is written; `::` and other joined marks are one token.
    pub(crate) text: String,
    pub(crate) line: usize,
    /// What a string literal holds, as far as it is written plainly.
    pub(crate) string: Option<String>,
    /// Of an opening mark: the position of its closing mark.
    pub(crate) close: Option<usize>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    /// Where the pattern's words stand in a row.
    pub(crate) fn find<'a>(&'a self, pattern: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        let starts = 0..(self.tokens.len() + 1).saturating_sub(pattern.len());
        starts.filter(move |&at| {
            pattern.iter().zip(&self.tokens[at..]).all(|(expected, token)| *expected == token.text)
        })
    }

    /// Whether the file as a whole is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.starts_with("tests/")
            || self.path.starts_with("crates/testkit/")
    }

    /// The lines of the modules under `#[cfg(test)]`, and of the functions under `#[test]`.
    pub(crate) fn test_lines(&self) -> Vec<Range<usize>> {
        let cfg: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]"];
        let starts = self.find(cfg).chain(self.find(&["test", "]"]));
        starts.filter_map(|at| self.block_after(at)).collect()
    }

    /// The lines from the token to the end of the first block behind it.
    fn block_after(&self, at: usize) -> Option<Range<usize>> {
        let open = self.tokens[at..].iter().find(|token| token.text == "{" || token.text == ";")?;
        Some(self.tokens[at].line..self.tokens[open.close?].line + 1)
    }

    /// The text of a line, counted from 1.
    pub(crate) fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number.saturating_sub(1)).unwrap_or_default()
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    let mut joined = false;
    while let Some(tree) = trees.next() {
        if let TokenTree::Punct(mark) = &tree
            && mark.as_char() == '#'
        {
            trees.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
            if trees.next_if(is_doc).is_some() {
                continue;
            }
        }
        let line = tree.span().start().line;
        let joins = matches!(&tree, TokenTree::Punct(mark) if mark.spacing() == Spacing::Joint);
        match tree {
            TokenTree::Group(group) => flatten_group(&group, tokens),
            TokenTree::Punct(mark) if joined => {
                if let Some(last) = tokens.last_mut() {
                    last.text.push(mark.as_char());
                }
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let string = string_of(&text);
                tokens.push(Token { text, line, string, close: None });
            }
            other => tokens.push(Token { text: other.to_string(), line, string: None, close: None }),
        }
        joined = joins;
    }
}

fn flatten_group(group: &Group, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::None => ("", ""),
    };
    let at = tokens.len();
    let mark = |text: &str, line| Token { text: text.to_owned(), line, string: None, close: None };
    tokens.push(mark(open, group.span_open().start().line));
    flatten(group.stream(), tokens);
    tokens[at].close = Some(tokens.len());
    tokens.push(mark(close, group.span_close().start().line));
}

/// `[doc = …]`: a doc comment, which may speak of anything.
fn is_doc(tree: &TokenTree) -> bool {
    let TokenTree::Group(group) = tree else { return false };
    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(word)) if word == "doc")
}

/// What stands between the quotes of a string literal of any kind; escapes are left as they are written.
fn string_of(literal: &str) -> Option<String> {
    let text = literal.trim_start_matches(['b', 'c', 'r']).trim_matches('#');
    Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the workspace.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file under the folders that hold code, sorted.
pub(crate) fn paths() -> Vec<String> {
    let mut paths: Vec<String> = CODE.iter().flat_map(|folder| files_in(folder)).collect();
    paths.sort();
    paths
}

/// Every file under a folder; none when there is no such folder.
pub(crate) fn files_in(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            paths.extend(files_in(&path));
        } else {
            paths.push(path);
        }
    }
    paths
}

/// Every Rust file.
pub(crate) fn all() -> Vec<Source> {
    let is_rust = |path: &String| Path::new(path).extension().is_some_and(|extension| extension == "rs");
    paths().iter().filter(|path| is_rust(path)).map(|path| Source::new(path, &read(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn tokens_are_flat_and_know_their_lines() {
        let source = Source::new("a.rs", "/// Doc \"x\".\nfn a() {\n    b::c!(r#\"s\"#);\n}\n");
        let texts: Vec<_> = source.tokens.iter().map(|at| at.text.as_str()).collect();
        assert_eq!(texts, ["fn", "a", "(", ")", "{", "b", "::", "c", "!", "(", "r#\"s\"#", ")", ";", "}"]);
        assert_eq!(source.tokens[10].string.as_deref(), Some("s"));
        let close = source.tokens[4].close.unwrap();
        assert_eq!((source.tokens[4].line, source.tokens[close].line), (2, 4));
        assert_eq!(source.find(&["b", "::"]).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn test_code_is_recognised() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[tokio::test]\nasync fn c() {\n}\n";
        let source = Source::new("crates/web/src/a.rs", text);
        assert_eq!(source.test_lines(), [2..6, 6..9]);
        assert!(!source.is_test());
        assert!(Source::new("crates/web/tests/a.rs", "").is_test());
    }
}
