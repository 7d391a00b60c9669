//! Who visits: countries from the operator's file, bots by their words and addresses, and files that cannot serve.

use domain::click::{Click, Marks};
use domain::visitor::Device;
use ipnet::Ipv4Net;
use maxminddb_writer::Database;
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde_json::json;
use testkit::http::{self, Answer};
use testkit::{Folder, eventually, for_each_engine};

use crate::life::{fresh, offer};
use crate::world::{AT_MOST, NETWORK, World};
use crate::{PITLANE, stored};

const GERMAN: &str = "198.51.100.7";
const FRENCH: &str = "203.0.113.7";
const NOWHERE: &str = "192.0.2.7";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// A file of countries and regions, as GeoLite2-City lays them out.
fn places(folder: &Folder) -> String {
    let mut database = Database::default();
    database.metadata.binary_format_major_version = 2;
    database.metadata.ip_version = IpVersion::V4;
    "GeoLite2-City".clone_into(&mut database.metadata.database_type);
    database.metadata.build_epoch = 1_795_000_000;
    for (range, country, region) in [("198.51.100.0/24", "DE", "BY"), ("203.0.113.0/24", "FR", "IDF")] {
        let range: Ipv4Net = range.parse().unwrap();
        let record = json!({ "country": { "iso_code": country }, "subdivisions": [{ "iso_code": region }] });
        let data = database.insert_value(record).unwrap();
        database.insert_node(IpAddrWithMask::new(range.network().into(), range.prefix_len()), data);
    }
    let path = folder.join("places.mmdb");
    std::fs::write(&path, database.write_to(Vec::new()).unwrap()).unwrap();
    path
}

impl World<'_> {
    fn visited_from(&self, offer: &str, address: &str, agent: &str) -> Answer {
        let path = self.path(&format!("{offer}/app"));
        let request = http::client().get(format!("{}{path}?{}", self.server().url(), fresh()));
        http::answer(request.header("x-forwarded-for", address).header("user-agent", agent))
    }

    fn newest(&self) -> Click {
        stored::clicks(self.engine, "order by k.click_id desc limit 1").remove(0)
    }
}

#[test]
fn an_address_is_in_the_country_that_the_operator_s_file_says() {
    for_each_engine(|engine| {
        let folder = Folder::new();
        let rule = |rule: &str, of: &str| format!("targeting = [{{ allow = \"{rule}\", of = [\"{of}\"] }}]");
        let offers = [offer("german", &rule("country", "DE")), offer("parisian", &rule("region", "IDF"))];
        let flags = ["--trusted-proxies", "127.0.0.1/32", "--place-file", &places(&folder)];
        let world = World::with(engine, &offers.concat(), &flags);
        let cases = [
            ("german", GERMAN, ""),
            ("german", "::ffff:198.51.100.255", ""),
            ("german", FRENCH, "country `FR` is not allowed by this offer's targeting"),
            ("german", NOWHERE, "country `unknown` is not allowed by this offer's targeting"),
            ("parisian", FRENCH, ""),
            ("parisian", GERMAN, "region `BY` is not allowed by this offer's targeting"),
        ];
        for (offer, address, told) in cases {
            let answer = world.visited_from(offer, address, BROWSER);
            if told.is_empty() {
                assert_eq!(answer.status, 302, "{offer} {address}: {answer:?}");
            } else {
                assert_eq!(answer.code(), "target_mismatch", "{offer} {address}: {answer:?}");
                assert_eq!(answer.json()["messages"][0], told, "{offer} {address}");
            }
        }
        world.visited_from("german", GERMAN, BROWSER);
        let facts = world.newest().facts;
        assert_eq!(facts.country.map(|country| country.to_string()).as_deref(), Some("DE"));
        assert_eq!((facts.region.as_deref(), facts.device), (Some("BY"), Some(Device::Browser)));
        assert_eq!((facts.os.as_str(), facts.browser.as_str()), ("Linux", "Firefox"));
        let log = world.server().log().join("\n");
        assert!(log.contains("places.mmdb (GeoLite2-City, of 2026-11-18, "), "{log}");
        world.stop();
    });
}

/// Debian's `tor-geoipdb` is taken by itself where it is installed; then there is nothing to warn of.
#[test]
fn a_country_rule_that_nothing_can_tell_is_warned_about_when_declared_and_at_start() {
    let installed = std::path::Path::new("/usr/share/tor/geoip").exists();
    for_each_engine(|engine| {
        let folder = Folder::new();
        let rule = "targeting = [{ allow = \"country\", of = [\"DE\"] }]";
        let asks = offer("german", rule);
        let believes = offer("told", &format!("{rule}\ntrusts_partner_place = true"));
        let file = folder.file(
            "network.toml",
            &format!("{}{asks}{believes}", NETWORK.replace("{partner}", "partner.example")),
        );
        let database = engine.database_args();
        let [flag, value] = database.each_ref().map(String::as_str);
        let declare = |variables: &[(&str, &str)]| {
            let args = ["apply", &file, "--dry-run", "--json", flag, value];
            let told = PITLANE.run_with(&args, variables).ok().json();
            let warnings = told["warnings"].as_array().unwrap().clone();
            warnings.iter().map(|one| one["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(declare(&[("PITLANE_PLACE_FILE", &places(&folder))]), Vec::<String>::new());
        let warned = declare(&[]);
        assert_eq!(warned.len(), usize::from(!installed), "{warned:?}");
        assert!(
            warned
                .iter()
                .all(|one| one.starts_with("offer \"german\": targeting: nothing on this machine tells"))
        );

        let world = World::with(engine, &format!("{asks}{believes}"), &[]);
        let told = |line: &String| line.contains("nothing tells the country") && line.contains("\"german\"");
        eventually("it is said at the start", AT_MOST, || installed || world.server().log().iter().any(told));
        world.stop();
    });
}

#[test]
fn bots_are_sent_on_and_marked() {
    for_each_engine(|engine| {
        let folder = Folder::new();
        let list = folder.file("bots", "# a data centre\n203.0.113.0/24\n");
        let flags = ["--trusted-proxies", "127.0.0.1/32", "--bot-ranges-file", &list];
        let world = World::with(engine, "", &flags);
        for (address, agent, bot) in
            [(GERMAN, BROWSER, false), (GERMAN, ROBOT, true), (FRENCH, BROWSER, true), (FRENCH, ROBOT, true)]
        {
            let answer = world.visited_from("flat", address, agent);
            assert_eq!(answer.status, 302, "{answer:?}");
            let newest = world.newest();
            assert_eq!(newest.marks.has(Marks::BOT), bot, "{address} {agent}: {newest:?}");
        }
        world.stop();
    });
}

#[test]
fn a_named_file_that_cannot_serve_stops_the_start() {
    let folder = Folder::new();
    let (broken, list) = (folder.file("broken.mmdb", "<html>"), folder.file("bots", "10.0.0.0/8\nbots\n"));
    let cases = [
        ("--place-file", broken.clone(), format!("{broken} is not a whole MaxMind DB file")),
        ("--place-file", folder.join("absent"), format!("cannot read {}", folder.join("absent"))),
        ("--bot-ranges-file", list.clone(), format!("{list}:2: `bots` is not an address range")),
    ];
    for (flag, value, told) in cases {
        let data = folder.join("data");
        let ran = PITLANE.run(&["serve", "--listen", "127.0.0.1:0", "--data", &data, flag, &value]);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(&told), "{ran:?}");
    }
}
