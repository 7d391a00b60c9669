//! Rules in a file: what is written is what is read again, and the report tells the difference in words.

use testkit::for_each_engine;

use super::{SMALL, changes, counts, report, thing};

/// Every rule of an offer, at the offers of [`SMALL`].
fn ruled() -> String {
    let flat = r#"slug = "flat"
min_conversion_time = "90s"
late_conversions = false
caps = { total = 10000, day = 100, week = 500, month = 2000 }
budgets = { day = "100.00", total = "5000" }
trusts_partner_place = true
static_members = "refuse"
reused_clicks = "refuse"
targeting = [
    { allow = "country", of = ["DE", "AUT", "756"] },
    { block = "region", of = ["BY", "be"] },
    { allow = "device", of = ["IOS", "Android"] },
    { block = "os", of = ["Windows"] },
    { block = "browser", of = ["IE"] },
    { allow = "language", of = ["de", "EN"] },
    { allow = "age", from = 18, to = 99 },
    { block = "age", to = 20 },
    { allow = "gender", of = ["female", "other"] },
    { allow = "time", zone = "europe/berlin", days = ["fri", "mon", "tue"], hours = "8-19" },
    { block = "time", zone = "Asia/Kathmandu", hours = "22-5" },
    { allow = "time", zone = "UTC", days = "fri-mon", hours = [9, "11", 12] },
    { block = "address", of = ["10.0.0.0/8", "2001:db8::1"] },
    { allow = "sub", number = 3, begins = ["x", "y z"] },
    { block = "sub", number = 15, contains = ["test"] },
    { allow = "sub", number = 1, equals = ["a"] },
]"#;
    let levels = [
        ("code = \"install\"", "code = \"install\", sequence = 1, caps = { day = 5 }"),
        (
            "code = \"level-10\"",
            "code = \"level-10\", sequence = 20, min_time_after_previous = \"2h\", deadline_days = 30",
        ),
    ];
    levels.iter().fold(SMALL.replace("slug = \"flat\"", flat), |text, (old, new)| text.replace(old, new))
}

const TOLD: [&str; 8] = [
    "min_conversion_time: (none) → 90s",
    "late_conversions: true → false",
    "budgets: (none) → 100.00 USD a day, 5000.00 USD in total",
    "targeting: (none) → allow country DE, AT, CH; block region BY, be; allow device IOS, Android; \
     block operating system Windows; block browser IE; allow language de, en; allow age 18 to 99; block age 1 to 20; \
     allow gender female, other; allow days mon-tue, fri hours 8-19 in Europe/Berlin; \
     block hours 0-5, 22-23 in Asia/Kathmandu; allow days mon, fri-sun hours 9, 11-12 in UTC; \
     block address 10.0.0.0/8, 2001:db8::1/128; allow pub_sub_3 begins x, y z; block pub_sub_15 contains test; \
     allow pub_sub_1 equals a",
    "trusts_partner_place: false → true",
    "static_members: flag → refuse",
    "reused_clicks: flag → refuse",
    "caps: (none) → 100 a day, 500 a week, 2000 a month, 10000 in total",
];

#[test]
fn every_rule_is_told_in_words_and_read_back_as_it_was_written() {
    for_each_engine(|engine| {
        report(engine, SMALL, &[]);
        let dry = report(engine, &ruled(), &["--dry-run"]);
        let made = report(engine, &ruled(), &[]);
        for told in [&dry, &made] {
            assert_eq!(changes(thing(told, "offer", "flat")), TOLD);
            assert_eq!(
                changes(thing(told, "offer", "levels")),
                [
                    "event.install.caps: (none) → 5 a day",
                    "event.install.sequence: (none) → 1",
                    "event.level-10.sequence: (none) → 20",
                    "event.level-10.min_time_after_previous: (none) → 2h",
                    "event.level-10.deadline_days: (none) → 30",
                ]
            );
        }
        assert_eq!(counts(&report(engine, &ruled(), &[])), (0, 0, 8));
        // What the file leaves out has its default again.
        let back = report(engine, SMALL, &[]);
        assert_eq!(changes(thing(&back, "offer", "flat")).len(), TOLD.len());
        assert_eq!(counts(&report(engine, SMALL, &[])), (0, 0, 8));
    });
}

#[test]
fn a_sequence_number_is_free_of_events_that_the_file_leaves_out() {
    for_each_engine(|engine| {
        report(engine, &ruled(), &[]);
        let one_event = |number: i64, more: &str| {
            format!(
                "[[offer]]\nslug = \"levels\"\ntype = \"MultiEvent\"\nadvertiser = \"shop\"\n\
                 destination = \"https://shop.example/levels?click={{gk_click_id}}\"\n[[offer.event]]\n\
                 code = \"new\"\nrevenue = \"1\"\npayout = \"1\"\nsequence = {number}\n{more}"
            )
        };
        let ran = super::apply(engine, &one_event(20, ""), &[]);
        let why = "network.toml:10:12: offer \"levels\" event \"new\": sequence: 20 is already the number of event \
                   \"level-10\"";
        assert!(ran.code == Some(2) && ran.stderr.contains(why), "{ran:?}");
        assert_eq!(counts(&report(engine, &one_event(2, ""), &[])), (0, 1, 0));
    });
    // The first of all has nothing to stay behind.
    for_each_engine(|engine| {
        let idle = ruled().replace("sequence = 1,", "sequence = 1, min_time_after_previous = \"1h\",");
        let warnings = report(engine, &idle, &[])["warnings"].clone();
        let message = warnings[0]["message"].as_str().unwrap_or_default();
        assert!(message.contains("has no effect, because no event comes before"), "{warnings}");
    });
}
