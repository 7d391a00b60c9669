//! Whom an offer is for: every kind of rule, allowed and blocked, and what a visitor is told who fails it.

use std::fmt::Write as _;

use testkit::for_each_engine;
use testkit::http::{self, Answer};

use crate::life::{fresh, offer};
use crate::world::World;

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/130.0.0.0 Safari/537.36";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
                      Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

/// Who comes: a query, and headers.
#[derive(Default, Clone, Copy)]
struct Visitor {
    query: &'static str,
    agent: &'static str,
    languages: &'static str,
    address: &'static str,
}

const NOBODY: Visitor = Visitor { query: "", agent: "", languages: "", address: "" };

const fn says(query: &'static str) -> Visitor {
    Visitor { query, ..NOBODY }
}

const fn with_agent(agent: &'static str) -> Visitor {
    Visitor { agent, ..NOBODY }
}

const fn speaks(languages: &'static str) -> Visitor {
    Visitor { languages, ..NOBODY }
}

const fn comes_from(address: &'static str) -> Visitor {
    Visitor { address, ..NOBODY }
}

/// A rule without its mode, who matches it, and who does not, with what is looked at and what is found.
struct Case {
    rule: &'static str,
    matching: (&'static [Visitor], &'static str),
    others: &'static [(Visitor, &'static str)],
    what: &'static str,
}

const CASES: &[Case] = &[
    Case {
        rule: r#""country", of = ["DE", "AUT", "756"]"#,
        matching: (
            &[says("pub_geo_country=CH"), says("pub_geo_country=che"), says("pub_geo_country=756")],
            "CH",
        ),
        others: &[
            (says("pub_geo_country=FR"), "FR"),
            (says("pub_geo_country=250"), "FR"),
            (NOBODY, "unknown"),
        ],
        what: "country",
    },
    Case {
        rule: r#""region", of = ["BY"]"#,
        matching: (&[says("pub_geo_state=BY")], "BY"),
        others: &[(says("pub_geo_state=BE"), "BE"), (NOBODY, "unknown")],
        what: "region",
    },
    Case {
        rule: r#""device", of = ["IOS"]"#,
        matching: (&[says("pub_device=ios"), with_agent(IPHONE)], "IOS"),
        others: &[(says("pub_device=Android"), "Android"), (NOBODY, "unknown")],
        what: "device",
    },
    Case {
        rule: r#""os", of = ["windows"]"#,
        matching: (&[with_agent(CHROME)], "Windows"),
        others: &[(with_agent(IPHONE), "iOS")],
        what: "operating system",
    },
    Case {
        rule: r#""browser", of = ["Chrome"]"#,
        matching: (&[with_agent(CHROME)], "Chrome"),
        others: &[(with_agent(IPHONE), "Mobile Safari")],
        what: "browser",
    },
    Case {
        rule: r#""language", of = ["de"]"#,
        matching: (&[speaks("fr, de-AT;q=0.8")], "fr, de"),
        others: &[(speaks("fr-CH, en;q=0.5"), "fr, en"), (NOBODY, "unknown")],
        what: "language",
    },
    Case {
        rule: r#""age", from = 18, to = 30"#,
        matching: (&[says("pub_age=30")], "30"),
        others: &[(says("pub_age=31"), "31"), (says("pub_age=17"), "17"), (says("pub_age=x"), "unknown")],
        what: "age",
    },
    Case {
        rule: r#""gender", of = ["female"]"#,
        matching: (&[says("pub_gender=F"), says("pub_gender=female")], "female"),
        others: &[(says("pub_gender=m"), "male"), (NOBODY, "unknown")],
        what: "gender",
    },
    Case {
        rule: r#""address", of = ["198.51.100.0/24", "2001:db8::/32"]"#,
        matching: (&[comes_from("198.51.100.7")], "198.51.100.7"),
        others: &[(comes_from("198.51.101.7"), "198.51.101.7")],
        what: "address",
    },
    Case {
        rule: r#""sub", number = 3, equals = ["a", "b"]"#,
        matching: (&[says("pub_sub_3=b")], "b"),
        others: &[(says("pub_sub_3=B"), "B"), (says("pub_sub_2=b"), "unknown")],
        what: "pub_sub_3",
    },
    Case {
        rule: r#""sub", number = 15, begins = ["web-"]"#,
        matching: (&[says("pub_sub_15=web-7")], "web-7"),
        others: &[(says("pub_sub_15=my-web-7"), "my-web-7")],
        what: "pub_sub_15",
    },
    Case {
        rule: r#""sub", number = 1, contains = ["web"]"#,
        matching: (&[says("pub_sub_1=my-web-7")], "my-web-7"),
        others: &[(says("pub_sub_1=app"), "app")],
        what: "pub_sub_1",
    },
];

/// Lets the tests name the visitor's address.
const BEHIND_A_PROXY: [&str; 2] = ["--trusted-proxies", "127.0.0.1/32"];

impl World<'_> {
    fn visited_by(&self, offer: &str, visitor: Visitor) -> Answer {
        let Visitor { query, agent, languages, address } = visitor;
        let path = self.path(&format!("{offer}/app"));
        let url = format!("{}{path}?{}&{query}", self.server().url(), fresh());
        let headers = [("user-agent", agent), ("accept-language", languages), ("x-forwarded-for", address)];
        let given = headers.into_iter().filter(|(_, value)| !value.is_empty());
        http::answer(
            given.fold(http::client().get(url), |request, (name, value)| request.header(name, value)),
        )
    }
}

