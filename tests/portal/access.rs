//! Who may open what: every route of the portal with every role, and with ids of every side. The routes are those that
//! are served; a parameter or a rule that nothing is known of here fails the build or the test.

use ::portal::{ROUTES, Route, Rule};
use testkit::http::{self, Answer};
use testkit::{Engine, eventually, for_each_engine};

use super::Browser;
use crate::world::{AT_MOST, World, encoded};

/// Two networks; in the first, a partner with one user of each role, and another one. What begins with `canary` must
/// not reach a partner whose own it is not.
const NETWORKS: &str = r#"
[[network]]
label = "acme"
currency = "USD"
[[network]]
label = "rival"
name = "Canary Rival Network"
currency = "EUR"

[[advertiser]]
network = "acme"
slug = "canary-payer"
name = "Canary Payer"
signing = true
postback_tokens = ["canary-token-0123456789abcdef"]
[[advertiser]]
network = "rival"
slug = "canary-rival"
postback_tokens = ["canary-rival-0123456789abcdef"]

[[partner]]
network = "acme"
slug = "app"
[[partner]]
network = "acme"
slug = "canary-other"
name = "Canary Other"
[[partner]]
network = "rival"
slug = "canary-web"

[[offer]]
network = "acme"
slug = "levels"
type = "MultiEvent"
advertiser = "canary-payer"
destination = "https://shop.example/?click={gk_click_id}"
[[offer.event]]
code = "install"
revenue = "7.77"
payout = "1.20"
[[offer]]
network = "acme"
slug = "quiet"
status = "Draft"
type = "MultiEvent"
advertiser = "canary-payer"
destination = "https://shop.example/?click={gk_click_id}"
[[offer.event]]
code = "install"
revenue = "7.77"
payout = "1.20"
[[offer]]
network = "acme"
slug = "canary-quiet"
name = "Canary Quiet"
status = "Draft"
type = "MultiEvent"
advertiser = "canary-payer"
destination = "https://shop.example/?click={gk_click_id}"
[[offer.event]]
code = "install"
revenue = "7.77"
payout = "1.20"
[[offer]]
network = "rival"
slug = "canary-levels"
type = "MultiEvent"
advertiser = "canary-rival"
destination = "https://shop.example/?click={gk_click_id}"
[[offer.event]]
code = "install"
revenue = "7.77"
payout = "1.20"

[[link]]
network = "acme"
offer = "levels"
partner = "app"
[[link]]
network = "acme"
offer = "quiet"
partner = "app"
[[link]]
network = "acme"
offer = "levels"
partner = "canary-other"
[[link]]
network = "acme"
offer = "canary-quiet"
partner = "canary-other"
[[link]]
network = "rival"
offer = "canary-levels"
partner = "canary-web"

[[postback]]
network = "acme"
partner = "app"
slug = "all"
url = "http://{partner}/postback/app?click={pub_click_id}"
[[postback]]
network = "acme"
partner = "canary-other"
slug = "all"
url = "http://{partner}/postback/canary-other?click={pub_click_id}"
[[postback]]
network = "rival"
partner = "canary-web"
slug = "all"
url = "http://{partner}/postback/canary-web?click={pub_click_id}"

[[user]]
network = "acme"
email = "owner@app.example"
role = "partner"
partner = "app"
[[user]]
network = "acme"
email = "member@app.example"
role = "partner"
partner = "app"
team_role = "member"
[[user]]
network = "acme"
email = "reader@app.example"
role = "partner"
partner = "app"
team_role = "read_only"
[[user]]
network = "acme"
email = "owner@canary-other.example"
role = "partner"
partner = "canary-other"
[[user]]
network = "rival"
email = "owner@canary-web.example"
role = "partner"
partner = "canary-web"
[[user]]
network = "acme"
email = "staff@canary-acme.example"
role = "owner"
[[user]]
network = "acme"
email = "payer@canary-payer.example"
role = "advertiser"
advertiser = "canary-payer"
"#;

