//! `pitlane apply`, as an operator meets it: what it makes, what it leaves, what it says and what it refuses.

mod change;
mod fault;
mod rule;
mod secret;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use testkit::{Engine, Folder, Ran, for_each_engine};

use crate::PITLANE;

/// What a newcomer is given to start from.
const EXAMPLE: &str = include_str!("../network.example.toml");
const REFERENCE: &str = include_str!("../docs/reference/apply-file.md");

/// A small network to change.
const SMALL: &str = r#"
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
destination = "https://shop.example/flat?click={gk_click_id}"
revenue = "2.50"
payout = "1.20"

[[offer]]
slug = "levels"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/levels?click={gk_click_id}"
event = [
    { code = "install", revenue = "1", payout = "0.60" },
    { code = "level-10", revenue = "5", payout = "4" },
]

[[link]]
offer = "flat"
partner = "app"

[[postback]]
partner = "app"
slug = "all"
url = "https://partner.example/pb?click={pub_click_id}"

[[user]]
email = "Boss@Acme.example"
role = "owner"
"#;

/// Applies a text.
fn apply(engine: &Engine, text: &str, args: &[&str]) -> Ran {
    let folder = Folder::new();
    let file = folder.file("network.toml", text);
    PITLANE.run_on(engine, &[&["apply", &file], args].concat())
}

/// Applies a text that is right, and gives the report.
fn report(engine: &Engine, text: &str, args: &[&str]) -> Value {
    apply(engine, text, &[&["--json"], args].concat()).ok().json()
}

/// How many things were created, changed and unchanged.
fn counts(report: &Value) -> (i64, i64, i64) {
    let count = |key: &str| report[key].as_i64().expect("a count");
    (count("created"), count("changed"), count("unchanged"))
}

fn thing<'r>(report: &'r Value, kind: &str, name: &str) -> &'r Value {
    let things = report["things"].as_array().expect("things");
    let found = things.iter().find(|thing| thing["kind"] == kind && thing["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {report}"))
}

/// Every change of a thing as `field: old → new`.
fn changes(thing: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("(none)").to_owned();
    let changes = thing["changes"].as_array().expect("changes");
    let line = |change: &Value| {
        format!("{}: {} → {}", text(&change["field"]), text(&change["old"]), text(&change["new"]))
    };
    changes.iter().map(line).collect()
}

/// Every secret of a report by whose it is.
fn secrets(report: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut all = BTreeMap::new();
    for thing in report["things"].as_array().expect("things") {
        for secret in thing["secrets"].as_array().into_iter().flatten() {
            let whose =
                format!("{}/{} {}", text(&thing["kind"]), text(&thing["name"]), text(&secret["name"]));
            assert_eq!(all.insert(whose, text(&secret["value"])), None);
        }
    }
    all
}

fn version(engine: &Engine) -> i64 {
    engine.count("select version from catalog_state")
}

/// Every row that a file can make, as text.
fn everything(engine: &Engine) -> Vec<Vec<String>> {
    let tables = [
        ("network", "network_id"),
        ("advertiser", "advertiser_id"),
        ("advertiser_token", "token_hash"),
        ("partner", "partner_id"),
        ("app_user", "user_id"),
        ("offer", "offer_id"),
        ("offer_event", "offer_id, event_id"),
        ("offer_change", "change_id"),
        ("link", "link_id"),
        ("postback", "postback_id"),
        ("audit", "audit_id"),
        ("catalog_state", "version"),
    ];
    tables
        .iter()
        .flat_map(|(table, key)| engine.sql(&format!("select * from {table} order by {key}")))
        .collect()
}

