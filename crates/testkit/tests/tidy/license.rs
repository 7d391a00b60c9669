//! Which licences may come in: those of `deny.toml`.

use std::process::Command;

use serde_json::Value as Json;
use toml::Table;

use crate::finding::Finding;
use crate::source;

/// A package and its SPDX expression, empty when it has none.
pub(crate) struct Package {
    name: String,
    license: String,
}

/// Every package that this machine's build uses, as cargo itself tells.
pub(crate) fn packages() -> Vec<Package> {
    let host = Command::new(env!("CARGO")).arg("-vV").output().expect("cargo runs");
    let host = String::from_utf8(host.stdout).unwrap();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", host])
        .current_dir(source::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).unwrap();
    let text = |package: &Json, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages").iter();
    packages.map(|at| Package { name: text(at, "name"), license: text(at, "license") }).collect()
}

/// The packages that none of the allowed licences lets in.
pub(crate) fn refused(deny: &str, packages: &[Package]) -> Vec<Finding> {
    let deny: Table = deny.parse().expect("deny.toml is TOML");
    let allowed = deny["licenses"]["allow"].as_array().expect("licenses.allow is a list");
    let allowed: Vec<&str> = allowed.iter().filter_map(|at| at.as_str()).collect();
    let refused = packages.iter().filter(|package| !allows(&allowed, &package.license));
    refused
        .map(|package| Finding {
            path: "deny.toml".to_owned(),
            line: 0,
            what: format!("`{}` has the licence `{}`, which is not allowed", package.name, package.license),
            mend: "Do without the package, or decide for the licence and add it to licenses.allow.",
        })
        .collect()
}

/// Whether the expression holds when exactly the allowed licences do: `AND` binds closer than `OR`, and an
/// old `/` is an `OR`. What is malformed does not hold.
fn allows(allowed: &[&str], expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { allowed, words: &words };
    reader.any() == Some(true) && reader.words.is_empty()
}

struct Reader<'a> {
    allowed: &'a [&'a str],
    words: &'a [&'a str],
}

impl Reader<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        let is = self.words.first() == Some(&word);
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    fn any(&mut self) -> Option<bool> {
        let mut holds = self.every()?;
        while self.next_is("OR") {
            holds |= self.every()?;
        }
        Some(holds)
    }

    fn every(&mut self) -> Option<bool> {
        let mut holds = self.one()?;
        while self.next_is("AND") {
            holds &= self.one()?;
        }
        Some(holds)
    }

    fn one(&mut self) -> Option<bool> {
        if self.next_is("(") {
            let holds = self.any()?;
            return self.next_is(")").then_some(holds);
        }
        let (license, rest) = self.words.split_first()?;
        self.words = rest;
        let mut license = (*license).to_owned();
        if self.next_is("WITH") {
            let (exception, rest) = self.words.split_first()?;
            self.words = rest;
            license = format!("{license} WITH {exception}");
        }
        Some(self.allowed.contains(&license.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Package, allows, refused};

    #[test]
    fn expressions_are_read_as_spdx_says() {
        let allowed = ["MIT", "ISC", "Apache-2.0"];
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("MIT AND ISC", true),
            ("GPL-3.0 AND MIT OR ISC", true),
            ("(GPL-3.0 OR MIT) AND ISC", true),
            ("GPL-3.0 AND (MIT OR ISC)", false),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
            ("", false),
            ("(MIT", false),
            ("MIT ISC", false),
        ] {
            assert_eq!(allows(&allowed, expression), expected, "{expression}");
        }
    }

    #[test]
    fn a_package_without_a_good_license_is_named() {
        let package =
            |name: &str, license: &str| Package { name: name.to_owned(), license: license.to_owned() };
        let found =
            refused("[licenses]\nallow = [\"MIT\"]", &[package("a", "MIT"), package("b", "SSPL-1.0")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "`b` has the licence `SSPL-1.0`, which is not allowed");
    }
}
