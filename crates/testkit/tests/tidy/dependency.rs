//! What a crate may depend on. A crate here exists only because of what it must not name, so this table is
//! the architecture.

use toml::{Table, Value};

use crate::finding::Finding;
use crate::source;

/// What a crate must not name, and why.
struct Rule {
    /// The crate's folder, under `crates/` but for `benches`.
    name: &'static str,
    /// Which of our own crates it may depend on.
    ours: &'static [&'static str],
    /// Which of everybody else's it must not.
    forbidden: &'static [&'static [&'static str]],
    mend: &'static str,
}

const RUNTIMES: &[&str] = &["tokio", "futures", "futures-util", "async-std", "smol"];
const SQL: &[&str] =
    &["rusqlite", "libsqlite3-sys", "postgres", "tokio-postgres", "sqlx", "diesel", "refinery"];
const HTTP: &[&str] = &["http", "http-body-util", "hyper", "hyper-util"];
const PAGES: &[&str] = &["axum", "axum-extra", "tower-http", "askama"];
const CLIENTS: &[&str] = &["reqwest", "ureq", "hyper-rustls"];
const CHANCE: &[&str] = &["rand", "fastrand", "getrandom"];

const RULES: [Rule; 10] = [
    Rule {
        name: "domain",
        ours: &[],
        forbidden: &[RUNTIMES, SQL, HTTP, PAGES, CLIENTS, CHANCE],
        mend: "The domain only decides: take what the dependency would give as an argument.",
    },
    Rule {
        name: "store",
        ours: &["domain"],
        forbidden: &[HTTP, PAGES, CLIENTS],
        mend: "The store keeps and knows no HTTP: give the caller what it needs for its answer.",
    },
    Rule {
        name: "visitor",
        ours: &["domain"],
        forbidden: &[RUNTIMES, SQL, HTTP, PAGES, CLIENTS],
        mend: "Visitors are looked up in memory: whoever asks brings the address and the user agent.",
    },
    Rule {
        name: "delivery",
        ours: &["domain", "store"],
        forbidden: &[SQL, PAGES],
        mend: "Delivery only sends: SQL is in the store and pages are in web.",
    },
    Rule {
        name: "web",
        ours: &["domain", "store", "visitor"],
        forbidden: &[SQL, CLIENTS],
        mend: "Web only answers: SQL is in the store, and what is to be sent goes through the outbox table.",
    },
    Rule {
        name: "portal",
        ours: &["domain", "store", "visitor", "web"],
        forbidden: &[SQL, CLIENTS],
        mend: "The portal only shows and asks: SQL is in the store, and what is to be sent goes through the outbox.",
    },
    Rule {
        name: "simulator",
        ours: &[],
        forbidden: &[SQL],
        mend: "The simulators are strangers: they know only what comes over HTTP.",
    },
    Rule {
        name: "server",
        ours: &["domain", "store", "visitor", "delivery", "web", "portal", "simulator"],
        forbidden: &[SQL],
        mend: "The binary only wires the parts together: SQL is in the store.",
    },
    Rule {
        name: "testkit",
        ours: &["domain", "store", "visitor", "delivery", "web", "portal", "simulator", "server"],
        forbidden: &[],
        mend: "",
    },
    Rule {
        name: "benches",
        ours: &["domain", "store"],
        forbidden: &[PAGES, CLIENTS],
        mend: "What is measured is the binary, from outside: only its history is written through the store.",
    },
];

/// A crate's manifest, as far as the rules need it.
pub(crate) struct Manifest {
    /// The last part of the crate's folder.
    name: String,
    /// From the workspace's root.
    path: String,
    text: String,
    /// The packages that its code may name; those of its tests are not among them.
    packages: Vec<String>,
}

impl Manifest {
    fn new(folder: &str, text: &str, workspace: &Table) -> Self {
        let path = format!("{folder}/Cargo.toml");
        let table: Table = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut packages = named(&table, workspace);
        let targets = table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        packages.extend(targets.filter_map(Value::as_table).flat_map(|target| named(target, workspace)));
        let name = folder.rsplit('/').next().unwrap_or_default().to_owned();
        Self { name, path, text: text.to_owned(), packages }
    }

    /// The line that brings the package in, as well as it can be told.
    fn line_of(&self, package: &str) -> usize {
        let short = package.strip_prefix("pitlane-").unwrap_or(package);
        let brings = |line: &str| {
            line.starts_with(short) || line.starts_with(package) || line.contains(&format!("\"{package}\""))
        };
        self.text.lines().position(brings).map_or(0, |at| at + 1)
    }
}

/// The packages under `[dependencies]` and `[build-dependencies]`, whatever they are renamed to.
fn named(table: &Table, workspace: &Table) -> Vec<String> {
    let sections =
        ["dependencies", "build-dependencies"].into_iter().filter_map(|name| table.get(name)?.as_table());
    let entries = sections.flat_map(Table::iter);
    let package = |entry: &Value| Some(entry.get("package")?.as_str()?.to_owned());
    entries
        .map(|(key, entry)| {
            package(entry).or_else(|| package(workspace.get(key)?)).unwrap_or_else(|| key.clone())
        })
        .collect()
}