#[test]
fn the_example_makes_a_whole_network_and_the_second_run_changes_nothing() {
    for_each_engine(|engine| {
        let args = ["--public-url", "https://api.{network}.example.com"];
        let first = report(engine, EXAMPLE, &args);
        assert_eq!(counts(&first), (17, 0, 0), "{first}");
        // Its countries are told by a file that a machine may not have.
        let told = first["warnings"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap());
        let others: Vec<&str> = told.filter(|one| !one.contains("tells the country of an address")).collect();
        assert_eq!(others, Vec::<&str>::new());
        assert_eq!(first["catalog_version"], 2);
        let link = thing(&first, "link", "open-account/pocketpoints");
        let id = link["id"].as_str().unwrap();
        assert_eq!(
            link["tracking_link"],
            format!(
                "https://api.acme.example.com/api/v1/offer-link/redirect/{id}\
                 ?pub_click_id=PUB_CLICK_ID&pub_member_id=PUB_MEMBER_ID"
            )
        );
        let before = everything(engine);
        assert_eq!(engine.count("select count(*) from audit"), 17);

        let second = report(engine, EXAMPLE, &args);
        assert_eq!(counts(&second), (0, 0, 17), "{second}");
        assert_eq!(second["catalog_version"], 2);
        assert_eq!(everything(engine), before);
        assert_eq!(secrets(&second), BTreeMap::new());
        for thing in second["things"].as_array().unwrap() {
            assert_eq!(changes(thing), [""; 0]);
        }
        assert_eq!(thing(&second, "link", "open-account/pocketpoints"), &unchanged(link));
    });
}

/// A thing of the first run as the second one reports it.
fn unchanged(thing: &Value) -> Value {
    let mut thing = thing.clone();
    thing["result"] = "unchanged".into();
    thing["changes"] = Value::Array(Vec::new());
    thing
}

#[test]
fn people_get_a_line_for_each_thing_and_what_to_do_next() {
    for_each_engine(|engine| {
        let first = apply(engine, SMALL, &["--public-url", "https://t.example"]).ok().stdout;
        let token = first.split_once("postback token: ").unwrap().1.split_whitespace().next().unwrap();
        let url = format!(
            "    postback URL: https://t.example/postback?gk_click_id={{gk_click_id}}&token={token}\n"
        );
        assert!(first.contains(&url), "{first}");
        assert!(first.contains("+ created   offer flat of acme  "), "{first}");
        assert!(first.contains("+ created   user boss@acme.example of acme  "), "{first}");
        assert!(first.contains("\n8 created, 0 changed, 0 unchanged.\n"), "{first}");
        assert!(first.contains("The secrets above are shown this once; keep them now.\n"), "{first}");
        assert!(first.ends_with("What the file does not name stays as it is.\n"), "{first}");

        let changed =
            SMALL.replace("2.50", "2.75").replace("[[partner]]", "[[partner]]\nstatus = \"Blocked\"");
        let second = apply(engine, &changed, &[]).ok().stdout;
        assert!(second.contains("~ changed   partner app of acme  "), "{second}");
        assert!(second.contains("\n    status: Active → Blocked\n"), "{second}");
        assert!(second.contains("\n    revenue: 2.50 → 2.75\n"), "{second}");
        assert!(second.contains("= unchanged link flat/app of acme  "), "{second}");
        assert!(second.contains("\n0 created, 2 changed, 6 unchanged.\n"), "{second}");
        assert!(!second.contains("secrets above"), "{second}");
    });
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    for_each_engine(|engine| {
        let dry = report(engine, SMALL, &["--dry-run"]);
        assert_eq!(counts(&dry), (8, 0, 0));
        assert_eq!((dry["dry_run"].as_bool(), version(engine)), (Some(true), 1));
        for thing in dry["things"].as_array().unwrap() {
            assert_eq!((&thing["id"], &thing["tracking_link"]), (&Value::Null, &Value::Null), "{thing}");
            for secret in thing["secrets"].as_array().into_iter().flatten() {
                assert_eq!(secret["value"], Value::Null, "{secret}");
            }
        }
        assert!(!dry.to_string().contains("pbt_"), "{dry}");
        assert_eq!(everything(engine), [["1", "1"]], "only the catalog's first version");

        let made = report(engine, SMALL, &[]);
        let before = everything(engine);
        let changed = SMALL.replace("1.20", "1.30");
        let dry = report(engine, &changed, &["--dry-run", "--new-secret", "partner/app"]);
        let offer = thing(&dry, "offer", "flat");
        assert_eq!(changes(offer), ["payout: 1.20 → 1.30"]);
        assert_eq!(offer["id"], thing(&made, "offer", "flat")["id"]);
        assert_eq!(counts(&dry), (0, 2, 6));
        assert_eq!(everything(engine), before);
        let text = apply(engine, &changed, &["--dry-run"]).ok().stdout;
        assert!(text.contains("This was a dry run: nothing was written.\n"), "{text}");
    });
}

