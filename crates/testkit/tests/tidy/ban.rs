//! What code may not say.

use crate::finding::Finding;
use crate::source::{Source, Token};

/// How many lines above a sleep its reason may begin.
const REASON_LINES: usize = 3;
const REASON: &str = "// bounded wait:";

fn finding(source: &Source, line: usize, what: &str, mend: &'static str) -> Finding {
    Finding { path: source.path.clone(), line, what: what.to_owned(), mend }
}

pub(crate) fn ignored_tests(source: &Source) -> Vec<Finding> {
    let found = source.find(&["#", "[", "ignore"]).map(|at| {
        let mend = "Mend the test or delete it; what cannot run everywhere says so and why in its own body.";
        finding(source, source.tokens[at].line, "a test that is ignored", mend)
    });
    found.collect()
}

pub(crate) fn unfinished_code(source: &Source) -> Vec<Finding> {
    let words = ["todo", "unimplemented", "dbg"];
    let found = words.iter().flat_map(|word| {
        source.find(&[]).filter(move |&at| is_macro(&source.tokens[at..], word)).map(move |at| {
            let mend = "Finish it, or answer an error that names what is missing.";
            finding(source, source.tokens[at].line, &format!("`{word}!`"), mend)
        })
    });
    found.collect()
}

fn is_macro(tokens: &[Token], word: &str) -> bool {
    matches!(tokens, [name, mark, ..] if name.text == word && mark.text == "!")
}

/// A sleep in a test is luck, unless it is a pause between two looks of a wait that has an end.
pub(crate) fn sleeping_tests(source: &Source) -> Vec<Finding> {
    let test_lines = source.test_lines();
    let sleeps = source.find(&["sleep", "("]).map(|at| source.tokens[at].line);
    let in_tests =
        sleeps.filter(|line| source.is_test() || test_lines.iter().any(|range| range.contains(line)));
    let unexplained = in_tests.filter(|&line| {
        !(line.saturating_sub(REASON_LINES)..=line).any(|near| source.line(near).contains(REASON))
    });
    unexplained
        .map(|line| {
            let mend =
                "Wait for the event itself, or say `// bounded wait: …` above, with what ends it and when.";
            finding(source, line, "a test that sleeps", mend)
        })
        .collect()
}

/// The store writes SQL. Tests and benchmarks may too: they count again by a second way.
pub(crate) fn sql_outside_the_store(source: &Source) -> Vec<Finding> {
    if ["crates/store/", "crates/testkit/", "tests/", "benches/"]
        .iter()
        .any(|home| source.path.starts_with(home))
    {
        return Vec::new();
    }
    let strings = source.tokens.iter().filter(|token| token.string.as_deref().is_some_and(is_sql));
    strings
        .map(|token| {
            let mend = "Make it a named statement in crates/store and call a function of the store.";
            finding(source, token.line, "SQL outside the store", mend)
        })
        .collect()
}

/// Whether a string begins as a statement does. A sentence that begins with `Select` or `Update` is none: SQL
/// is written in one case throughout.
fn is_sql(text: &str) -> bool {
    let words: Vec<&str> =
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty() && *word != "n").collect();
    let Some(first) = words.first() else { return false };
    let upper = first.chars().all(|letter| letter.is_ascii_uppercase());
    let lower = first.chars().all(|letter| letter.is_ascii_lowercase());
    if !upper && !lower {
        return false;
    }
    let has = |word: &str| {
        let word = if upper { word.to_ascii_uppercase() } else { word.to_owned() };
        words.iter().skip(1).any(|at| *at == word)
    };
    let second = words.get(1).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    match first.to_ascii_lowercase().as_str() {
        "select" => has("from"),
        "insert" => second == "into",
        "update" => has("set"),
        "delete" => second == "from",
        "create" | "drop" | "alter" => {
            ["table", "index", "unique", "view", "database"].contains(&second.as_str())
        }
        "pragma" | "vacuum" => text.trim_start().len() > first.len(),
        "with" => has("as") && has("select"),
        "copy" => has("stdin"),
        _ => false,
    }
}

