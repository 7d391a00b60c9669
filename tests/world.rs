//! A network that runs: declared by a file, served by the real binary, with a partner that listens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use simulator::partner::{Behaviour, Partner, Received, Settings};
use testkit::http::{self, Answer};
use testkit::{Engine, Folder, Server, block_on, eventually};
use tokio::net::TcpListener;

use crate::PITLANE;

/// The most that anything here is waited for before the run is called broken.
pub(crate) const AT_MOST: Duration = Duration::from_mins(1);

/// The postback token of the advertiser `shop`.
pub(crate) const TOKEN: &str = "shop-token-0123456789abcdef";

/// Lets partner postbacks go to receivers on this machine.
pub(crate) const TO_THIS_MACHINE: [&str; 2] = ["--delivery-allow", "127.0.0.1/32"];

/// One network: an advertiser with one offer of each kind, a partner that runs all of them and has one postback
/// for everything. `{partner}` is where the partner listens.
pub(crate) const NETWORK: &str = r#"
[[network]]
label = "acme"
currency = "USD"

[[advertiser]]
slug = "shop"
postback_tokens = ["shop-token-0123456789abcdef"]

[[partner]]
slug = "app"

[[offer]]
slug = "flat"
name = "Flat & fair"
advertiser = "shop"
destination = "https://shop.example/flat?click={gk_click_id}"
revenue = "2.50"
payout = "1.20"

[[offer]]
slug = "share"
advertiser = "shop"
conversion_type = "RevShare"
destination = "https://shop.example/share?click={gk_click_id}"
revenue = "10%"
payout = "7.5%"

[[offer]]
slug = "levels"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/levels?click={gk_click_id}"
[[offer.event]]
code = "install"
revenue = "1.00"
payout = "0.60"
[[offer.event]]
code = "Level 10"
revenue = "5.00"
payout = "4.00"

[[link]]
offer = "flat"
partner = "app"

[[link]]
offer = "share"
partner = "app"

[[link]]
offer = "levels"
partner = "app"

[[postback]]
partner = "app"
slug = "all"
url = "http://{partner}/postback/all?click={pub_click_id}&conversion={conversion_id}&status={cnv_status}"
"#;

/// A partner's listener that has no partner yet, because the network must know its port first.
pub(crate) struct Endpoint(TcpListener);

impl Endpoint {
    /// Listens on a free port of this machine.
    pub(crate) fn bind() -> Self {
        Self(block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port"))
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.0.local_addr().expect("an address").to_string()
    }

    /// Answers from now on, and checks signatures with these secrets.
    pub(crate) fn start(self, secrets: Vec<String>) -> Partner {
        let settings = Settings { secrets, keep: 100_000, ..Settings::default() };
        block_on(async { Partner::start(self.0, settings) }).expect("a partner")
    }

    /// Answers from now on, in this way.
    pub(crate) fn behave(self, behaviour: Behaviour) -> Partner {
        let partner = self.start(Vec::new());
        partner.set_behaviour(behaviour);
        partner
    }
}

/// What `pitlane apply` said about each thing, by kind and name (`offer/partner` for a link).
#[derive(Debug)]
pub(crate) struct Applied(HashMap<String, Value>);

impl Applied {
    fn of(report: &Value) -> Self {
        let things = report["things"].as_array().unwrap_or_else(|| panic!("no things in {report}"));
        let named = things.iter().map(|thing| {
            let text = |key: &str| thing[key].as_str().expect("a text").to_owned();
            (format!("{} {}", text("kind"), text("name")), thing.clone())
        });
        Self(named.collect())
    }

    /// The id of a thing.
    pub(crate) fn id(&self, kind: &str, name: &str) -> String {
        self.thing(kind, name)["id"].as_str().expect("an id").to_owned()
    }

    /// The signing secret that was made for a thing in this run.
    pub(crate) fn signing_secret(&self, kind: &str, name: &str) -> String {
        let secrets = self.thing(kind, name)["secrets"].as_array().cloned().unwrap_or_default();
        let signing = secrets.iter().find(|secret| secret["name"] == "signing_secret");
        let value = signing.and_then(|secret| secret["value"].as_str());
        value.unwrap_or_else(|| panic!("no signing secret of {kind} {name}")).to_owned()
    }

    /// The token with which a user sets their password.
    pub(crate) fn setup_token(&self, email: &str) -> String {
        let token = self.thing("user", email)["secrets"][0]["value"].as_str();
        token.unwrap_or_else(|| panic!("no set-up token of {email}")).to_owned()
    }

    fn thing(&self, kind: &str, name: &str) -> &Value {
        self.0.get(&format!("{kind} {name}")).unwrap_or_else(|| panic!("{kind} {name} was not applied"))
    }
}

/// Declares a network: `pitlane apply` on the database, whether a server runs on it or not.
pub(crate) fn apply(engine: &Engine, declaration: &str, args: &[&str]) -> Applied {
    let folder = Folder::new();
    let file = folder.file("network.toml", declaration);
    let ran = PITLANE.run_on(engine, &[&["apply", &file, "--json"], args].concat()).ok();
    Applied::of(&ran.json())
}

/// A network with a server and a partner.
pub(crate) struct World<'e> {
    // Dropped first: a server that sends to nobody would log it.
    server: Server,
    /// The partner `app`.
    pub(crate) partner: Partner,
    /// The database.
    pub(crate) engine: &'e Engine,
    /// What was declared.
    pub(crate) applied: Applied,
    declaration: String,
    /// How often each member has clicked.
    clicks: Mutex<HashMap<String, u32>>,
}