/// [`SMALL`] with a change of everything but the link.
const CHANGED: &str = r#"
[[network]]
label = "acme"
name = "Acme"
currency = "USD"
zone = "Asia/Kathmandu"

[[advertiser]]
slug = "shop"
allowed_addresses = ["203.0.113.7", "2001:db8::/32"]
signing = true

[[partner]]
slug = "app"
name = "The app"

[[offer]]
slug = "flat"
advertiser = "shop"
headline = "One\nTwo"
destination = "https://shop.example/flat2?click={gk_click_id}"
revenue = "2.5"
payout = "1.2"
launch = 2026-12-01T00:00:00+01:00
repeats = true
attribution_window = "36h"

[[offer]]
slug = "levels"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/levels?click={gk_click_id}"
event = [
    { code = "new", name = "New", revenue = "9", payout = "8" },
    { code = "install", revenue = "1.5", payout = "0.60" },
    { code = "level-10", revenue = "5", payout = "4" },
]

[[link]]
offer = "flat"
partner = "app"

[[postback]]
partner = "app"
slug = "all"
offer = "levels"
event = "install"
method = "POST_FORM"
url = "https://partner.example/pb?click={pub_click_id}"
on = ["Pending", "changes"]

[[user]]
email = "boss@acme.example"
role = "partner"
partner = "app"
"#;

/// What is told of [`CHANGED`] after [`SMALL`].
const TOLD: &str = "\
network acme: name: acme → Acme
network acme: zone: UTC → Asia/Kathmandu
advertiser shop: allowed_addresses: (none) → 203.0.113.7/32, 2001:db8::/32
advertiser shop: signing: false → true
partner app: name: app → The app
offer flat: headline: (none) → One
Two
offer flat: destination: https://shop.example/flat?click={gk_click_id} → https://shop.example/flat2?click={gk_click_id}
offer flat: launch: (none) → 2026-11-30T23:00:00.000Z
offer flat: attribution_window: 30d → 36h
offer flat: repeats: false → true
offer levels: events: install, level-10 → new, install, level-10
offer levels: event.new.name: (none) → New
offer levels: event.new.revenue: (none) → 9.00
offer levels: event.new.payout: (none) → 8.00
offer levels: event.new.reward_points: (none) → 0
offer levels: event.new.approval: (none) → Automatic
offer levels: event.new.pending_days: (none) → 0
offer levels: event.new.repeats: (none) → false
offer levels: event.install.revenue: 1.00 → 1.50
postback app/all: offer: (none) → levels
postback app/all: event: (none) → install
postback app/all: method: GET → POST_FORM
postback app/all: on: Success → Pending, changes
user boss@acme.example: role: owner → partner
user boss@acme.example: partner: (none) → app
user boss@acme.example: team_role: (none) → owner
";

#[test]
fn every_change_is_told_written_and_audited() {
    for_each_engine(|engine| {
        let made = report(engine, SMALL, &[]);
        let changed = report(engine, CHANGED, &[]);
        assert_eq!(counts(&changed), (0, 7, 1));
        let mut told = String::new();
        for own in changed["things"].as_array().unwrap() {
            let (kind, name) = (own["kind"].as_str().unwrap(), own["name"].as_str().unwrap());
            assert_eq!(own["id"], thing(&made, kind, name)["id"], "ids stay");
            for change in changes(own) {
                writeln!(told, "{kind} {name}: {change}").unwrap();
            }
        }
        assert_eq!(told, TOLD);
        assert_eq!(version(engine), 3, "one version for one run");
        let audit = engine.sql("select actor, subject, change from audit order by at_ms, audit_id");
        assert_eq!(audit.len(), 8 + 7);
        let last = audit.last().unwrap();
        assert_eq!(last[..2], ["apply", "user/boss@acme.example"]);
        let change: Value = serde_json::from_str(&last[2]).unwrap();
        assert_eq!((changes(&change).len(), &change["result"]), (3, &Value::from("changed")));
        assert_eq!(counts(&report(engine, CHANGED, &[])), (0, 0, 8), "what was written reads the same");
    });
}