/// Whose things there are.
const SIDES: [Side; 3] = [
    Side {
        host: "app.acme.test",
        link: "levels/app",
        offer: "quiet",
        token: "canary-token-0123456789abcdef",
        partner: "app",
        email: "owner@app.example",
    },
    Side {
        host: "app.acme.test",
        link: "levels/canary-other",
        offer: "canary-quiet",
        token: "canary-token-0123456789abcdef",
        partner: "canary-other",
        email: "owner@canary-other.example",
    },
    Side {
        host: "app.rival.test",
        link: "canary-levels/canary-web",
        offer: "canary-levels",
        token: "canary-rival-0123456789abcdef",
        partner: "canary-web",
        email: "owner@canary-web.example",
    },
];

/// A partner and where it is.
struct Side {
    host: &'static str,
    /// Whose visitors there are.
    link: &'static str,
    /// An offer that only this partner sees.
    offer: &'static str,
    token: &'static str,
    partner: &'static str,
    email: &'static str,
}

/// An id that nothing has.
const ABSENT: &str = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";

/// What a side's things are called in addresses.
#[derive(Debug, Clone)]
struct Ids {
    offer: String,
    postback: String,
    delivery: String,
    click: String,
    user: String,
    session: String,
}

impl Ids {
    fn absent() -> Self {
        let id = || ABSENT.to_owned();
        Self { offer: id(), postback: id(), delivery: id(), click: id(), user: id(), session: id() }
    }

    /// The value of a parameter. Every parameter of every route has one here.
    fn value(&self, parameter: &str) -> &str {
        match parameter {
            "offer" => &self.offer,
            "postback" => &self.postback,
            "delivery" => &self.delivery,
            "id" => &self.click,
            "user" => &self.user,
            "session" => &self.session,
            "token" => "sut_none",
            "file" => "none.css",
            other => panic!("no example of {{{other}}}: say here whose ids it takes"),
        }
    }

    /// The address of a route for these ids.
    fn path(&self, route: &Route) -> String {
        let parts = route.path.split('/').map(|part| {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            name.map_or_else(|| part.to_owned(), |name| self.value(name).to_owned())
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Nobody,
    ReadOnly,
    Member,
    Owner,
    OtherPartnersOwner,
    OtherNetworksOwner,
    Staff,
    Advertiser,
}

impl Role {
    const ALL: [Self; 8] = [
        Self::Nobody,
        Self::ReadOnly,
        Self::Member,
        Self::Owner,
        Self::OtherPartnersOwner,
        Self::OtherNetworksOwner,
        Self::Staff,
        Self::Advertiser,
    ];

    fn email(self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::ReadOnly => Some("reader@app.example"),
            Self::Member => Some("member@app.example"),
            Self::Owner => Some(SIDES[0].email),
            Self::OtherPartnersOwner => Some(SIDES[1].email),
            Self::OtherNetworksOwner => Some(SIDES[2].email),
            Self::Staff => Some("staff@canary-acme.example"),
            Self::Advertiser => Some("payer@canary-payer.example"),
        }
    }

    /// Which of [`SIDES`] is their own.
    fn side(self) -> usize {
        match self {
            Self::OtherPartnersOwner => 1,
            Self::OtherNetworksOwner => 2,
            _ => 0,
        }
    }

    /// What a rule lets them do.
    fn under(self, rule: Rule) -> Gets {
        let partner = |enough: bool| if enough { Gets::In } else { Gets::Refused };
        let owner = matches!(self, Self::Owner | Self::OtherPartnersOwner | Self::OtherNetworksOwner);
        #[expect(
            clippy::match_same_arms,
            reason = "one arm for each rule, so that a new one is not forgotten"
        )]
        match (rule, self) {
            (Rule::Public, _) => Gets::In,
            (Rule::Partner | Rule::PartnerMember | Rule::PartnerOwner, Self::Nobody) => Gets::LogIn,
            (Rule::Partner | Rule::PartnerMember | Rule::PartnerOwner, Self::Staff | Self::Advertiser) => {
                Gets::Refused
            }
            (Rule::Partner, _) => Gets::In,
            (Rule::PartnerMember, _) => partner(owner || self == Self::Member),
            (Rule::PartnerOwner, _) => partner(owner),
        }
    }
}

/// What somebody gets for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// The page, as far as what it is about is theirs.
    In,
    /// The way to the log-in.
    LogIn,
    /// 403, whatever it is about.
    Refused,
}

/// The world with a click, a conversion and a delivery of every side.
struct Stage<'e> {
    world: World<'e>,
    ids: Vec<Ids>,
    browsers: Vec<Browser>,
}

