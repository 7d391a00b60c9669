//! The rules of `config`, with the environment as an argument.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use store::Target;

use super::{DEFAULTS, Effective, Error, KEYS, Layer, load_from, nearest};

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<Effective, Error> {
    load_from(None, Layer::default(), environment(pairs))
}

/// A file of this test alone, removed at its end.
struct TextFile(PathBuf);

impl TextFile {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pitlane-config-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn load(&self) -> Result<Effective, Error> {
        load_from(Some(&self.0), Layer::default(), [])
    }

    /// The error without the file's name in front.
    fn error(text: &str) -> String {
        let file = Self::new(text);
        let error = file.load().unwrap_err().to_string();
        error.strip_prefix(file.0.to_str().unwrap()).unwrap_or(&error).to_owned()
    }
}

impl Drop for TextFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn shown<'a>(effective: &'a Effective, key: &str) -> (&'a str, String) {
    let shown = effective.shown.iter().find(|shown| shown.key == key).unwrap();
    (&shown.value, shown.origin.to_string())
}

#[test]
fn the_default_file_has_every_key_once_in_order_with_a_comment() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    let at = |(line, text): (usize, &&str)| {
        let (key, _) = text.split_once(" = ")?;
        (!key.starts_with('#')).then(|| (line, key.to_owned()))
    };
    let found: Vec<(usize, String)> = lines.iter().enumerate().filter_map(at).collect();
    assert_eq!(found.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>(), KEYS);
    for (line, key) in found {
        assert!(lines[line - 1].starts_with("# "), "{key} has no comment");
    }
    assert!(from_environment(&[]).is_ok());
}

#[test]
fn a_flag_counts_more_than_the_environment_than_the_file_than_the_default() {
    let file = TextFile::new("# own\n\nlog_format = \"json\"\nlog_level = \"warn\"\nmetrics = false\n");
    let flags = Layer { log_format: Some("text".parse().unwrap()), ..Layer::default() };
    let variables = environment(&[("PITLANE_LOG_FORMAT", "auto"), ("PITLANE_LOG_LEVEL", "debug")]);
    let effective = load_from(Some(&file.0), flags, variables).unwrap();
    let place = |line: usize| format!("{}:{line}", file.0.display());
    assert_eq!(shown(&effective, "log_format"), ("text", "--log-format".to_owned()));
    assert_eq!(shown(&effective, "log_level"), ("debug", "PITLANE_LOG_LEVEL".to_owned()));
    assert_eq!(shown(&effective, "metrics"), ("false", place(5)));
    assert_eq!(shown(&effective, "listen"), ("127.0.0.1:8080", "default".to_owned()));
    assert!(!effective.settings.metrics);
}

#[test]
fn a_variable_names_the_configuration_file() {
    let file = TextFile::new("listen = \"127.0.0.1:1\"\n");
    let path = file.0.to_str().unwrap();
    let effective = from_environment(&[("PITLANE_CONFIG", path)]).unwrap();
    assert_eq!(shown(&effective, "listen").0, "127.0.0.1:1");
    let other = TextFile::new("listen = \"127.0.0.1:2\"\n");
    let effective =
        load_from(Some(&other.0), Layer::default(), environment(&[("PITLANE_CONFIG", path)])).unwrap();
    assert_eq!(shown(&effective, "listen").0, "127.0.0.1:2");
}

#[test]
fn a_wrong_file_is_told_by_line_and_column() {
    let cases = [
        (
            "# own\nlisten = \"127.0.0.1:1\"\nlisen = 1\n",
            ":3:1: `lisen` is not a setting; did you mean `listen`?",
        ),
        ("zebra = 1", ":1:1: `zebra` is not a setting; `pitlane config default` lists them"),
        ("[delivery]\nallow = []\n", ":1:2: `delivery` is not a setting; did you mean `delivery_"),
        ("listen = \"nowhere\"", ":1:10: `listen`: invalid socket address syntax"),
        ("\nmetrics = \"yes\"", ":2:11: `metrics`: invalid type: string \"yes\", expected a boolean"),
        ("database_readers = 0", ":1:20: `database_readers`: 0 is not from 1 to 256"),
        ("database_readers = -1", ":1:20: `database_readers`: -1 is not from 1 to 256"),
        (
            "log_level = \"loud\"",
            ":1:13: `log_level`: `loud` is no log level; write error, warn, info, debug",
        ),
        ("log_format = \"xml\"", ":1:14: `log_format`: `xml` is not a log format; write auto, json or text"),
        (
            "delivery_ports = [80, 99999]",
            ":1:23: `delivery_ports`: `99999`: number too large to fit in target type",
        ),
        ("é = 1", ":1:1: "),
        ("listen = \n", ":1:10: "),
        ("listen = \"a\"\nlisten = \"b\"\n", ":2:1: duplicate key"),
    ];
    for (text, wanted) in cases {
        let error = TextFile::error(text);
        assert!(error.starts_with(wanted), "{text:?} gave {error:?}, not {wanted:?}");
    }
}

#[test]
fn a_list_entry_is_told_by_its_own_place() {
    let error = TextFile::error("delivery_allow = [\n  \"127.0.0.1/32:9000\",\n  \"10.0.0.1/8\",\n]");
    assert!(error.starts_with(":3:3: `delivery_allow`: `10.0.0.1/8`: "), "{error}");
    assert!(error.contains("10.0.0.0/8"), "{error}");
}

#[test]
fn an_absent_file_is_named() {
    let error = load_from(Some(Path::new("/nowhere/pitlane.toml")), Layer::default(), []).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere/pitlane.toml");
}

