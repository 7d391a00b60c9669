//! Secrets: shown once, renewed and ended on demand, and never kept where a hash is enough.

use testkit::for_each_engine;

use super::{EXAMPLE, SMALL, apply, changes, counts, everything, report, secrets, thing, version};

#[test]
fn secrets_are_shown_once_and_only_what_must_be_read_again_is_kept() {
    for_each_engine(|engine| {
        let shown = secrets(&report(engine, EXAMPLE, &[]));
        let expected = [
            ("advertiser/kestrel signing_secret", "whsec_", 50),
            ("advertiser/lantern postback_token", "pbt_", 47),
            ("partner/daily-quests signing_secret", "whsec_", 50),
            ("partner/pocketpoints signing_secret", "whsec_", 50),
            ("user/integration@pocketpoints.example setup_token", "sut_", 47),
            ("user/owner@example.com setup_token", "sut_", 47),
        ];
        let named: Vec<&str> = shown.keys().map(String::as_str).collect();
        assert_eq!(named, expected.map(|(name, _, _)| name));
        for ((name, secret), (_, prefix, length)) in shown.iter().zip(expected) {
            assert!(secret.starts_with(prefix) && secret.len() == length, "{name}: {secret}");
        }
        let stored = format!("{:?}", everything(engine));
        for (name, secret) in &shown {
            let kept = stored.matches(secret.as_str()).count();
            assert_eq!(kept, usize::from(name.ends_with("signing_secret")), "{name}");
        }
        let audit = format!("{:?}", engine.sql("select change from audit"));
        assert!(shown.values().all(|secret| !audit.contains(secret)), "{audit}");
        // Once means once in everything that is printed, whatever the form.
        let again = apply(engine, EXAMPLE, &[]).ok();
        assert!(shown.values().all(|secret| !again.stdout.contains(secret)), "{}", again.stdout);
        assert!(again.stdout.contains("&token=<shown when it was created>"), "{}", again.stdout);
        assert!(again.stdout.contains("&token=<its own token>"), "{}", again.stdout);
        let last = engine.sql(
            "select min(invite_expires_ms - audit.at_ms), max(invite_expires_ms - audit.at_ms)
                               from app_user, audit",
        );
        assert_eq!(last, [["604800000", "604800000"]]);
    });
}

#[test]
fn secrets_are_renewed_one_by_one_and_the_old_ones_ended_on_demand() {
    for_each_engine(|engine| {
        let text = SMALL.replace(
            "slug = \"shop\"\n",
            "slug = \"shop\"\nsigning = true\npostback_tokens = [\"shop-own-0123456789\"]\n",
        );
        report(engine, &text, &[]);
        let tokens = "select count(*) from advertiser_token where revoked_ms is null";
        assert_eq!(engine.count(tokens), 1);
        let all = [
            "--new-secret",
            "partner/app",
            "--new-secret",
            "advertiser/shop",
            "--new-secret",
            "user/BOSS@acme.example",
        ];
        let before = version(engine);
        let first = report(engine, &text, &all);
        assert_eq!(counts(&first), (0, 3, 5));
        assert_eq!(version(engine), before + 1);
        let named: Vec<String> = secrets(&first).into_keys().collect();
        assert_eq!(
            named,
            [
                "advertiser/shop postback_token",
                "advertiser/shop signing_secret",
                "partner/app signing_secret",
                "user/boss@acme.example setup_token",
            ]
        );
        assert_eq!(engine.count(tokens), 2);
        let second = report(engine, &text, &all);
        let stored =
            |table: &str| engine.sql(&format!("select signing_secret, previous_secret from {table}"));
        for (table, whose) in
            [("partner", "partner/app signing_secret"), ("advertiser", "advertiser/shop signing_secret")]
        {
            assert_eq!(stored(table), [[secrets(&second)[whose].clone(), secrets(&first)[whose].clone()]]);
        }
        assert_eq!(engine.count(tokens), 3);

        let ended = report(
            engine,
            &text,
            &["--end-old-secrets", "partner/app", "--end-old-secrets", "advertiser/shop"],
        );
        assert_eq!(changes(thing(&ended, "partner", "app")), ["old_signing_secret: (none) → ended"]);
        assert_eq!(
            changes(thing(&ended, "advertiser", "shop")),
            ["postback_tokens: 3 → 2", "old_signing_secret: (none) → ended",]
        );
        for table in ["partner", "advertiser"] {
            assert_eq!(stored(table)[0][1], "NULL", "{table}");
        }
        assert_eq!(engine.count(tokens), 2, "the newest and the one that the file names");
        let stopped = report(engine, &text.replace("signing = true\n", ""), &[]);
        assert_eq!(changes(thing(&stopped, "advertiser", "shop")), ["signing: true → false"]);
        assert_eq!(stored("advertiser"), [["NULL", "NULL"]]);
    });
}

#[test]
fn a_secret_belongs_to_exactly_one_thing_of_the_file() {
    for_each_engine(|engine| {
        let other = "[[network]]\nlabel = \"other\"\ncurrency = \"EUR\"\n\
                     [[partner]]\nnetwork = \"other\"\nslug = \"app\"\n";
        let two = format!("{}{other}", scoped());
        let cases = [
            ("--new-secret", "partner/nobody", "partner/nobody: the file declares no such thing"),
            ("--new-secret", "partner/app", "partner/app: several networks have one"),
            (
                "--end-old-secrets",
                "user/boss@acme.example",
                "user/boss@acme.example: a user has no older secret",
            ),
            ("--new-secret", "offer/flat", "`offer/flat` does not say whose"),
            ("--new-secret", "partner/", "`partner/` does not say whose"),
        ];
        for (flag, whose, message) in cases {
            let ran = apply(engine, &two, &[flag, whose]);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains(message), "{ran:?}");
        }
        assert_eq!(version(engine), 1);
        assert_eq!(counts(&report(engine, &two, &[])), (10, 0, 0));
        let renewed = report(engine, &two, &["--new-secret", "partner/other/app"]);
        assert_eq!(secrets(&renewed).into_keys().collect::<Vec<_>>(), ["partner/app signing_secret"]);
        assert_eq!(counts(&renewed), (0, 1, 9));
    });
}

/// [`SMALL`] with its network named by each thing, so that the file may declare another one.
fn scoped() -> String {
    let mut text = SMALL.to_owned();
    for noun in ["advertiser", "partner", "offer", "link", "postback", "user"] {
        let header = format!("[[{noun}]]\n");
        text = text.replace(&header, &format!("{header}network = \"acme\"\n"));
    }
    text
}