impl<'e> Stage<'e> {
    fn set(engine: &'e Engine) -> Self {
        let world = World::declared(engine, NETWORKS, &[]);
        let browsers = Role::ALL.map(|role| {
            let browser = Browser::new(&world).on(SIDES[role.side()].host);
            match role.email() {
                Some(email) => browser.logged_in(&world, email),
                None => browser,
            }
        });
        let clicks = SIDES.each_ref().map(|side| traffic(&world, side));
        eventually("every partner is told", AT_MOST, || world.waiting() == 0);
        let ids = SIDES.iter().zip(clicks).map(|(side, click)| ids(&world, side, click));
        Self { ids: ids.collect(), browsers: browsers.into(), world }
    }
}

fn get_of(world: &World<'_>, host: &str, target: &str) -> Answer {
    http::answer(http::client().get(format!("{}{target}", world.server().url())).header("host", host))
}

/// A click of a side, which converts.
fn traffic(world: &World<'_>, side: &Side) -> String {
    let path = format!("{}?pub_click_id=own-{}&pub_member_id=m-1", world.path(side.link), side.partner);
    let sent_on = get_of(world, side.host, &path);
    let (_, click) = sent_on.header("location").split_once("click=").unwrap_or_else(|| panic!("{sent_on:?}"));
    let report = format!("/postback?token={}&gk_click_id={click}&cnv_event_id=install", side.token);
    let answer = get_of(world, side.host, &report);
    assert_eq!(answer.status, 200, "{answer:?}");
    click.to_owned()
}

fn ids(world: &World<'_>, side: &Side, click: String) -> Ids {
    let one = |query: &str| {
        let rows = world.engine.sql(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        uuid::Uuid::parse_str(&rows[0][0]).unwrap().to_string()
    };
    let user = world.applied.id("user", side.email);
    let own = world.engine.id(&user);
    let postback = world.applied.id("postback", &format!("{}/all", side.partner));
    Ids {
        offer: world.applied.id("offer", side.offer),
        delivery: one(&format!(
            "select delivery_id from delivery where postback_id = {}",
            world.engine.id(&postback)
        )),
        session: one(&format!("select session_id from session where user_id = {own}")),
        postback,
        click,
        user,
    }
}

/// Everything of an answer that a stranger could learn from.
fn bytes(answer: &Answer) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    format!("{} {:?}\n{}", answer.status, headers.collect::<Vec<_>>(), answer.body)
}

fn ask(browser: &Browser, route: &Route, path: &str) -> Answer {
    match route.method {
        "GET" => browser.get(path),
        _ => browser.post(path, fields(route.path)),
    }
}

/// What a form with a parameter in its address needs to be read at all.
fn fields(path: &str) -> &'static [(&'static str, &'static str)] {
    match path {
        "/team/{user}/role" => &[("role", "member")],
        "/team/{user}/remove" => &[("email", "nobody@app.example")],
        _ => &[],
    }
}

/// Answers that go on and on are asked for only where they are refused.
fn goes_on(route: &Route) -> bool {
    route.path.ends_with("/live")
}

