//! What files and modules may be called.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::source::Source;

/// Names that say nothing about what is inside.
const EMPTY: [&str; 12] = [
    "util", "utils", "common", "core", "helper", "helpers", "type", "types", "service", "services",
    "manager", "managers",
];

/// One noun, one file name, every layer: the singular. The words of the field with the plural that tempts.
const NOUNS: [(&str, &str); 11] = [
    ("networks", "network"),
    ("partners", "partner"),
    ("advertisers", "advertiser"),
    ("offers", "offer"),
    ("links", "link"),
    ("clicks", "click"),
    ("conversions", "conversion"),
    ("postbacks", "postback"),
    ("deliveries", "delivery"),
    ("reports", "report"),
    ("events", "event"),
];

fn check(path: &str, line: usize, name: &str) -> Option<Finding> {
    let path = path.to_owned();
    if EMPTY.contains(&name) {
        let what = format!("`{name}` says nothing about what is inside");
        return Some(Finding { path, line, what, mend: "Name it after the one thing that it is about." });
    }
    let (plural, singular) = NOUNS.iter().find(|(plural, _)| *plural == name)?;
    let what = format!("`{plural}` is called `{singular}` in every other layer");
    Some(Finding { path, line, what, mend: "One noun, one file name: use the singular." })
}

/// Every folder of the path and the file's stem.
pub(crate) fn path(path: &str) -> Vec<Finding> {
    path.split('/').filter_map(|part| check(path, 0, part.split('.').next()?)).collect()
}

/// The modules that a file declares, with or without a body.
pub(crate) fn modules(source: &Source) -> Vec<Finding> {
    let names = source.find(&["mod"]).filter_map(|at| source.tokens.get(at + 1));
    names.filter_map(|token| check(&source.path, token.line, &token.text)).collect()
}

/// Every decision note is `NUMBER-what-was-decided.md`, and no number is used twice.
pub(crate) fn decisions(paths: &[String]) -> Vec<Finding> {
    let mut seen: BTreeMap<u32, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for path in paths {
        let file = path.rsplit('/').next().unwrap_or_default();
        let finding = |what| Finding {
            path: path.clone(),
            line: 0,
            what,
            mend: "Call it by the next free number and its subject, such as `0007-why-one-writer.md`.",
        };
        let number = file
            .split_once('-')
            .filter(|_| file.strip_suffix(".md").is_some())
            .and_then(|(number, _)| number.parse().ok());
        match number {
            None if file == "README.md" => {}
            None => findings.push(finding("a decision without a number".to_owned())),
            Some(number) => {
                if let Some(other) = seen.insert(number, path) {
                    findings.push(finding(format!("the number of {other}")));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{decisions, modules, path};
    use crate::finding::lines;
    use crate::source::Source;

    #[test]
    fn empty_names_and_plurals_are_refused() {
        for bad in [
            "crates/web/src/utils.rs",
            "crates/web/src/core/mod.rs",
            "crates/store/src/clicks.rs",
            "crates/web/templates/offers/list.html",
            "crates/store/tests/deliveries.rs",
        ] {
            assert_eq!(path(bad).len(), 1, "{bad}");
        }
        for good in
            ["crates/web/src/offer.rs", "crates/store/src/engine/sqlite.rs", "crates/delivery/src/lib.rs"]
        {
            assert_eq!(path(good), [], "{good}");
        }
    }

    #[test]
    fn modules_inside_a_file_are_named_too() {
        let source = Source::new("a.rs", "mod click;\nmod helpers {\n    mod offers;\n}\n");
        assert_eq!(lines(&modules(&source)), [2, 3]);
    }

    #[test]
    fn decisions_are_numbered_once() {
        let paths = ["d/0001-a.md", "d/0002-b.md", "d/README.md", "d/c.md", "d/0002-d.md", "d/0003-e.txt"];
        let found = decisions(&paths.map(str::to_owned));
        let found: Vec<_> = found.iter().map(|at| (at.path.as_str(), at.what.as_str())).collect();
        assert_eq!(
            found,
            [
                ("d/c.md", "a decision without a number"),
                ("d/0002-d.md", "the number of d/0002-b.md"),
                ("d/0003-e.txt", "a decision without a number"),
            ]
        );
    }
}
