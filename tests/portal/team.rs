//! The team: owners invite, change roles and remove; nobody else does, and a team keeps an owner.

use testkit::for_each_engine;

use super::login::PASSWORD;
use super::{Browser, start};

/// The path behind the host in the one-time link that a page shows.
fn link(page: &str) -> String {
    let (_, rest) = page.split_once("/invitation/").unwrap_or_else(|| panic!("no link in {page}"));
    let token: String =
        rest.chars().take_while(|char| char.is_ascii_alphanumeric() || "-_".contains(*char)).collect();
    format!("/invitation/{token}")
}

#[test]
fn owners_run_the_team_and_it_keeps_one() {
    for_each_engine(|engine| {
        let world = start(engine);
        let owner = Browser::log_in(&world, "owner@app.example");
        let user = |email: &str| world.applied.id("user", email);
        let form = [("email", " New@App.example"), ("role", "member")];
        let shown = owner.post("/team/invite", &form);
        assert_eq!(shown.status, 200, "{shown:?}");
        assert!(shown.body.contains("new@app.example"), "{shown:?}");
        let again = owner.post("/team/invite", &form);
        assert_eq!(again.status, 422, "{again:?}");
        assert!(again.body.contains("cannot be invited") && again.body.contains(" New@App.example"));

        let new = Browser::new(&world);
        assert_eq!(new.submit(&link(&shown.body), &[("password", PASSWORD)]), "/home");
        let page = new.page("/team");
        assert!(page.contains("reader@app.example") && !page.contains("/team/invite"), "{page}");
        assert_eq!(new.post("/team/invite", &[("email", "x@app.example"), ("role", "owner")]).status, 403);

        // A new link, and with it a new password; who was logged in by the old one no longer is.
        let id = engine.sql("select user_id from app_user where email = 'new@app.example'")[0][0].clone();
        let id = uuid::Uuid::parse_str(&id).unwrap().to_string();
        let renewed = link(&owner.post(&format!("/team/{id}/link"), &[]).body);
        let other = Browser::new(&world);
        assert_eq!(other.submit(&renewed, &[("password", "another horse in the rain")]), "/home");
        assert_eq!(new.get("/team").status, 303);

        assert_eq!(owner.submit(&format!("/team/{id}/role"), &[("role", "read_only")]), "/team?said=role");
        assert!(other.page("/profile").contains("Read-only"), "it holds at once");
        let typed = owner.post(&format!("/team/{id}/remove"), &[("email", "someone@app.example")]);
        assert_eq!(typed.status, 422, "{typed:?}");
        let removed = owner.submit(&format!("/team/{id}/remove"), &[("email", "new@app.example")]);
        assert_eq!((removed.as_str(), other.get("/team").status), ("/team?said=removed", 303));
        assert_eq!(world.count("app_user where email = 'new@app.example'"), 0);

        let own = user("owner@app.example");
        assert_eq!(owner.submit(&format!("/team/{own}/role"), &[("role", "member")]), "/team?said=last");
        let gone = owner.submit(&format!("/team/{own}/remove"), &[("email", "owner@app.example")]);
        assert_eq!(gone, "/team?said=last");
        let member = user("member@app.example");
        assert_eq!(owner.submit(&format!("/team/{member}/role"), &[("role", "owner")]), "/team?said=role");
        assert_eq!(owner.submit(&format!("/team/{own}/role"), &[("role", "member")]), "/team?said=role");
        assert_eq!(owner.post(&format!("/team/{own}/role"), &[("role", "owner")]).status, 403);

        let events =
            engine.sql("select change from audit where actor = 'owner@app.example'").concat().join(" ");
        for event in ["invited", "new one-time link", "role changed", "removed", "log-in"] {
            assert!(events.contains(event), "{event} in {events}");
        }
        assert!(!events.contains("sut_"));
        world.stop();
    });
}
