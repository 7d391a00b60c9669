//! Two servers on one PostgreSQL: equal, and of one mind within moments.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testkit::http::{self, Answer};
use testkit::{Engine, Server, eventually};

use crate::PITLANE;
use crate::world::{TO_THIS_MACHINE, TOKEN, World, apply, click_id};

/// The product promises a second; a busy machine gets a few.
const SOON: Duration = Duration::from_secs(10);

/// A change of the network beyond the fixture's.
const MORE: &str = r#"
[[offer]]
slug = "new"
advertiser = "shop"
destination = "https://shop.example/new?click={gk_click_id}"
revenue = "1"
payout = "1"

[[link]]
offer = "new"
partner = "app"
"#;

fn visit(server: &Server, path: &str, member: &str) -> Answer {
    static CLICKS: AtomicUsize = AtomicUsize::new(0);
    let click = CLICKS.fetch_add(1, Ordering::Relaxed);
    http::get(&format!("{}{path}?pub_click_id=c{click}&pub_member_id={member}", server.url()))
}

fn verdict(server: &Server, path: &str, member: &str) -> String {
    visit(server, path, member).header("x-click-verdict").to_owned()
}

#[test]
fn a_change_of_the_network_reaches_every_server() {
    let engine = Engine::postgres();
    let world = World::start(&engine);
    let second = PITLANE.serve(&engine, &TO_THIS_MACHINE);
    let servers = [world.server(), &second];
    let added = apply(&engine, &format!("{}{MORE}", world.declaration()), &[]);
    let path = format!("/api/v1/offer-link/redirect/{}", added.id("link", "new/app"));
    for server in servers {
        eventually("a new link works", SOON, || verdict(server, &path, "m1") == "ok");
    }
    let paused = format!("{}{MORE}", world.declaration())
        .replace("slug = \"new\"", "slug = \"new\"\nstatus = \"Paused\"");
    apply(&engine, &paused, &[]);
    for server in servers {
        eventually("a paused offer is closed", SOON, || verdict(server, &path, "m1") == "offer_not_active");
    }
    let moved = format!("{}{MORE}", world.declaration())
        .replace("shop.example/new?", "moved.example/?")
        .replace("slug = \"new\"", "slug = \"new\"\nstatus = \"Active\"");
    apply(&engine, &moved, &[]);
    for server in servers {
        eventually("a new destination is used", SOON, || {
            visit(server, &path, "m1").header("location").starts_with("https://moved.example/?click=")
        });
    }
    second.stop();
    world.stop();
}

#[test]
fn what_one_server_recorded_every_server_knows() {
    let engine = Engine::postgres();
    let world = World::start(&engine);
    let second = PITLANE.serve(&engine, &TO_THIS_MACHINE);
    let flat = world.path("flat/app");
    // A click of one server is reported to the other at once: the record is one.
    let click = click_id(&visit(&second, &flat, "m1"));
    let first = world.report(&format!("gk_click_id={click}"));
    assert_eq!(first.code(), "recorded");
    let copy = http::get(&format!("{}/postback?token={TOKEN}&gk_click_id={click}", second.url()));
    assert_eq!((copy.code().as_str(), &copy.json()["data"]), ("duplicate", &first.json()["data"]));
    for server in [world.server(), &second] {
        let known = || verdict(server, &flat, "m1") == "member_already_completed";
        eventually("the member's completion is known", SOON, known);
    }
    let reversed =
        http::get(&format!("{}/postback?token={TOKEN}&gk_click_id={click}&cnv_status=3", second.url()));
    assert_eq!(reversed.code(), "updated");
    for server in [world.server(), &second] {
        eventually("the place is free again", SOON, || verdict(server, &flat, "m1") == "ok");
    }
    second.stop();
    world.stop();
}
