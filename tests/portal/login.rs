//! Logging in, and the browser with which every test of the portal looks at pages.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use testkit::http::{self, Answer};
use testkit::{Engine, for_each_engine};

use crate::PITLANE;
use crate::world::World;

/// Three users of the partner `app`, one of each role.
pub(crate) const USERS: &str = r#"
[[user]]
email = "owner@app.example"
role = "partner"
partner = "app"
[[user]]
email = "member@app.example"
role = "partner"
partner = "app"
team_role = "member"
[[user]]
email = "reader@app.example"
role = "partner"
partner = "app"
team_role = "read_only"
"#;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "a horse in the rain";

/// The usual network with [`USERS`].
pub(crate) fn start(engine: &Engine) -> World<'_> {
    start_with(engine, "")
}

/// The same and more of a declaration.
pub(crate) fn start_with<'e>(engine: &'e Engine, more: &str) -> World<'e> {
    World::with(engine, &format!("{USERS}{more}"), &[])
}

/// A browser without JavaScript: it keeps cookies, and follows no redirect, so that tests see each.
pub(crate) struct Browser {
    base: String,
    /// The host that it asks for, when that is not the server's address.
    host: Option<String>,
    /// What it says that it is.
    agent: &'static str,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// A browser without cookies.
    pub(crate) fn new(world: &World<'_>) -> Self {
        Self { base: world.server().url().to_owned(), host: None, agent: "a test", cookies: Mutex::default() }
    }

    /// The same on another host of the server.
    pub(crate) fn on(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// The same with another name of itself.
    pub(crate) fn called(mut self, agent: &'static str) -> Self {
        self.agent = agent;
        self
    }

    /// Somebody's, logged in; the first time by their invitation.
    #[track_caller]
    pub(crate) fn log_in(world: &World<'_>, email: &str) -> Self {
        Self::new(world).logged_in(world, email)
    }

    /// Logs in, the first time by the invitation.
    #[track_caller]
    pub(crate) fn logged_in(self, world: &World<'_>, email: &str) -> Self {
        let invitation = format!("/invitation/{}", world.applied.setup_token(email));
        let answer = if self.get(&invitation).status == 200 {
            self.post(&invitation, &[("password", PASSWORD)])
        } else {
            self.post("/login", &[("email", email), ("password", PASSWORD)])
        };
        assert_eq!((answer.status, answer.header("location")), (303, "/home"), "{answer:?}");
        self
    }

    /// `GET` of a path with its query.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send(http::client().get(format!("{}{target}", self.base)))
    }

    /// A page that is there: its text.
    #[track_caller]
    pub(crate) fn page(&self, target: &str) -> String {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer.body
    }

    /// Sends a form as a browser does from a page of the same site.
    #[track_caller]
    pub(crate) fn post(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let request = http::client().post(format!("{}{target}", self.base)).form(fields);
        let origin = self.host.as_ref().map_or_else(|| self.base.clone(), |host| format!("https://{host}"));
        self.send(request.header("sec-fetch-site", "same-origin").header("origin", origin))
    }

    /// Sends a form that is taken, and gives the address that it leads to.
    #[track_caller]
    pub(crate) fn submit(&self, target: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(target, fields);
        assert_eq!(answer.status, 303, "{target}: {answer:?}");
        answer.header("location").to_owned()
    }

    /// Sends any request with the cookies, and keeps those of the answer.
    #[track_caller]
    pub(crate) fn send(&self, request: http::RequestBuilder) -> Answer {
        let cookies = self.cookies();
        let request = request.header("user-agent", self.agent);
        let request = if cookies.is_empty() { request } else { request.header("cookie", cookies) };
        let request = match &self.host {
            Some(host) => request.header("host", host),
            None => request,
        };
        let answer = http::answer(request);
        self.keep(&answer);
        answer
    }

