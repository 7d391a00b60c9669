//! Settings, as an operator meets them.

use testkit::Folder;

use crate::PITLANE;

const DEFAULTS: &str = include_str!("../config.default.toml");
const REFERENCE: &str = include_str!("../docs/reference/settings.md");

/// The line of `config check` about one key.
fn row<'a>(output: &'a str, key: &str) -> Vec<&'a str> {
    let row = output.lines().find(|line| line.split_whitespace().next() == Some(key));
    row.unwrap_or_else(|| panic!("no {key} in {output}")).split_whitespace().collect()
}

#[test]
fn check_shows_what_counts_and_where_it_came_from() {
    let folder = Folder::new();
    let file = folder.file("pitlane.toml", "log_level = \"warn\"\nmetrics = false\nworker_threads = 3\n");
    let args = ["config", "check", "--config", &file, "--log-level", "debug"];
    let variables = [("PITLANE_METRICS", "true"), ("PITLANE_LOG_LEVEL", "error")];
    let ran = PITLANE.run_with(&args, &variables).ok();
    assert_eq!(row(&ran.stdout, "log_level"), ["log_level", "debug", "--log-level"]);
    assert_eq!(row(&ran.stdout, "metrics"), ["metrics", "true", "PITLANE_METRICS"]);
    assert_eq!(row(&ran.stdout, "worker_threads"), ["worker_threads", "3", &format!("{file}:3")]);
    assert_eq!(row(&ran.stdout, "listen"), ["listen", "127.0.0.1:8080", "default"]);
    assert_eq!(ran.stderr, "");
}

#[test]
fn check_masks_the_password() {
    let variables = [("PITLANE_DATABASE", "postgres://pitlane:sesame@db/pitlane")];
    let ran = PITLANE.run_with(&["config", "check"], &variables).ok();
    assert!(ran.stdout.contains("postgres://pitlane:***@db/pitlane"), "{ran:?}");
    assert!(!ran.stdout.contains("sesame"), "{ran:?}");
}

#[test]
fn what_cannot_be_used_ends_with_code_2_and_one_clear_line() {
    let folder = Folder::new();
    let file = folder.file("pitlane.toml", "listen = \"127.0.0.1:1\"\n\n  lisen = 1\n");
    let wrong_key = format!("error: {file}:3:3: `lisen` is not a setting; did you mean `listen`?\n");
    let variable = "error: PITLANE_LISEN: is not a setting; did you mean PITLANE_LISTEN?\n";
    let flag = "error: invalid value 'nowhere' for '--listen <ADDRESS:PORT>'";
    let cases = [
        (vec!["--config", &file], vec![], wrong_key.as_str()),
        (vec![], vec![("PITLANE_CONFIG", file.as_str())], &wrong_key),
        (vec![], vec![("PITLANE_LISEN", "1")], variable),
        (vec!["--listen", "nowhere"], vec![], flag),
    ];
    for (args, variables, message) in cases {
        for command in [vec!["config", "check"], vec!["serve"]] {
            let ran = PITLANE.run_with(&[command, args.clone()].concat(), &variables);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.starts_with(message), "{ran:?}");
            assert_eq!(ran.stdout, "");
        }
    }
}

#[test]
fn the_default_file_is_printed_and_can_be_used_as_it_is() {
    let printed = PITLANE.run(&["config", "default"]).ok().stdout;
    assert_eq!(printed, DEFAULTS);
    let folder = Folder::new();
    let file = folder.file("pitlane.toml", &printed);
    PITLANE.run(&["config", "check", "--config", &file]).ok();
}

#[test]
fn the_reference_names_every_setting_with_its_three_spellings_and_default() {
    let settings =
        DEFAULTS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    let rows: Vec<String> = settings
        .map(|(key, default)| {
            let (flag, variable) = (key.replace('_', "-"), key.to_uppercase());
            format!("| `{key}` | `--{flag}` | `PITLANE_{variable}` | `{default}` |")
        })
        .collect();
    assert!(rows.len() > 20);
    let table: Vec<&str> = REFERENCE.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(table, rows);
}

#[test]
fn the_version_is_told() {
    let ran = PITLANE.run(&["--version"]).ok();
    assert_eq!(ran.stdout, format!("pitlane {}\n", env!("CARGO_PKG_VERSION")));
}
