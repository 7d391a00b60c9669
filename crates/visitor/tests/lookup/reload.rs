use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use domain::visitor::Agent;
use serde_json::json;
use visitor::{Lookup, Reloaded, Sources};

use crate::folder::{Folder, mmdb};

fn places(country: &str) -> Vec<u8> {
    mmdb("Test", 1_795_000_000, &[("192.0.2.0/24", json!({ "country": country }))])
}

fn country(lookup: &Lookup) -> Option<String> {
    lookup.whereabouts("192.0.2.1".parse().unwrap()).country.map(|country| country.code().to_owned())
}

fn named(folder: &Folder, content: &[u8]) -> Lookup {
    let place_file = Some(folder.write("places.mmdb", content));
    Lookup::load(Sources { place_file, ..Sources::default() }).unwrap()
}

fn read(reloaded: &[Reloaded]) -> Vec<&Path> {
    let paths = reloaded.iter().map(|reloaded| match reloaded {
        Reloaded::Read { path } => path.as_path(),
        Reloaded::Kept { error, .. } => panic!("{error}"),
    });
    paths.collect()
}

fn kept(reloaded: &[Reloaded]) -> String {
    match reloaded {
        [Reloaded::Kept { .. }] => reloaded[0].to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_replaced_file_is_read_again_once() {
    let folder = Folder::new();
    let lookup = named(&folder, &places("DE"));
    assert!(lookup.reload_if_changed().is_empty());
    let path = folder.write("places.mmdb", places("AT"));
    assert_eq!(country(&lookup).as_deref(), Some("DE"), "nothing is read behind the back");
    let reloaded = lookup.reload_if_changed();
    assert_eq!(read(&reloaded), [path.as_path()]);
    assert_eq!(reloaded[0].to_string(), format!("{} was read again", path.display()));
    assert_eq!(country(&lookup).as_deref(), Some("AT"));
    assert!(lookup.reload_if_changed().is_empty());
}

#[test]
fn a_file_that_is_written_over_is_read_again() {
    let folder = Folder::new();
    let lookup = named(&folder, &places("DE"));
    let path = folder.file("places.mmdb");
    let bytes = fs::metadata(&path).unwrap().len();
    fs::write(&path, places("AT")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), bytes, "only the time tells");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(UNIX_EPOCH + Duration::from_secs(7))
        .unwrap();
    assert_eq!(read(&lookup.reload_if_changed()).len(), 1);
    assert_eq!(country(&lookup).as_deref(), Some("AT"));
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_once() {
    let folder = Folder::new();
    let lookup = named(&folder, &places("DE"));
    let whole = places("AT");
    for broken in [&whole[..whole.len() - 40], b"<html>too many downloads</html>", b""] {
        let path = folder.write("places.mmdb", broken);
        let told = kept(&lookup.reload_if_changed());
        assert!(told.starts_with(path.to_str().unwrap()), "{told}");
        assert!(told.ends_with("; what was read before still counts"), "{told}");
        assert!(lookup.reload_if_changed().is_empty(), "told twice");
        assert_eq!(country(&lookup).as_deref(), Some("DE"));
    }
    folder.write("places.mmdb", &whole);
    assert_eq!(read(&lookup.reload_if_changed()).len(), 1);
    assert_eq!(country(&lookup).as_deref(), Some("AT"));
}

#[test]
fn a_vanished_file_changes_nothing_and_may_come_back() {
    let folder = Folder::new();
    let lookup = named(&folder, &places("DE"));
    let path = folder.file("places.mmdb");
    fs::remove_file(&path).unwrap();
    let told = kept(&lookup.reload_if_changed());
    assert!(told.starts_with(&format!("cannot read {}: ", path.display())), "{told}");
    assert!(lookup.reload_if_changed().is_empty(), "told twice");
    assert_eq!(country(&lookup).as_deref(), Some("DE"));
    folder.write("places.mmdb", places("AT"));
    assert_eq!(read(&lookup.reload_if_changed()).len(), 1);
    assert_eq!(country(&lookup).as_deref(), Some("AT"));
}

#[test]
fn files_of_tor_that_are_installed_later_are_found() {
    let folder = Folder::new();
    let tor_folder = Some(folder.path().to_owned());
    let lookup = Lookup::load(Sources { tor_folder, ..Sources::default() }).unwrap();
    assert!(lookup.reload_if_changed().is_empty());
    let path = folder.write("geoip", "3221225984,3221226239,SE\n");
    assert_eq!(read(&lookup.reload_if_changed()), [path.as_path()]);
    assert_eq!(country(&lookup).as_deref(), Some("SE"));
}

#[test]
fn one_broken_file_does_not_keep_the_other_from_being_read() {
    let folder = Folder::new();
    let place_file = Some(folder.write("places.mmdb", places("DE")));
    let bot_ranges_file = Some(folder.write("bots", "198.51.100.0/24\n"));
    let lookup = Lookup::load(Sources { place_file, bot_ranges_file, tor_folder: None }).unwrap();
    folder.write("places.mmdb", "broken");
    let bots = folder.write("bots", "203.0.113.0/24\n");
    let reloaded = lookup.reload_if_changed();
    assert_eq!(reloaded.len(), 2);
    kept(&reloaded[..1]);
    assert_eq!(read(&reloaded[1..]), [bots.as_path()]);
    let is_bot = |address: &str| lookup.is_bot(address.parse().unwrap(), &Agent::default());
    assert!(is_bot("203.0.113.9") && !is_bot("198.51.100.9"));
}
