//! What a rule found, said so that it can be mended.

use std::fmt;

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// From the workspace's root, with forward slashes.
    pub(crate) path: String,
    /// From 1; 0 when the whole file is meant.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) mend: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path)?;
        if self.line > 0 {
            write!(formatter, ":{}", self.line)?;
        }
        write!(formatter, ": {}. {}", self.what, self.mend)
    }
}

/// Fails the test with all findings, one a line.
pub(crate) fn report(findings: impl IntoIterator<Item = Finding>) {
    let lines: Vec<String> = findings.into_iter().map(|finding| finding.to_string()).collect();
    assert!(lines.is_empty(), "{} untidy:\n{}\n", lines.len(), lines.join("\n"));
}

/// The lines of the findings, which is what most samples are asked for.
#[cfg(test)]
pub(crate) fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

#[test]
fn a_finding_says_where_what_and_how() {
    let finding = Finding { path: "a/b.rs".to_owned(), line: 3, what: "no".to_owned(), mend: "Do yes." };
    assert_eq!(finding.to_string(), "a/b.rs:3: no. Do yes.");
    assert_eq!(Finding { line: 0, ..finding }.to_string(), "a/b.rs: no. Do yes.");
}

#[test]
#[should_panic(expected = "1 untidy:\na.rs: no. Mend.")]
fn a_finding_fails_the_test() {
    report([Finding { path: "a.rs".to_owned(), line: 0, what: "no".to_owned(), mend: "Mend." }]);
}
