//! The project's own rules about its text, kept by a test: sizes, names, what a crate may depend on, what
//! code may not say. Each rule is a function from a source to findings, and is proved on small bad samples
//! beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod ban;
mod dependency;
mod finding;
mod license;
mod name;
mod size;
mod source;

use finding::{Finding, report};
use source::Source;

/// Every rule that looks at one Rust file.
const FILE_RULES: [fn(&Source) -> Vec<Finding>; 9] = [
    size::file_length,
    size::line_width,
    size::function_length,
    name::modules,
    ban::ignored_tests,
    ban::unfinished_code,
    ban::sleeping_tests,
    ban::sql_outside_the_store,
    ban::settings_outside_config,
];

#[test]
fn every_rust_file_is_tidy() {
    let sources = source::all();
    assert!(sources.len() > 20, "only {} Rust files found: the walk is broken", sources.len());
    report(sources.iter().flat_map(|source| FILE_RULES.iter().flat_map(move |rule| rule(source))));
}

#[test]
fn most_functions_are_short() {
    report(size::ninety_percent(&source::all()));
}

#[test]
fn every_path_has_a_good_name() {
    report(source::paths().iter().flat_map(|path| name::path(path)));
}

#[test]
fn every_decision_has_a_number() {
    report(name::decisions(&source::files_in("docs/decision")));
}

#[test]
fn every_crate_names_only_what_it_may() {
    report(dependency::manifests().iter().flat_map(dependency::forbidden));
}

#[test]
fn no_banned_crate_is_locked() {
    report(dependency::banned(&source::read("deny.toml"), &source::read("Cargo.lock")));
}

#[test]
fn every_license_is_allowed() {
    let packages = license::packages();
    assert!(packages.len() > 50, "only {} packages found: cargo metadata is misread", packages.len());
    report(license::refused(&source::read("deny.toml"), &packages));
}
