//! `pitlane demo`, as somebody who has just cloned the project meets it.

use std::path::Path;

use testkit::http::{self, Answer};
use testkit::{Engine, Folder, Ran, Server, eventually};

use crate::PITLANE;
use crate::world::AT_MOST;

/// A running demo and what it printed.
struct Demo {
    server: Server,
    engine: Engine,
    text: String,
}

impl Demo {
    /// Starts it on free ports, in a folder of its own, and reads everything that it prints at first.
    fn start(args: &[&str]) -> Self {
        let engine = Engine::sqlite();
        let mut command = PITLANE.command();
        command.args(["demo", "--listen", "127.0.0.1:0"]).args(engine.database_args()).args(args);
        let server = Server::start(command);
        let mut text = String::new();
        while !text.contains("Ctrl-C ends it") {
            text.push_str(&server.next_line());
            text.push('\n');
        }
        Self { server, engine, text }
    }

    /// The first address in the text behind these words, up to the next space or quote.
    #[track_caller]
    fn address(&self, behind: &str) -> String {
        let (_, rest) =
            self.text.split_once(behind).unwrap_or_else(|| panic!("no {behind:?} in {}", self.text));
        let start = rest.find("http://").unwrap_or_else(|| panic!("no address in {rest}"));
        rest[start..].split([' ', '\n', '\'']).next().unwrap().to_owned()
    }

    fn count(&self, rows: &str) -> i64 {
        self.engine.count(&format!("select count(*) from {rows}"))
    }

    fn run(&self, args: &[&str]) -> Ran {
        PITLANE.run_on(&self.engine, args)
    }

    fn stop(self) {
        self.server.stop();
    }
}

fn page(url: &str) -> String {
    let answer = http::get(url);
    assert_eq!(answer.status, 200, "{url}: {answer:?}");
    answer.body
}

/// Presses a button of a landing page as a browser does.
fn press(landing: &str, fields: &[(&str, &str)]) -> Answer {
    let (address, query) = landing.split_once('?').unwrap();
    let form: Vec<(&str, &str)> =
        [("landing_query", query)].into_iter().chain(fields.iter().copied()).collect();
    http::answer(http::client().post(format!("{address}/complete")).form(&form))
}

#[test]
fn a_click_a_button_and_the_partner_is_told() {
    let demo = Demo::start(&["--no-history"]);
    assert!(
        !demo.text.contains("has a past") && demo.text.contains("why my-first-click --data "),
        "{}",
        demo.text
    );
    let link = demo.address("a tracking link");
    let sent_on = http::get(&link);
    assert_eq!((sent_on.status, sent_on.header("x-click-verdict")), (302, "ok"), "{sent_on:?}");
    let landing = sent_on.header("location");
    assert!(landing.starts_with(&demo.address("Northwind")), "{landing} is the simulated advertiser's");
    let (_, id) = landing.split_once("click_id=").unwrap();
    let id = &id[..36];
    assert!(page(landing).contains(id), "the landing page shows the click id");

    let answer = press(landing, &[]);
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(demo.count("conversion where status = 'Success'"), 1);
    assert!(page(landing).contains("recorded"), "the landing page shows the answer");
    let partner = demo.address("PocketPoints  ");
    eventually("the partner is told", AT_MOST, || page(&partner).contains("signature valid"));
    let shown = page(&partner);
    assert!(shown.contains("my-first-click") && shown.contains("30.00"), "{shown}");
    assert!(!shown.contains("signature invalid") && !shown.contains("signature missing"));

    // The same once more: the click is refused, the postback is a copy.
    eventually("the server knows that the member completed", AT_MOST, || {
        http::get(&link).header("x-click-verdict") == "member_already_completed"
    });
    press(landing, &[]);
    assert_eq!((demo.count("conversion"), demo.count("inbound where code = 'duplicate'")), (1, 1));

    let why = demo.run(&["why", id]).ok().stdout;
    assert!(
        why.contains("answered duplicate (200)") && why.contains("1 delivered, 0 waiting, 0 dead"),
        "{why}"
    );
    demo.stop();
}