/// Every crate of the workspace.
pub(crate) fn manifests() -> Vec<Manifest> {
    let root: Table = source::read("Cargo.toml").parse().unwrap();
    let workspace = root["workspace"]["dependencies"].as_table().unwrap();
    let members = root["workspace"]["members"].as_array().unwrap().iter();
    let folders = members.map(|member| member.as_str().unwrap());
    folders
        .map(|folder| Manifest::new(folder, &source::read(&format!("{folder}/Cargo.toml")), workspace))
        .collect()
}

/// What the crate names and must not.
pub(crate) fn forbidden(manifest: &Manifest) -> Vec<Finding> {
    let path = manifest.path.clone();
    let Some(rule) = RULES.iter().find(|rule| rule.name == manifest.name) else {
        let what = "a crate without a rule".to_owned();
        let mend =
            "A crate is justified only by what it must not depend on: say it in the tidy test's table.";
        return vec![Finding { path, line: 0, what, mend }];
    };
    let refused = manifest.packages.iter().filter(|package| !rule.allows(package));
    refused
        .map(|package| Finding {
            path: path.clone(),
            line: manifest.line_of(package),
            what: format!("`{}` must not depend on `{package}`", manifest.name),
            mend: rule.mend,
        })
        .collect()
}

impl Rule {
    fn allows(&self, package: &str) -> bool {
        let ours = if package == "pitlane" { Some("server") } else { package.strip_prefix("pitlane-") };
        match ours {
            Some(name) => self.ours.contains(&name),
            None => !self.forbidden.iter().any(|names| names.contains(&package)),
        }
    }
}

/// What `deny.toml` bans and `Cargo.lock` holds, on any platform and behind any feature.
pub(crate) fn banned(deny: &str, lock: &str) -> Vec<Finding> {
    let deny: Table = deny.parse().expect("deny.toml is TOML");
    let bans = deny["bans"]["deny"].as_array().expect("bans.deny is a list");
    assert!(!bans.is_empty(), "deny.toml bans nothing");
    let is_banned = |name: &str| bans.iter().any(|ban| ban["crate"].as_str() == Some(name));
    let names = lock.lines().enumerate().filter_map(|(at, line)| Some((at, line.strip_prefix("name = \"")?)));
    let held = names.filter(|(_, name)| is_banned(name.trim_end_matches('"')));
    held.map(|(at, name)| Finding {
        path: "Cargo.lock".to_owned(),
        line: at + 1,
        what: format!("`{}` is banned by deny.toml", name.trim_end_matches('"')),
        mend: "See who brings it by `cargo tree --target all -i` and switch that off; deny.toml says why.",
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::{Manifest, banned, forbidden};

    fn refused(name: &str, text: &str) -> Vec<(usize, String)> {
        let workspace: Table =
            "store = { path = \"crates/store\", package = \"pitlane-store\" }".parse().unwrap();
        forbidden(&Manifest::new(name, text, &workspace)).into_iter().map(|at| (at.line, at.what)).collect()
    }

    #[test]
    fn each_crate_is_held_to_its_rule() {
        for (name, package) in [
            ("domain", "tokio"),
            ("domain", "rusqlite"),
            ("domain", "http"),
            ("domain", "rand"),
            ("domain", "store"),
            ("store", "axum"),
            ("store", "hyper"),
            ("store", "reqwest"),
            ("visitor", "store"),
            ("visitor", "hyper"),
            ("delivery", "axum"),
            ("delivery", "askama"),
            ("delivery", "postgres"),
            ("web", "rusqlite"),
            ("web", "reqwest"),
            ("web", "pitlane-delivery"),
            ("simulator", "store"),
            ("server", "postgres"),
            ("server", "pitlane-testkit"),
            ("benches", "pitlane-web"),
        ] {
            let found = refused(name, &format!("[dependencies]\nserde = \"1\"\n{package} = \"1\"\n"));
            assert_eq!(found.len(), 1, "{name} {package}");
            assert_eq!(found[0].0, 3, "{name} {package}");
        }
        assert_eq!(refused("web", "[dependencies]\naxum = \"1\"\nstore.workspace = true\n"), []);
    }

    #[test]
    fn a_rename_a_target_or_a_build_does_not_hide_it() {
        for text in [
            "[dependencies]\nx = { version = \"1\", package = \"tokio\" }",
            "[target.'cfg(unix)'.dependencies]\ntokio = \"1\"",
            "[build-dependencies]\ntokio = \"1\"",
        ] {
            assert_eq!(
                refused("domain", text),
                [(2, "`domain` must not depend on `tokio`".to_owned())],
                "{text}"
            );
        }
        assert_eq!(refused("domain", "[dev-dependencies]\ntokio = \"1\""), []);
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        assert_eq!(refused("misc", ""), [(0, "a crate without a rule".to_owned())]);
    }

    #[test]
    fn a_banned_crate_is_found_in_the_lock() {
        let deny = "[bans]\ndeny = [{ crate = \"openssl\", reason = \"no\" }]";
        let lock = "[[package]]\nname = \"openssl-probe\"\n[[package]]\nname = \"openssl\"\n";
        let found = banned(deny, lock);
        assert_eq!((found.len(), found[0].line), (1, 4));
    }
}
