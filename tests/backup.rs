//! Backup and restore, at the command line, with a server that goes on.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::{Engine, Folder, Ran, for_each_engine};

use crate::PITLANE;
use crate::world::{TOKEN, World, conversion_id};

/// A backup of this engine, made now.
#[track_caller]
fn back_up(engine: &Engine, file: &str) -> Ran {
    PITLANE.run_on(engine, &["backup", file]).ok()
}

#[track_caller]
fn restored(engine: Engine, file: &str) -> Engine {
    PITLANE.run_on(&engine, &["restore", file]).ok();
    engine
}

/// Says only what differs: the whole content fills pages.
#[track_caller]
fn assert_equal(engine: &Engine, wanted: &[String], from: &str) {
    let (found, wanted): (BTreeSet<_>, BTreeSet<_>) =
        (engine.content().into_iter().collect(), wanted.iter().cloned().collect());
    let more: Vec<&String> = found.difference(&wanted).collect();
    let less: Vec<&String> = wanted.difference(&found).collect();
    assert!(
        more.is_empty() && less.is_empty(),
        "from {from} to {}: more {more:#?}, less {less:#?}",
        engine.name()
    );
}

/// Clicks, conversions and refusals, so that every table of the traffic has rows.
fn some_traffic(world: &World<'_>) {
    for member in ["m-1", "m-2", "ünï-3"] {
        let click = world.click("flat", member);
        assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "duplicate");
    }
    let click = world.click("share", "m-4");
    assert_eq!(world.report(&format!("gk_click_id={click}&cnv_amount=19.99")).code(), "recorded");
    assert_eq!(world.report("gk_click_id=nonsense").code(), "click_id_malformed");
    world.visit("flat/app", "pub_click_id=%7Bx%7D&pub_member_id=m");
    world.received();
}

#[test]
fn a_backup_restored_into_either_engine_is_equal() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        some_traffic(&world);
        world.stop();
        let folder = Folder::new();
        let file = folder.join("all.backup");
        let told = back_up(engine, &file).stdout;
        let content = engine.content();
        for table in
            ["click", "conversion", "conversion_change", "inbound", "delivery", "delivery_attempt", "link"]
        {
            assert!(content.iter().any(|line| line.starts_with(&format!("{table}: "))), "no row in {table}");
        }
        let bytes = std::fs::metadata(&file).unwrap();
        assert_eq!(bytes.permissions().mode() & 0o777, 0o600, "it holds secrets");
        let wanted = format!(" backed up into {file}: ");
        assert!(
            told.contains(&wanted) && told.contains(&format!(" rows, {} bytes, ", bytes.len())),
            "{told}"
        );
        for other in [Engine::sqlite(), Engine::postgres()] {
            let other = restored(other, &file);
            assert_equal(&other, &content, engine.name());
        }
    });
}

#[test]
fn a_restored_network_goes_on_where_it_stopped() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let click = world.click("flat", "m-1");
        let first = conversion_id(&world.report(&format!("gk_click_id={click}")));
        world.received();
        let path = world.path("flat/app");
        let folder = Folder::new();
        let file = folder.join("all.backup");
        back_up(engine, &file);
        world.stop();
        for other in [Engine::sqlite(), Engine::postgres()] {
            let other = restored(other, &file);
            let server = PITLANE.serve(&other, &[]);
            let report = format!("{}/postback?token={TOKEN}&gk_click_id={click}", server.url());
            let again = testkit::http::get(&report);
            assert_eq!((again.code(), conversion_id(&again)), ("duplicate".to_owned(), first.clone()));
            let visit = format!("{}{path}?pub_click_id=c-9&pub_member_id=m-1", server.url());
            assert_eq!(testkit::http::get(&visit).header("x-click-verdict"), "member_already_completed");
            server.stop();
        }
    });
}

