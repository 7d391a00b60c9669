//! Logging in, and the browser with which every test of the portal looks at pages.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use testkit::http::{self, Answer};
use testkit::{Engine, for_each_engine};

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
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    /// A browser without cookies.
    pub(crate) fn new(world: &World<'_>) -> Self {
        Self { base: world.server().url().to_owned(), host: None, cookies: Mutex::default() }
    }

    /// The same on another host of the server.
    pub(crate) fn on(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
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
        self.send(request.header("sec-fetch-site", "same-origin").header("origin", &self.base))
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