/// What is wrong with an answer to somebody who passes, or else is told this.
fn misjudged(answer: &Answer, told: Option<&str>) -> Option<String> {
    let verdict = (answer.status, answer.header("x-click-verdict"));
    let right = match told {
        None => verdict == (302, "ok"),
        Some(told) => {
            verdict == (403, "target_mismatch")
                && answer.code() == "target_mismatch"
                && answer.json()["messages"][0] == told
        }
    };
    (!right).then(|| format!("{told:?}: {answer:?}\n"))
}

#[test]
fn every_rule_lets_pass_what_it_allows_and_nothing_that_it_blocks() {
    for_each_engine(|engine| {
        let mut offers = String::new();
        for (number, case) in CASES.iter().enumerate() {
            for mode in ["allow", "block"] {
                let more = format!("trusts_partner_place = true\ntargeting = [{{ {mode} = {} }}]", case.rule);
                offers += &offer(&format!("{mode}-{number}"), &more);
            }
        }
        let world = World::with(engine, &offers, &BEHIND_A_PROXY);
        let mut wrong = String::new();
        for (number, case) in CASES.iter().enumerate() {
            let (what, found) = (case.what, case.matching.1);
            let allowed = format!("allow-{number}");
            let blocked = format!("block-{number}");
            for visitor in case.matching.0 {
                let told = format!("{what} `{found}` is blocked by this offer's targeting");
                wrong.extend(misjudged(&world.visited_by(&allowed, *visitor), None));
                wrong.extend(misjudged(&world.visited_by(&blocked, *visitor), Some(&told)));
            }
            for (visitor, found) in case.others {
                let told = format!("{what} `{found}` is not allowed by this offer's targeting");
                wrong.extend(misjudged(&world.visited_by(&allowed, *visitor), Some(&told)));
                wrong.extend(misjudged(&world.visited_by(&blocked, *visitor), None));
            }
        }
        assert_eq!(wrong, "");
        world.stop();
    });
}

#[test]
fn the_partner_s_word_about_the_place_counts_only_where_the_offer_trusts_it() {
    for_each_engine(|engine| {
        let rule = "targeting = [{ allow = \"country\", of = [\"DE\"] }]";
        let trusting = format!("trusts_partner_place = true\n{rule}");
        let world = World::with(
            engine,
            &[offer("doubts", rule), offer("trusts", &trusting)].concat(),
            &BEHIND_A_PROXY,
        );
        // An address for documentation is nowhere.
        let german = Visitor { query: "pub_geo_country=DEU", address: "192.0.2.1", ..NOBODY };
        assert_eq!(misjudged(&world.visited_by("trusts", german), None), None);
        let told = "country `unknown` is not allowed by this offer's targeting";
        assert_eq!(misjudged(&world.visited_by("doubts", german), Some(told)), None);
        world.stop();
    });
}

#[test]
fn days_and_hours_are_those_of_the_rule_s_zone() {
    // Whatever the time is: all of the week's hours allow, and two zones half a day apart disagree about the hour.
    let zone = |zone: &str, hours: &str| format!("zone = \"{zone}\", days = \"mon-sun\", hours = {hours}");
    for_each_engine(|engine| {
        let mut offers =
            offer("always", &format!("targeting = [{{ allow = \"time\", {} }}]", zone("UTC", "\"0-23\"")));
        offers +=
            &offer("never", &format!("targeting = [{{ block = \"time\", {} }}]", zone("UTC", "\"0-23\"")));
        for hour in 0..24 {
            for (name, zone_of) in [("utc", "UTC"), ("far", "Etc/GMT-12")] {
                let rule =
                    format!("targeting = [{{ allow = \"time\", {} }}]", zone(zone_of, &format!("[{hour}]")));
                write!(offers, "{}", offer(&format!("{name}-{hour}"), &rule)).unwrap();
            }
        }
        let world = World::with(engine, &offers, &[]);
        assert_eq!(misjudged(&world.visited_by("always", NOBODY), None), None);
        let never = world.visited_by("never", NOBODY);
        assert!(
            never.json()["messages"][0].as_str().unwrap().starts_with("day and hour `weekday "),
            "{never:?}"
        );
        let open = |name: &str| -> Vec<i32> {
            let is_open = |hour: &i32| world.visited_by(&format!("{name}-{hour}"), NOBODY).status == 302;
            (0..24).filter(is_open).collect()
        };
        // An hour may end between two visits; then both look again.
        let apart = || match (open("utc").as_slice(), open("far").as_slice()) {
            ([utc], [far]) => Some((far - utc).rem_euclid(24)),
            _ => None,
        };
        let apart = apart().filter(|apart| *apart == 12).or_else(apart);
        assert_eq!(apart, Some(12));
        world.stop();
    });
}

#[test]
fn the_first_rule_that_fails_is_named() {
    for_each_engine(|engine| {
        let rules =
            "targeting = [{ allow = \"age\", from = 18 }, { block = \"sub\", number = 1, equals = [\"x\"] }]";
        let world = World::with(engine, &offer("two", rules), &[]);
        let told = |query, told| {
            assert_eq!(misjudged(&world.visited_by("two", says(query)), told), None, "{query}");
        };
        told("pub_age=18&pub_sub_1=y", None);
        told("pub_age=18&pub_sub_1=x", Some("pub_sub_1 `x` is blocked by this offer's targeting"));
        told("pub_age=3&pub_sub_1=x", Some("age `3` is not allowed by this offer's targeting"));
        // What is refused is recorded, and paid for by nobody.
        assert_eq!(world.count("click"), 3);
        world.stop();
    });
}
