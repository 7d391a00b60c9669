//! The product's own schema and statements: every statement runs on every engine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use store::{Db, Options, Statement};

use crate::world::{World, on_each_engine};

/// A statement that no schema takes: the check must find it.
static WRONG: Statement =
    Statement::new("test.wrong", "select payout_macros from conversion where offer_id = ?1");

fn open(world: &World) -> Db {
    Db::open(&world.target, &Options::default(), store::schema::MIGRATIONS, &store::click::LOG).unwrap()
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    on_each_engine(async |world| {
        let db = open(world);
        let failed = db.prepare_all(&store::schema::statements()).await.unwrap();
        assert!(failed.is_empty(), "{failed:#?}");
        let failed = db.prepare_all(&[&WRONG]).await.unwrap();
        assert_eq!(failed.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["test.wrong"]);
        db.close().await;
    })
    .await;
}

/// The names after each `Statement::new(` in the modules that hold the product's SQL.
fn written() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let of_the_engine = ["db.rs", "statement.rs", "migrate.rs", "inbox.rs", "engine"];
    let nouns = entries(&sources).into_iter().filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !of_the_engine.contains(&name)
    });
    // A noun may have a folder for its parts.
    let nouns = nouns.flat_map(|path| if path.is_dir() { entries(&path) } else { vec![path] });
    let texts = nouns.map(|path| std::fs::read_to_string(path).unwrap());
    texts.flat_map(|text| names(&text)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn names(text: &str) -> Vec<String> {
    let behind = text.split("Statement::new(").skip(1);
    behind.map(|rest| rest.split('"').nth(1).unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_statement_is_registered_under_a_name_of_its_own() {
    let registered = store::schema::statements();
    let names: BTreeSet<String> = registered.iter().map(|statement| statement.name.to_owned()).collect();
    assert_eq!(names.len(), registered.len(), "two statements share a name, or one stands there twice");
    assert_eq!(names, written());
}