#[test]
fn what_the_file_does_not_name_stays() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        // People and endpoints changed these meanwhile.
        engine.execute("update offer set status = 'Paused'");
        engine.execute("update partner set status = 'Blocked'");
        engine.execute("update link set approval = 'Refused'");
        engine.execute("update postback set enabled = 0, disabled_reason = 'answered 410'");
        assert_eq!(counts(&report(engine, SMALL, &[])), (0, 0, 8));
        assert_eq!(engine.sql("select disabled_reason from postback"), [["answered 410"]]);

        let named = SMALL
            .replace("slug = \"flat\"", "slug = \"flat\"\nstatus = \"Active\"")
            .replace("slug = \"all\"", "slug = \"all\"\nenabled = true")
            .replace("offer = \"flat\"", "offer = \"flat\"\napproval = \"Approved\"");
        let told = report(engine, &named, &[]);
        assert_eq!(changes(thing(&told, "offer", "flat")), ["status: Paused → Active"]);
        assert_eq!(changes(thing(&told, "postback", "app/all")), ["enabled: false → true"]);
        assert_eq!(changes(thing(&told, "link", "flat/app")), ["approval: Refused → Approved"]);
        assert_eq!(counts(&told), (0, 3, 5));
        assert_eq!(engine.sql("select enabled, disabled_reason from postback"), [["1", "NULL"]]);

        // Another file, without the network, with one more event and without the two others.
        let other = r#"
            [[offer]]
            slug = "levels"
            type = "MultiEvent"
            advertiser = "shop"
            destination = "https://shop.example/levels?click={gk_click_id}"
            [[offer.event]]
            code = "level-20"
            revenue = "7"
            payout = "6"
        "#;
        let told = report(engine, other, &[]);
        let levels = thing(&told, "offer", "levels");
        assert_eq!(changes(levels)[0], "events: install, level-10 → level-20, install, level-10");
        assert_eq!(counts(&told), (0, 1, 0));
        assert_eq!(engine.count("select count(*) from offer_event"), 4);
        assert_eq!(engine.count("select count(*) from link"), 1);
        let disabled = named.replace("enabled = true", "enabled = false");
        report(engine, &disabled, &[]);
        assert_eq!(engine.sql("select enabled from postback"), [["0"]]);
    });
}

#[test]
fn what_conversions_depend_on_cannot_change() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        let before = everything(engine);
        let levels = |more: &str| {
            format!(
                "[[offer]]\nslug = \"levels\"\nadvertiser = \"shop\"\n\
                 destination = \"https://shop.example/?c={{gk_click_id}}\"\n{more}"
            )
        };
        let install = |rate: &str| {
            let event = format!("{{ code = \"install\", revenue = \"{rate}\", payout = \"{rate}\" }}");
            format!("type = \"MultiEvent\"\nevent = [{event}]\n")
        };
        let cases = [
            (
                levels("revenue = \"1\"\npayout = \"1\"\n"),
                "network.toml:1:1: offer \"levels\": type: cannot change from MultiEvent to SingleEvent",
            ),
            (
                levels(&format!("conversion_type = \"RevShare\"\n{}", install("1%"))),
                "network.toml:5:19: offer \"levels\": conversion_type: cannot become RevShare without event \
                 \"level-10\", which is stored",
            ),
            (
                levels(&format!("{}currency = \"EUR\"\n", install("1"))),
                "network.toml:2:8: offer \"levels\": currency: cannot become EUR without event \"level-10\", which \
                 is stored",
            ),
        ];
        for (text, message) in cases {
            let ran = apply(engine, &text, &[]);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains(message), "{ran:?}");
        }
        assert_eq!(everything(engine), before);
    });
}

