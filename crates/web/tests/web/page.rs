//! Everything beside clicks and postbacks.

use std::io;
use std::sync::Arc;

use crate::site::Site;
use web::Limits;

#[tokio::test]
async fn every_page_keeps_itself_to_itself() {
    let site = Site::start().await;
    for target in ["/", "/healthz", "/readyz", "/metrics", "/nothing", "/postback"] {
        let answer = site.get(target).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{target}");
        assert_eq!(answer.header("cache-control"), "no-store", "{target}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{target}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_to_programs_and_people() {
    let site = Site::start().await;
    let program = site.get("/nothing").await;
    assert_eq!((program.status, program.code()), (404, "not_found".to_owned()));
    let person = site.ask("GET", "/nothing", &[("Accept", "text/html")], "").await;
    assert_eq!((person.status, person.header("content-type")), (404, "text/html; charset=utf-8"));
    let wrong = site.ask("DELETE", "/healthz", &[], "").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD"));
    assert_eq!(wrong.code(), "method_not_allowed");
}

#[tokio::test]
async fn a_server_that_can_work_is_ready() {
    let site = Site::start().await;
    assert_eq!(site.get("/healthz").await.body, "ok\n");
    let answer = site.get("/readyz").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let checks = answer.json()["checks"].as_array().unwrap().clone();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["database", "disk", "queue", "catalog"]);
}

/// The checks that fail.
async fn failing(site: &Site) -> Vec<String> {
    let answer = site.get("/readyz").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    assert_eq!(site.get("/healthz").await.status, 200);
    let checks = answer.json()["checks"].as_array().unwrap().clone();
    let failed = checks.iter().filter(|check| check["ok"] == false);
    failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_keeps_a_server_from_its_work_is_named() {
    let full = Site::with(Limits::default(), |app| app.settings.free_bytes = Arc::new(|| Ok(1 << 20))).await;
    assert_eq!(failing(&full).await, ["disk"]);
    let gone = Site::with(Limits::default(), |app| {
        app.settings.free_bytes = Arc::new(|| Err(io::ErrorKind::NotFound.into()));
    });
    assert_eq!(failing(&gone.await).await, ["disk"]);
    let empty = Site::with(Limits::default(), |app| app.live = Arc::default()).await;
    assert_eq!(failing(&empty).await, ["catalog"]);
    let closed = Site::start().await;
    closed.db.close().await;
    assert_eq!(failing(&closed).await, ["database"]);
}

#[tokio::test]
async fn metrics_are_served_unless_switched_off() {
    let on = Site::start().await.get("/metrics").await;
    assert_eq!((on.status, on.body.as_str()), (200, "rendered 1\n"));
    assert!(on.header("content-type").starts_with("text/plain"));
    let off = Site::with(Limits::default(), |app| app.metrics = None).await;
    assert_eq!(off.get("/metrics").await.status, 404);
}