impl<'e> World<'e> {
    /// [`NETWORK`], served.
    pub(crate) fn start(engine: &'e Engine) -> Self {
        Self::with(engine, "", &[])
    }

    /// [`NETWORK`] and more, served with more flags.
    pub(crate) fn with(engine: &'e Engine, more: &str, flags: &[&str]) -> Self {
        Self::declared(engine, &format!("{NETWORK}{more}"), flags)
    }

    /// A declaration of one's own, served. `{partner}` in it becomes the address of the partner `app`.
    pub(crate) fn declared(engine: &'e Engine, declaration: &str, flags: &[&str]) -> Self {
        let endpoint = Endpoint::bind();
        let declaration = declaration.replace("{partner}", &endpoint.address());
        let applied = apply(engine, &declaration, &[]);
        let partner = endpoint.start(vec![applied.signing_secret("partner", "app")]);
        let server = PITLANE.serve(engine, &[&TO_THIS_MACHINE, flags].concat());
        Self { server, partner, engine, applied, declaration, clicks: Mutex::default() }
    }

    /// The server.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// What was declared, as text.
    pub(crate) fn declaration(&self) -> &str {
        &self.declaration
    }

    /// The server's log may have errors: the test causes them.
    pub(crate) fn expect_errors(mut self) -> Self {
        self.server = self.server.expect_errors();
        self
    }

    /// Ends the server in order, and checks its log and code.
    pub(crate) fn stop(self) {
        self.server.stop();
    }

    /// Ends the server in order, and starts another one on the same database, with these flags.
    pub(crate) fn restart_with(self, flags: &[&str], meanwhile: impl FnOnce()) -> Self {
        let Self { server, engine, .. } = self;
        server.stop();
        meanwhile();
        let server = PITLANE.serve(engine, &[&TO_THIS_MACHINE, flags].concat());
        Self { server, ..self }
    }

    /// Kills the server, and starts another one on the same database.
    pub(crate) fn crash(self, meanwhile: impl FnOnce()) -> Self {
        let Self { server, engine, .. } = self;
        server.kill9();
        meanwhile();
        Self { server: PITLANE.serve(engine, &TO_THIS_MACHINE), ..self }
    }

    /// Ends the server in order, and starts another one on the same database.
    pub(crate) fn restart(self, meanwhile: impl FnOnce()) -> Self {
        self.restart_with(&[], meanwhile)
    }

    /// The path of a link (`offer/partner`), without parameters.
    pub(crate) fn path(&self, link: &str) -> String {
        format!("/api/v1/offer-link/redirect/{}", self.applied.id("link", link))
    }

    /// Follows a link with this query.
    pub(crate) fn visit(&self, link: &str, query: &str) -> Answer {
        self.get(&format!("{}?{query}", self.path(link)))
    }

    /// A click of a member on an offer of the partner `app`: our id of it. The partner's is `click-` and the member,
    /// and from the second one on its number.
    pub(crate) fn click(&self, offer: &str, member: &str) -> String {
        let mut clicks = self.clicks.lock().unwrap_or_else(PoisonError::into_inner);
        let number = clicks.entry(member.to_owned()).and_modify(|number| *number += 1).or_insert(1);
        let number = if *number == 1 { String::new() } else { format!("-{number}") };
        let query = format!("pub_click_id=click-{member}{number}&pub_member_id={member}");
        click_id(&self.visit(&format!("{offer}/app"), &query))
    }

    /// Reports a result as the advertiser `shop`.
    pub(crate) fn report(&self, query: &str) -> Answer {
        self.get(&format!("/postback?token={TOKEN}&{query}"))
    }

    /// `GET` of a path with its query.
    pub(crate) fn get(&self, target: &str) -> Answer {
        http::get(&format!("{}{target}", self.server.url()))
    }

    /// Waits until every delivery has ended, and gives what the partner received, oldest first.
    pub(crate) fn received(&self) -> Vec<Arc<Received>> {
        eventually("every delivery has ended", AT_MOST, || self.waiting() == 0);
        self.partner.received()
    }

    /// How many deliveries have not ended.
    pub(crate) fn waiting(&self) -> i64 {
        self.count("delivery where state = 'pending'")
    }

    /// How many rows there are in a table, perhaps with a condition.
    pub(crate) fn count(&self, rows: &str) -> i64 {
        self.engine.count(&format!("select count(*) from {rows}"))
    }
}

/// Our click id in the redirect to an offer of [`NETWORK`].
#[track_caller]
pub(crate) fn click_id(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.header("x-click-verdict")), (302, "ok"), "{answer:?}");
    let (_, id) = answer.header("location").split_once("click=").unwrap_or_else(|| panic!("{answer:?}"));
    id.chars().take(36).collect()
}

/// The conversion that an answer names.
#[track_caller]
pub(crate) fn conversion_id(answer: &Answer) -> String {
    let json = answer.json();
    json["data"]["conversionId"].as_str().unwrap_or_else(|| panic!("no conversion in {json}")).to_owned()
}

/// A value as it stands in a query: everything but the unreserved characters encoded.
pub(crate) fn encoded(value: &str) -> String {
    let each = value.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    each.collect::<Vec<_>>().concat()
}