#[test]
fn every_kind_of_offer_and_postback_works_at_the_simulators() {
    let demo = Demo::start(&["--no-history"]);
    let (partner, quests) = (demo.address("PocketPoints  "), demo.address("Daily Quests  "));
    let links = |page: &str| -> Vec<String> {
        let hrefs = page.split("href=\"").filter(|rest| rest.contains("offer-link/redirect"));
        let hrefs =
            hrefs.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&"));
        hrefs.filter(|href| href.starts_with("http")).collect()
    };
    // One of the app's users follows each of its links.
    let mine: Vec<String> =
        links(&page(&partner)).into_iter().filter(|link| link.contains("pub_member_id=m-10482")).collect();
    let landings: Vec<Answer> = mine.iter().map(|link| http::get(link)).collect();
    let verdicts: Vec<&str> = landings.iter().map(|answer| answer.header("x-click-verdict")).collect();
    assert_eq!(verdicts, ["ok", "ok", "ok", "ok", "offer_expired"]);
    let landing = |slug: &str| {
        let all = landings.iter().map(|answer| answer.header("location").to_owned());
        all.into_iter().find(|location| location.contains(&format!("/{slug}?"))).unwrap()
    };
    for event in ["install", "registration", "first-purchase"] {
        press(&landing("star-harvest"), &[("event_id", event)]);
    }
    press(&landing("kestrel-shop"), &[("amount", "49.90"), ("conversion_id", "order-1")]);
    press(&landing("travel-survey"), &[]);
    let conversions =
        demo.engine.sql("select event_code, status, payout_micros from conversion order by 1, 3");
    let wanted = [
        ["", "Pending", "1100000"],
        ["", "Success", "3742500"],
        ["first-purchase", "Success", "6500000"],
        ["install", "Success", "500000"],
        ["registration", "Success", "1400000"],
    ];
    assert_eq!(conversions, wanted);
    // The purchase is told twice: by the postback for everything, and by the one for this event.
    eventually("every delivery has arrived", AT_MOST, || {
        demo.count("delivery where state = 'delivered'") == 5
    });
    let shown = page(&partner);
    assert!(shown.contains("/postback/purchase") && shown.matches("signature valid").count() == 5, "{shown}");

    let link = links(&page(&quests)).into_iter().find(|link| link.contains("dq-7f3a91")).unwrap();
    assert_eq!(
        http::get(&link).header("x-click-verdict"),
        "partner_not_approved",
        "its first link only asked"
    );
    demo.stop();
}

#[test]
fn the_past_has_everything_that_happens_and_nothing_else() {
    let demo = Demo::start(&["--days", "30"]);
    let clicks = demo.count("click");
    assert!((20_000..40_000).contains(&clicks), "{clicks}");
    let conversions = demo.count("conversion");
    assert!((1_000..2_500).contains(&conversions), "{conversions}");
    for code in [
        "recorded",
        "duplicate",
        "updated",
        "member_already_completed",
        "rejected:ip_not_allowed",
        "rejected:too_late",
        "amount_malformed",
    ] {
        assert!(demo.count(&format!("inbound where code = '{code}'")) > 0, "no {code}");
    }
    let verdicts = demo.engine.sql("select verdict from click group by verdict order by verdict");
    let wanted = ["0", "1", "3", "4", "5", "8", "11", "14"];
    assert_eq!(verdicts.concat(), wanted, "ok, refused parameters, completed, expired, not approved");
    // Nobody holds a place twice, nobody comes before the past or after now.
    let places = "(select 1 from conversion where holds_place = 1 \
                   group by offer_id, event_id, partner_id, pub_member_id having count(*) > 1) twice";
    assert_eq!(demo.count(places), 0);
    let span = demo.engine.count("select max(received_ms) - min(received_ms) from conversion");
    assert!((27 * 86_400_000..=30 * 86_400_000).contains(&span), "{span}");
    a_day_is_filled_in(&demo);
    the_commands_that_are_printed_work(&demo);
    demo.stop();
}

