//! Wrong files: each fault is told with its line and column, all of them at once, and nothing is changed.

use std::fmt::Write as _;

use serde_json::Value;
use testkit::{Engine, for_each_engine};

use super::apply;

/// Where a fault is told stands this mark, which is not part of the file.
const MARK: char = '‸';

/// What the cases stand on; their own lines come behind it.
const BASE: &str = r#"
[[network]]
label = "acme"
currency = "USD"

[[advertiser]]
slug = "shop"

[[partner]]
slug = "app"

[[offer]]
slug = "flat"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "2.50"
payout = "1.20"

[[offer]]
slug = "levels"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
[[offer.event]]
code = "install"
revenue = "1"
payout = "0.6"
"#;

/// The head of an offer that lacks only what the case adds.
const OFFER: &str =
    "[[offer]]\nslug = \"x\"\nadvertiser = \"shop\"\ndestination = \"https://a.example/?{gk_click_id}\"\n";

const WRONG: &str = include_str!("wrong.txt");

/// The cases: lines with marks, and what is told of each mark.
fn wrong() -> Vec<(String, Vec<&'static str>)> {
    let cases = WRONG.split("\n----\n").skip(1).map(|case| {
        let lines: Vec<&str> = case.lines().filter(|line| !line.starts_with("####")).collect();
        let (told, file): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with("=> "));
        let told = told.into_iter().filter_map(|line| line.strip_prefix("=> ")).collect();
        (file.join("\n").replace("$OFFER\n", OFFER), told)
    });
    cases.collect()
}

/// The file without its marks, and the line and column of each mark.
fn unmarked(case: &str) -> (String, Vec<(u64, u64)>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    let (mut line, mut column) = (1, 1);
    for char in format!("{BASE}{case}").chars() {
        match char {
            MARK => places.push((line, column)),
            '\n' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
        if char != MARK {
            text.push(char);
        }
    }
    (text, places)
}

/// The faults that a run tells: line, column and message.
fn told(engine: &Engine, text: &str) -> Vec<(u64, u64, String)> {
    let ran = apply(engine, text, &["--json"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let json = ran.json();
    let errors = json["errors"].as_array().expect("errors");
    let number = |value: &Value| value.as_u64().expect("a number");
    let fault = |error: &Value| {
        let message = error["message"].as_str().expect("a message").to_owned();
        assert!(ran.stderr.contains(&message), "people are told the same: {ran:?}");
        (number(&error["line"]), number(&error["column"]), message)
    };
    errors.iter().map(fault).collect()
}

/// What is told of a case otherwise than it should be.
fn misjudged(engine: &Engine, case: &str, messages: &[&str]) -> Option<String> {
    let (text, places) = unmarked(case);
    let told = told(engine, &text);
    let right = told.len() == messages.len() && told.len() == places.len();
    let right = right
        && told.iter().zip(places).zip(messages).all(|(((line, column, told), place), message)| {
            (*line, *column) == place && told.contains(message)
        });
    (!right).then(|| format!("{case}\n{told:?}\n\n"))
}

#[test]
fn every_fault_has_its_place_and_words_and_changes_nothing() {
    for_each_engine(|engine| {
        let cases = wrong();
        assert!(cases.len() >= 80);
        let misjudged = cases.iter().filter_map(|(case, messages)| misjudged(engine, case, messages));
        assert_eq!(misjudged.collect::<String>(), "");
        assert_eq!(engine.count("select version from catalog_state"), 1);
        assert_eq!(engine.count("select count(*) from network"), 0);
        // The same lines without a fault are taken.
        apply(engine, BASE, &[]).ok();
    });
}

#[test]
fn things_of_two_networks_do_not_mix() {
    for_each_engine(|engine| {
        let text = "\
[[network]]
label = \"a\"
currency = \"USD\"
[[network]]
label = \"b\"
currency = \"USD\"
[[advertiser]]
network = \"a\"
slug = \"shop\"
[[partner]]
network = \"b\"
slug = \"app\"
[[offer]]
network = \"a\"
slug = \"flat\"
advertiser = \"shop\"
destination = \"https://a.example/?{gk_click_id}\"
revenue = \"1\"
payout = \"1\"
[[link]]
network = \"a\"
offer = \"flat\"
partner = \"app\"
[[partner]]
slug = \"lost\"
[[link]]
network = \"a\"
offer = \"flat\"
partner = \"lost\"
";
        let told = told(engine, text);
        let expected = [
            (23, 11, "link \"flat/app\": partner \"app\" belongs to network \"b\", not to \"a\"".to_owned()),
            // The link to the partner that has no network is not told as well.
            (
                25,
                8,
                "partner \"lost\": `network` is missing, and there is not exactly one; declared are: a, b"
                    .to_owned(),
            ),
        ];
        assert_eq!(told, expected);
    });
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file_up_to_a_bound() {
    let engine = Engine::sqlite();
    let mut text = BASE.to_owned();
    for number in 0..60 {
        writeln!(text, "[[link]]\noffer = \"none-{number}\"\npartner = \"app\"").unwrap();
    }
    let text = text.replace("slug = \"app\"", "slug = \"app\"\nstatus = \"on\"\ncolour = 7");
    let ran = apply(&engine, &text, &["--json"]);
    let json = ran.json();
    assert_eq!(json["more_errors"], 12);
    let errors = json["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 50);
    let lines: Vec<u64> = errors.iter().map(|error| error["line"].as_u64().unwrap()).collect();
    assert!(lines.is_sorted() && lines[..2] == [11, 12], "{lines:?}");
    assert!(ran.stderr.contains("\n… and 12 more\n"), "{ran:?}");
    let file = errors[0]["file"].as_str().unwrap();
    assert!(file.ends_with("network.toml"), "{file}");
    let first = format!(
        "error: nothing was changed, because the file is wrong\n{file}:11:10: partner \"app\": status: `on` is"
    );
    assert!(ran.stderr.starts_with(&first), "{ran:?}");
}

#[test]
fn what_may_be_wrong_is_a_warning() {
    for_each_engine(|engine| {
        let text = BASE
            .replace("payout = \"1.20\"", "payout = \"2.51\"")
            .replace("payout = \"0.6\"", "payout = \"1.000001\"");
        let ran = apply(engine, &text, &["--json", "--dry-run"]).ok();
        let warnings: Vec<Value> = ran.json()["warnings"].as_array().unwrap().clone();
        let places: Vec<_> =
            warnings.iter().map(|own| (own["line"].as_u64(), own["column"].as_u64())).collect();
        assert_eq!(places, [(Some(17), Some(10)), (Some(27), Some(10))]);
        let message = "offer \"flat\": payout: is greater than revenue, so each conversion loses money";
        assert_eq!(warnings[0]["message"], message);
        let text = apply(engine, &text, &[]).ok().stdout;
        assert!(text.contains(&format!("network.toml:17:10: {message}\n")), "{text}");
    });
}