#[test]
fn several_runs_at_once_all_count() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        // Each declares a partner of its own with a link, and one that the others declare as well.
        let run = |runner: usize| {
            let created = (0..4).map(|step| {
                let slug = format!("slug = \"p-{runner}-{step}\"");
                let link = format!("offer = \"flat\"\n{}", slug.replace("slug", "partner"));
                let shared = format!("slug = \"shared-{step}\"");
                let more = format!("[[partner]]\n{slug}\n[[partner]]\n{shared}\n[[link]]\n{link}\n");
                counts(&report(engine, &more, &[])).0
            });
            created.sum::<i64>()
        };
        let created: i64 = std::thread::scope(|scope| {
            let running: Vec<_> = (0..6).map(|runner| scope.spawn(move || run(runner))).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(created, 6 * 4 * 2 + 4);
        assert_eq!(engine.count("select count(*) from link"), 25);
        assert_eq!(version(engine), 2 + 24);
    });
}

#[test]
fn a_thousand_things_are_read_back_as_they_were_written() {
    for_each_engine(|engine| {
        let mut text = SMALL.to_owned();
        for number in 0..1_100 {
            writeln!(
                text,
                "[[partner]]\nslug = \"p{number}\"\n\
                 [[offer]]\nslug = \"o{number}\"\nadvertiser = \"shop\"\n\
                 destination = \"https://a.example/{number}?{{gk_click_id}}\"\n\
                 revenue = \"{number}.5\"\npayout = \"{number}\"\n\
                 [[link]]\noffer = \"o{number}\"\npartner = \"p{number}\""
            )
            .unwrap();
        }
        assert_eq!(counts(&report(engine, &text, &[])), (3_308, 0, 0));
        assert_eq!(counts(&report(engine, &text, &[])), (0, 0, 3_308));
        let too_many = "[[partner]]\nslug = \"x\"\n".repeat(10_001);
        let ran = apply(engine, &too_many, &[]);
        assert!(
            ran.stderr.contains("network.toml:1:1: the file declares more than 10000 things; divide it"),
            "{ran:?}"
        );
    });
}

#[test]
fn a_stored_row_that_cannot_be_read_is_named() {
    for_each_engine(|engine| {
        let made = report(engine, SMALL, &[]);
        let id = thing(&made, "offer", "flat")["id"].as_str().unwrap();
        engine.execute("update offer set destination = 'ftp://x' where slug = 'flat'");
        let ran = apply(engine, SMALL, &[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(&format!("because: offer {id} cannot be read")), "{ran:?}");
        assert!(ran.stderr.contains("begin with http://"), "{ran:?}");
    });
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let engine = Engine::sqlite();
    let folder = Folder::new();
    let cases: [(&str, Vec<u8>, &str); 2] = [
        (
            "latin.toml",
            b"[[network]]\nlabel = \"caf\xe9\"\n".to_vec(),
            "latin.toml:2: this line is not UTF-8 text",
        ),
        ("long.toml", vec![b'\n'; 5 * 1024 * 1024], "long.toml is longer than 4194304 bytes"),
    ];
    for (name, bytes, message) in cases {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        let ran = PITLANE.run_on(&engine, &["apply", &path]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(message), "{ran:?}");
    }
    let ran = PITLANE.run_on(&engine, &["apply", &folder.join("absent.toml")]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("absent.toml: No such file"), "{ran:?}");
}

#[test]
fn the_reference_names_every_key() {
    let engine = Engine::sqlite();
    for noun in [
        "network",
        "advertiser",
        "partner",
        "offer",
        "offer.event",
        "offer.change",
        "link",
        "postback",
        "user",
    ] {
        let header = match noun.split_once('.') {
            None => format!("[[{noun}]]"),
            Some((offer, _)) => format!("[[{offer}]]\ntype = \"MultiEvent\"\n[[{noun}]]"),
        };
        let ran = apply(&engine, &format!("{header}\nzzzzzzzzzzzzzzzzzzzz = 1\n"), &[]);
        let (_, known) = ran.stderr.split_once("known are: ").unwrap_or_else(|| panic!("{ran:?}"));
        let known: Vec<&str> = known.lines().next().unwrap().split(", ").collect();
        let section = REFERENCE.split("\n## ").find(|section| section.starts_with(&format!("`[[{noun}]]`")));
        let rows = section.unwrap_or_else(|| panic!("no section {noun}")).lines();
        let mut told: Vec<&str> = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
        told.sort_unstable();
        assert_eq!(told, known, "[[{noun}]]");
    }
}