/// What the last day brought is told, and no more; the rest can be filled in.
fn a_day_is_filled_in(demo: &Demo) {
    eventually("every delivery has ended", AT_MOST, || demo.count("delivery where state = 'pending'") == 0);
    assert!(demo.count("delivery") > 0);
    assert_eq!(demo.count("delivery where state <> 'delivered' or origin <> 'backfill'"), 0);
    let shown = page(&demo.address("PocketPoints  "));
    assert!(shown.contains("signature valid") && !shown.contains("signature invalid"));

    let partner = "(select partner_id from partner where slug = 'pocketpoints')";
    let paid = demo.count(&format!("conversion where status = 'Success' and partner_id = {partner}"));
    let told = "delivery d join postback p on p.postback_id = d.postback_id where p.slug = 'all' and d.partner_id = ";
    let before = demo.count(&format!("{told}{partner}"));
    let fill = [
        "postback",
        "backfill",
        "--partner",
        "pocketpoints",
        "--postback",
        "all",
        "--since",
        "2020-01-01T00:00:00Z",
    ];
    let made = demo.run(&fill).ok().stdout;
    assert!(made.starts_with(&format!("{} deliveries made", paid - before)), "{made}: {paid} {before}");
    assert!(paid > 500, "more than one write of it");
    eventually("every delivery has arrived", AT_MOST, || {
        demo.count(&format!("{told}{partner} and d.state = 'delivered'")) == paid
    });
    let replay =
        ["delivery", "replay", "--partner", "pocketpoints", "--postback", "all", "--state", "delivered"];
    assert!(demo.run(&replay).ok().stdout.starts_with(&format!("{paid} deliveries due now")));
}

fn the_commands_that_are_printed_work(demo: &Demo) {
    let commands = demo.text.lines().filter_map(|line| line.split_once(" why ")?.1.split_once(" --data "));
    let ids = commands.map(|(id, _)| id);
    let ids: Vec<&str> = ids.collect();
    assert_eq!((ids.len(), ids[0]), (3, "my-first-click"));
    let story = demo.run(&["why", ids[1]]).ok().stdout;
    assert!(story.contains("Success") && story.contains(&format!("pub_member_id = {}", ids[2])), "{story}");
    demo.run(&["why", ids[2]]).ok();
    demo.run(&["link", "check", &demo.address("link check")]).ok();
}

#[test]
fn without_a_folder_it_leaves_nothing_behind() {
    let mut command = PITLANE.command();
    let temporary = Folder::new();
    command.args(["demo", "--listen", "127.0.0.1:0", "--no-history"]).env("TMPDIR", temporary.path());
    let mut server = Server::start(command);
    let inside = || std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(inside(), 1);
    server.interrupt();
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(inside(), 0);
}

#[test]
fn what_stands_in_its_way_is_told_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = PITLANE.run(&["demo", "--listen", &address]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("cannot listen on {address}")) && ran.stderr.contains("next: "),
        "{ran:?}"
    );

    let engine = Engine::sqlite();
    PITLANE.serve(&engine, &[]).stop();
    let Engine::Sqlite(folder) = &engine else { unreachable!() };
    let data = folder.path().display().to_string();
    let ran = PITLANE.run(&["demo", "--listen", "127.0.0.1:0", "--data", &data]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{data} has a database already")), "{ran:?}");
    assert!(Path::new(&data).join("pitlane.db").exists());
}

#[test]
fn it_takes_nothing_from_the_environment() {
    let engine = Engine::sqlite();
    let mut command = PITLANE.command();
    command.args(["demo", "--listen", "127.0.0.1:0", "--no-history"]).args(engine.database_args());
    command
        .env("PITLANE_DATABASE", "postgres://nobody@127.0.0.1:1/nothing")
        .env("PITLANE_LISTEN", "127.0.0.1:1");
    Server::start(command).stop();
    assert!(engine.count("select count(*) from offer") > 0);
}