/// Settings are read from the environment in one module of the binary; tests and benches may read it.
pub(crate) fn settings_outside_config(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    let is_config = path == "crates/server/src/config.rs" || path.starts_with("crates/server/src/config/");
    // What a build script reads comes from cargo.
    let is_build = path.ends_with("/build.rs");
    if is_config || is_build || source.is_test() || path.starts_with("benches/") {
        return Vec::new();
    }
    let test_lines = source.test_lines();
    let readers = ["var", "vars", "var_os", "vars_os"];
    let found = source.find(&["env", "::"]).filter(|&at| {
        let line = source.tokens[at].line;
        source.tokens.get(at + 2).is_some_and(|token| readers.contains(&token.text.as_str()))
            && !test_lines.iter().any(|range| range.contains(&line))
    });
    found
        .map(|at| {
            let mend = "Make it a setting in crates/server/src/config.rs and pass its value in.";
            finding(source, source.tokens[at].line, "the environment is read outside the configuration", mend)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        ignored_tests, is_sql, settings_outside_config, sleeping_tests, sql_outside_the_store,
        unfinished_code,
    };
    use crate::finding::lines;
    use crate::source::Source;

    const PATH: &str = "crates/web/src/click.rs";

    #[test]
    fn a_test_is_never_ignored() {
        let text = "#[test]\n#[ignore]\nfn a() {}\n#[test]\n#[ignore = \"slow\"]\nfn b() {}\n// #[ignore]\n";
        assert_eq!(lines(&ignored_tests(&Source::new(PATH, text))), [2, 5]);
    }

    #[test]
    fn code_is_finished() {
        let text = "fn a() {\n    todo!();\n}\nfn b() {\n    let todo = dbg!(1);\n}\n// todo!\n";
        assert_eq!(lines(&unfinished_code(&Source::new(PATH, text))), [2, 5]);
    }

    #[test]
    fn a_test_sleeps_only_with_a_reason() {
        let text = "fn a() { sleep(x); }\n#[cfg(test)]\nmod tests {\n    fn b() { thread::sleep(x); }\n\
                    // bounded wait: until the port opens, 10 s\n    fn c() { sleep(x); }\n}\n";
        assert_eq!(lines(&sleeping_tests(&Source::new(PATH, text))), [4]);
        assert_eq!(lines(&sleeping_tests(&Source::new("tests/a.rs", "fn a() { sleep(x); }"))), [1]);
        assert_eq!(sleeping_tests(&Source::new("tests/a.rs", "// sleep(x)\nfn sleepy() {}")), []);
    }

    #[test]
    fn sql_is_written_in_the_store() {
        let text = "const A: &str = \"select a from b\";\nfn c() {\n    d!(r#\"\n  INSERT INTO e\"#);\n}\n\
                    /// select a from b\nfn f() {}\n";
        assert_eq!(lines(&sql_outside_the_store(&Source::new(PATH, text))), [1, 3]);
        assert_eq!(sql_outside_the_store(&Source::new("crates/store/src/click.rs", text)), []);
    }

    #[test]
    fn a_sentence_is_no_statement() {
        for sql in [
            "select 1 from x",
            "SELECT *\\n FROM x",
            "insert into x values (1)",
            "update x set y = 1",
            "DELETE FROM x",
            "create table x (y)",
            "create unique index x",
            "drop table x",
            "pragma synchronous",
            "with a as (select 1) select 2",
            "copy x from stdin binary",
        ] {
            assert!(is_sql(sql), "{sql}");
        }
        for words in [
            "",
            "Select an offer from the list",
            "Update the set",
            "insert a coin",
            "selected from",
            "deleted from the list",
            "pragma",
            "with as few words as possible",
            "copy from here",
        ] {
            assert!(!is_sql(words), "{words}");
        }
    }

    #[test]
    fn the_environment_is_read_in_one_place() {
        let text = "fn a() {\n    std::env::var(\"A\");\n    env::vars_os();\n    env!(\"B\");\n\
                    env::args();\n}\n\
                    #[test]\nfn b() {\n    env::var(\"A\");\n}\n";
        assert_eq!(lines(&settings_outside_config(&Source::new(PATH, text))), [2, 3]);
        for good in
            ["crates/server/src/config.rs", "crates/server/src/config/file.rs", "crates/web/tests/a.rs"]
        {
            assert_eq!(settings_outside_config(&Source::new(good, text)), [], "{good}");
        }
    }
}