#[test]
fn every_route_keeps_to_its_rule_and_every_id_to_its_side() {
    for_each_engine(|engine| {
        let stage = Stage::set(engine);
        let mut wrong = Vec::new();
        for route in ROUTES.iter().filter(|route| route.rule != Rule::Public) {
            for (role, browser) in Role::ALL.into_iter().zip(&stage.browsers) {
                let found = wrongs(&stage, route, role, browser).into_iter();
                wrong
                    .extend(found.map(|what| format!("{} {} by {role:?}: {what}", route.method, route.path)));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        // A session is of one network.
        let elsewhere = Browser::new(&stage.world).on("app.rival.test");
        let stolen = http::client().get(format!("{}/team", stage.world.server().url()));
        let stolen = stolen.header("cookie", stage.browsers[3].cookies());
        assert_eq!(elsewhere.send(stolen).status, 303);
        stage.world.stop();
    });
}

/// What is wrong with the answers that a role gets at a route.
fn wrongs(stage: &Stage<'_>, route: &Route, role: Role, browser: &Browser) -> Vec<String> {
    let own = stage.ids[role.side()].path(route);
    let absent = Ids::absent().path(route);
    let others = (0..SIDES.len()).filter(|side| *side != role.side());
    let others: Vec<String> = others.map(|side| stage.ids[side].path(route)).collect();
    let mut wrong = Vec::new();
    let mut alike = |status: u16, first: &str, rest: &mut dyn Iterator<Item = &String>| {
        let wanted = ask(browser, route, first);
        if wanted.status != status {
            wrong.push(format!("{first} is {} instead of {status}", wanted.status));
        }
        for path in rest {
            let answer = ask(browser, route, path);
            if bytes(&answer) != bytes(&wanted) {
                wrong.push(format!("{path} is {} and differs from {first}", answer.status));
            }
        }
    };
    match role.under(route.rule) {
        Gets::LogIn => {
            let next = if route.method == "GET" { format!("?next={}", encoded(&own)) } else { String::new() };
            let answer = ask(browser, route, &own);
            let to = answer.header("location");
            if (answer.status, to) != (303, &format!("/login{next}")) || !answer.body.is_empty() {
                wrong.push(format!("{own} is {} to {to:?}", answer.status));
            }
        }
        Gets::Refused => alike(403, &absent, &mut others.iter().chain([&own])),
        Gets::In => {
            if own != absent {
                alike(404, &absent, &mut others.iter());
            }
            // What a form does that is taken is its own test's.
            if route.method == "GET" && !goes_on(route) {
                alike(200, &own, &mut std::iter::empty());
            }
        }
    }
    wrong
}

/// Addresses with more in their query than the routes themselves.
const MORE: [&str; 6] = [
    "/search?q=canary",
    "/search?q=levels",
    "/reports?range=today&by=offer",
    "/reports?range=today&by=event&by2=country",
    "/clicks?range=today",
    "/conversions?range=today",
];

#[test]
fn revenue_and_what_is_others_reach_no_partner_page() {
    for_each_engine(|engine| {
        let stage = Stage::set(engine);
        let secret = stage.world.applied.signing_secret("advertiser", "canary-payer");
        let pages = ROUTES.iter().filter(|route| route.method == "GET" && route.rule != Rule::Public);
        let paths = pages.filter(|route| !goes_on(route)).map(|route| stage.ids[0].path(route));
        let levels = Ids { offer: stage.world.applied.id("offer", "levels"), ..stage.ids[0].clone() };
        let offer = ROUTES.iter().filter(|route| route.method == "GET" && route.path.contains("{offer}"));
        let offer = offer.filter(|route| !goes_on(route)).map(|route| levels.path(route));
        let paths: Vec<String> = paths.chain(offer).chain(MORE.map(str::to_owned)).collect();
        let (mut seen, mut wrong) = (String::new(), Vec::new());
        for path in &paths {
            let answer = stage.browsers[3].get(path);
            // A zone of the earth, and what was looked for.
            let shown =
                answer.body.replace("Atlantic/Canary", "").replace("q=canary", "").replace("\"canary\"", "");
            for canary in ["7.77", "7,77", "7770000", "6.57", "evenue", "margin", "anary", &secret] {
                if let Some(at) = shown.find(canary) {
                    let near: String = shown[..at + canary.len()].chars().rev().take(120).collect();
                    wrong.push(format!("{path}: {}", near.chars().rev().collect::<String>()));
                }
            }
            seen.push_str(&shown);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        for own in ["1.20", "own-app", "levels", "install"] {
            assert!(seen.contains(own), "the pages have data: {own}");
        }
        stage.world.stop();
    });
}

#[test]
fn a_notice_has_the_colours_that_its_reader_chose() {
    let engine = Engine::sqlite();
    let stage = World::declared(&engine, NETWORKS, &[]);
    let shown = |cookie: &str, path: &str| {
        let url = format!("{}{path}", stage.server().url());
        let request = http::client().get(url).header("host", SIDES[0].host).header("cookie", cookie);
        http::answer(request)
    };
    for (cookie, theme) in [("theme=dark", "dark"), ("theme=light", "light"), ("a=b", "system")] {
        let absent = shown(cookie, "/invitation/none");
        assert_eq!(absent.status, 404);
        assert!(absent.body.contains(&format!("data-theme=\"{theme}\"")), "{cookie}: {}", absent.body);
        assert_eq!(absent.header("content-length"), absent.body.len().to_string());
        assert!(absent.header("content-security-policy").starts_with("default-src 'none'"));
    }
    stage.stop();
}