#[test]
fn a_backup_under_load_holds_everything_acknowledged_before_it_and_nothing_half() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let (before, after) = (100, AtomicBool::new(false));
        let convert = |member: &str| {
            let click = world.click("flat", member);
            conversion_id(&world.report(&format!("gk_click_id={click}"))).replace('-', "")
        };
        let acknowledged: BTreeSet<String> = (0..before).map(|n| convert(&format!("before-{n}"))).collect();
        let folder = Folder::new();
        let file = folder.join("all.backup");
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut sent = 0;
                while !after.load(Ordering::Relaxed) {
                    convert(&format!("during-{sent}"));
                    sent += 1;
                }
                sent
            });
            back_up(engine, &file);
            after.store(true, Ordering::Relaxed);
            assert!(load.join().unwrap() > 0);
        });
        let copy = restored(Engine::sqlite(), &file);
        let kept: BTreeSet<String> =
            copy.sql("select conversion_id from conversion").into_iter().map(|row| row[0].clone()).collect();
        assert!(
            acknowledged.is_subset(&kept),
            "{} of {before} are missing",
            acknowledged.difference(&kept).count()
        );
        // One conversion is one transaction: the copy has all of it or nothing.
        for orphan in [
            "conversion c where not exists (select 1 from click k where k.click_id = c.click_id)",
            "conversion c where not exists (select 1 from delivery d where d.conversion_id = c.conversion_id)",
            "delivery d where not exists (select 1 from conversion c where c.conversion_id = d.conversion_id)",
            "conversion c where not exists \
             (select 1 from conversion_change h where h.conversion_id = c.conversion_id)",
        ] {
            assert_eq!(copy.count(&format!("select count(*) from {orphan}")), 0, "{orphan}");
        }
        world.stop();
    });
}

#[track_caller]
fn refused(ran: &Ran, wanted: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    for part in wanted {
        assert!(ran.stderr.contains(part), "no {part:?} in {ran:?}");
    }
}

#[test]
fn nothing_is_ever_overwritten() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        world.click("flat", "m-1");
        world.stop();
        let folder = Folder::new();
        let taken = folder.file("taken", "mine");
        refused(&PITLANE.run_on(engine, &["backup", &taken]), &["taken already exists"]);
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
        let file = folder.join("all.backup");
        back_up(engine, &file);
        let content = engine.content();
        let refusal = match engine {
            Engine::Sqlite(_) => "pitlane.db already exists",
            Engine::Postgres { .. } => "the target already has a table ",
        };
        refused(
            &PITLANE.run_on(engine, &["restore", &file]),
            &[refusal, "\n  next: name a new folder with --data"],
        );
        assert_equal(engine, &content, "itself");
    });
}

#[test]
fn a_damaged_or_foreign_file_is_refused_and_changes_nothing() {
    let engine = Engine::sqlite();
    PITLANE.serve(&engine, &[]).stop();
    let folder = Folder::new();
    let file = folder.join("all.backup");
    back_up(&engine, &file);
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (name, bytes) in
        [("flipped", flipped), ("cut", whole[..whole.len() - 1].to_vec()), ("empty", Vec::new())]
    {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        let target = Engine::sqlite();
        let ran = PITLANE.run_on(&target, &["restore", &path]);
        refused(&ran, &["is not an intact backup", "\n  next: take another backup"]);
        PITLANE.run_on(&target, &["restore", &file]).ok();
    }
    let absent = folder.join("absent");
    refused(&PITLANE.run_on(&engine, &["restore", &absent]), &[&absent, "\n  next: "]);
}

#[test]
fn a_backup_of_no_database_is_refused_and_makes_none() {
    let folder = Folder::new();
    let (data, file) = (folder.join("data"), folder.join("all.backup"));
    refused(
        &PITLANE.run(&["backup", &file, "--data", &data]),
        &["there is no database in ", "\n  next: name its"],
    );
    assert!(!std::path::Path::new(&data).exists() && !std::path::Path::new(&file).exists());
}