#[test]
fn an_unknown_variable_is_an_error_unless_it_steers_tests() {
    let error = |name| from_environment(&[(name, "1")]).unwrap_err().to_string();
    assert_eq!(error("PITLANE_LISEN"), "PITLANE_LISEN: is not a setting; did you mean PITLANE_LISTEN?");
    assert_eq!(error("PITLANE_listen"), "PITLANE_listen: is not a setting; did you mean PITLANE_LISTEN?");
    let far = "PITLANE_QQ: is not a setting; `pitlane config default` lists them";
    assert_eq!(error("PITLANE_QQ"), far);
    assert!(error("PITLANE_LISTEN_FILE").contains("is not a setting"), "only secrets come from files");
    let other =
        [("PITLANE_TEST_POSTGRES", "x"), ("PITLANE_CRASH_ROUNDS", "2"), ("PITLANES", "x"), ("PATH", "x")];
    assert!(from_environment(&other).is_ok());
}

#[test]
fn a_wrong_variable_is_named_with_what_to_write() {
    let error = from_environment(&[("PITLANE_METRICS", "yes")]).unwrap_err();
    assert!(error.to_string().starts_with("PITLANE_METRICS: "), "{error}");
    let error = from_environment(&[("PITLANE_DATABASE_READERS", "many")]).unwrap_err();
    assert_eq!(error.to_string(), "PITLANE_DATABASE_READERS: `many` is not a whole number from 1 to 256");
}

#[test]
fn lists_are_separated_by_commas() {
    let effective = from_environment(&[("PITLANE_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,")]).unwrap();
    assert_eq!(shown(&effective, "trusted_proxies").0, "10.0.0.0/8,fd00::/8");
    assert_eq!(effective.settings.trusted_proxies.0.len(), 2);
}

#[test]
fn a_secret_may_come_from_a_file_and_is_never_shown() {
    let file = TextFile::new("postgres://pitlane:sesame@db:5432/pitlane\n");
    let path = file.0.to_str().unwrap();
    let effective = from_environment(&[("PITLANE_DATABASE_FILE", path)]).unwrap();
    let url = "postgres://pitlane:sesame@db:5432/pitlane".to_owned();
    assert_eq!(effective.target, Target::Postgres { url });
    let masked = "postgres://pitlane:***@db:5432/pitlane";
    assert_eq!(shown(&effective, "database"), (masked, "PITLANE_DATABASE_FILE".to_owned()));
    assert!(!format!("{:?}", effective.settings.database).contains("sesame"));

    let both = [("PITLANE_DATABASE_FILE", path), ("PITLANE_DATABASE", "postgres://x@y/z")];
    let error = from_environment(&both).unwrap_err().to_string();
    assert_eq!(error, "PITLANE_DATABASE_FILE: PITLANE_DATABASE is set as well; keep one of them");
    for bad in ["sesame", "mysql://pitlane:sesame@db/x", "postgres:/pitlane:sesame@db"] {
        let error = from_environment(&[("PITLANE_DATABASE", bad)]).unwrap_err().to_string();
        assert!(!error.contains("sesame"), "{error}");
    }
}

#[test]
fn a_password_is_masked_wherever_an_address_can_hold_it() {
    for url in [
        "postgres://u:sesame@h/d",
        "postgres://h/d?password=sesame",
        "postgres://u:sesame@h:notaport/d",
        "postgres://u:sesame@/d?host=/run",
    ] {
        let effective = from_environment(&[("PITLANE_DATABASE", url)]).unwrap();
        let (value, _) = shown(&effective, "database");
        assert!(value.contains("***") && !value.contains("sesame"), "{value}");
    }
}

#[test]
fn the_database_is_the_one_whose_source_counts_more() {
    let sqlite = |dir: &str| Target::Sqlite { dir: dir.into() };
    let postgres = || Target::Postgres { url: "postgres://h/d".to_owned() };
    let file = TextFile::new("database = \"postgres://h/d\"\n");
    assert_eq!(file.load().unwrap().target, postgres());
    let flags = Layer { data: Some("here".parse().unwrap()), ..Layer::default() };
    assert_eq!(load_from(Some(&file.0), flags.clone(), []).unwrap().target, sqlite("here"));
    let both = environment(&[("PITLANE_DATA", "there"), ("PITLANE_DATABASE", "postgres://h/d")]);
    assert_eq!(load_from(None, flags, both.clone()).unwrap().target, sqlite("here"));
    let error = load_from(None, Layer::default(), both).unwrap_err().to_string();
    assert!(error.contains("PITLANE_DATA") && error.contains("PITLANE_DATABASE"), "{error}");
    assert_eq!(from_environment(&[]).unwrap().target, sqlite("pitlane-data"));
}

#[test]
fn a_public_url_is_an_address_without_a_path() {
    let public = |text: &str| from_environment(&[("PITLANE_PUBLIC_URL", text)]);
    for good in ["https://t.example", "http://127.0.0.1:8080", "https://api.{network}.t.example:444"] {
        assert_eq!(public(&format!("{good}/")).unwrap().settings.base_url(), good);
    }
    assert_eq!(public("").unwrap().settings.base_url(), "http://127.0.0.1:8080");
    for bad in
        ["t.example", "ftp://t.example", "https://t.example/x", "https://t.example/?q", "https://u@t.example"]
    {
        assert!(public(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_nearest_name_is_told_only_when_it_is_near() {
    assert_eq!(nearest("log_levle", KEYS.iter().copied()), Some("log_level"));
    assert_eq!(nearest("qqq", KEYS.iter().copied()), None);
}