    /// The cookies as it sends them.
    pub(crate) fn cookies(&self) -> String {
        let kept = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, answer: &Answer) {
        let mut kept = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in answer.headers.get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

#[test]
fn an_invitation_sets_a_password_once_and_the_password_opens_the_portal() {
    for_each_engine(|engine| {
        let world = start(engine);
        let stranger = Browser::new(&world);
        let invitation = format!("/invitation/{}", world.applied.setup_token("owner@app.example"));
        assert!(stranger.page(&invitation).contains("owner@app.example"));
        let short = stranger.post(&invitation, &[("password", "short")]);
        assert_eq!(short.status, 422);
        assert!(short.body.contains("at least 10 characters"), "{short:?}");
        assert_eq!(stranger.submit(&invitation, &[("password", PASSWORD)]), "/home");
        assert!(!stranger.cookies().is_empty());
        let again = Browser::new(&world);
        assert_eq!(again.get(&invitation).status, 404);
        assert_eq!(again.post(&invitation, &[("password", "another one of it")]).status, 404);

        let wrong = |email: &str, password: &str| {
            let answer = again.post("/login", &[("email", email), ("password", password)]);
            (answer.status, answer.body.replace(email, "E-MAIL"))
        };
        let refused = wrong("owner@app.example", "not the password");
        assert!(refused.0 == 200 && refused.1.contains("E-mail or password is wrong"), "{refused:?}");
        assert_eq!(wrong("nobody@app.example", PASSWORD), refused, "nobody has this address");
        assert_eq!(wrong("member@app.example", PASSWORD), refused, "has no password yet");
        assert_eq!(again.cookies(), "");
        let given = [("email", " Owner@APP.example "), ("password", PASSWORD), ("next", "/team?x=1")];
        assert_eq!(again.submit("/login", &given), "/team?x=1");
        let cookie = again.cookies();
        assert_eq!(again.submit("/login", &given), "/team?x=1");
        assert_ne!(again.cookies(), cookie, "a fresh token with every log-in");
        world.stop();
    });
}

#[test]
fn a_session_is_kept_to_its_host_ends_and_no_other_site_can_use_it() {
    for_each_engine(|engine| {
        let world = start(engine);
        let browser = Browser::new(&world).on("app.acme.test");
        let email = "owner@app.example";
        let invitation = format!("/invitation/{}", world.applied.setup_token(email));
        let answer = browser.post(&invitation, &[("password", PASSWORD)]);
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with("__Host-pitlane="), "{cookie}");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        assert_eq!(browser.get("/profile").status, 200);

        let forged = |name: &str, value: &str| {
            let request = http::client().post(format!("{}/profile", browser.base));
            browser
                .send(request.header(name, value).form(&[
                    ("zone", "Asia/Tokyo"),
                    ("numbers", "space_point"),
                    ("dates", "iso"),
                ]))
                .status
        };
        assert_eq!(forged("sec-fetch-site", "cross-site"), 403);
        assert_eq!(forged("sec-fetch-site", "same-site"), 403);
        assert_eq!(forged("origin", "https://evil.example"), 403);
        assert_eq!(world.count("app_user where zone is not null"), 0);

        let here = browser.cookies();
        let over = |what: &str| {
            engine.execute(&format!("update session set {what}"));
            browser.get("/profile").status
        };
        assert_eq!(over("seen_ms = seen_ms - 86400000"), 303, "a day without use");
        assert_eq!(over("seen_ms = created_ms"), 200);
        assert_eq!(over("expires_ms = created_ms + 1"), 303, "thirty days");
        assert_eq!(over("expires_ms = created_ms + 2592000000"), 200);
        assert_eq!(browser.submit("/logout", &[]), "/login?said=bye");
        assert_eq!(browser.cookies(), "");
        let stolen = http::client().get(format!("{}/profile", browser.base)).header("cookie", here);
        assert_eq!(
            http::answer(stolen.header("host", "app.acme.test")).status,
            303,
            "the server forgot it too"
        );

        let plain = http::client().post(format!("{}/login", browser.base)).header("host", "app.acme.test");
        let plain =
            plain.header("origin", "http://app.acme.test").form(&[("email", email), ("password", PASSWORD)]);
        let plain = http::answer(plain);
        assert!(plain.status == 400 && plain.body.contains("by https"), "{plain:?}");
        world.stop();
    });
}

#[test]
fn guessing_is_stopped_and_does_not_lock_the_owner_out() {
    for_each_engine(|engine| {
        let world = World::with(engine, USERS, &["--trusted-proxies", "127.0.0.1/32"]);
        let email = "owner@app.example";
        let from = |browser: &Browser, address: &str, target: &str, password: &str| {
            let request = http::client().post(format!("{}{target}", browser.base));
            let request = request.header("x-forwarded-for", address).header("sec-fetch-site", "same-origin");
            browser.send(request.form(&[("email", email), ("password", password)])).status
        };
        let own = Browser::new(&world);
        let invitation = format!("/invitation/{}", world.applied.setup_token(email));
        assert_eq!(from(&own, "198.51.100.7", &invitation, PASSWORD), 303);
        let guess = |number: u32| {
            from(&Browser::new(&world), &format!("192.0.2.{number}"), "/login", &format!("guess {number}"))
        };
        assert!((0..10).all(|number| guess(number) == 200));
        assert_eq!(guess(10), 429, "whatever the address");
        assert_eq!(from(&Browser::new(&world), "198.51.100.7", "/login", PASSWORD), 303, "a known address");
        world.stop();
    });
}

#[test]
fn a_forgotten_password_is_noted_and_a_link_of_the_staff_ends_the_old_one() {
    for_each_engine(|engine| {
        let world = start(engine);
        let (email, stranger) = ("owner@app.example", Browser::new(&world));
        let old = Browser::log_in(&world, email);
        let asks = |email: &str| {
            let answer = stranger.post("/forgotten", &[("email", email)]);
            (answer.status, answer.body)
        };
        assert_eq!(asks(email), asks("nobody@app.example"), "whoever it is");
        assert_eq!(asks(email).0, 200);
        let waiting = PITLANE.run_on(engine, &["user", "list", "--json"]).ok().json();
        assert_eq!(
            (&waiting[0]["email"], &waiting[1]["waits_since"]),
            (&email.into(), &serde_json::Value::Null)
        );
        assert!(waiting[0]["waits_since"].is_string(), "{waiting}");

        let args = ["user", "reset", "Owner@app.example", "--json"];
        let made = PITLANE.run_on(engine, &args).ok().json();
        let link = made["link"].as_str().unwrap();
        let path = &link[link.find("/reset/").unwrap()..];
        assert_eq!(old.get("/profile").status, 200, "until the link is used");
        assert_eq!(stranger.submit(path, &[("password", "a new horse in the rain")]), "/home");
        assert_eq!((stranger.get("/profile").status, old.get("/profile").status), (200, 303));
        let waits = "app_user where email = 'owner@app.example' and (forgot_ms is not null or invite_hash is not null)";
        assert_eq!(world.count(waits), 0);
        let nobody = PITLANE.run_on(engine, &["user", "reset", "nobody@app.example"]);
        assert_eq!(nobody.code, Some(2), "{nobody:?}");
        world.stop();
    });
}

#[test]
fn the_front_page_names_nobody() {
    for_each_engine(|engine| {
        let world = start(engine);
        let front = Browser::new(&world).get("/");
        assert_eq!(front.status, 200, "{front:?}");
        assert!(
            front.body.contains("href=\"/login\"") && !front.body.to_lowercase().contains("acme"),
            "{front:?}"
        );
        world.stop();
    });
}
