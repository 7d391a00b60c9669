use std::net::IpAddr;

use domain::time::Timestamp;
use domain::visitor::Whereabouts;
use serde_json::{Value, json};
use visitor::{Error, Lookup, Sources};

use crate::folder::{Folder, mmdb};

const BUILT_SECONDS: u64 = 1_795_000_000;

fn load(bytes: &[u8]) -> (Folder, Result<Lookup, Error>) {
    let folder = Folder::new();
    let place_file = Some(folder.write("places.mmdb", bytes));
    let lookup = Lookup::load(Sources { place_file, ..Sources::default() });
    (folder, lookup)
}

fn places(records: &[(&str, Value)]) -> (Folder, Lookup) {
    let (folder, lookup) = load(&mmdb("Test", BUILT_SECONDS, records));
    (folder, lookup.unwrap())
}

/// `DE`, `DE-BY`, or nothing.
fn at(lookup: &Lookup, address: &str) -> String {
    let Whereabouts { country, region } = lookup.whereabouts(address.parse::<IpAddr>().unwrap());
    let country = country.map(|country| country.code().to_owned()).unwrap_or_default();
    region.map_or(country.clone(), |region| format!("{country}-{region}"))
}

#[test]
fn the_layouts_of_all_makers_are_read() {
    let names = json!({ "en": "Germany" });
    let cases = [
        ("GeoIP2 country", json!({ "country": { "iso_code": "DE", "names": names }, "continent": {} }), "DE"),
        (
            "GeoIP2 city",
            json!({
                "city": { "names": { "en": "Munich" } },
                "country": { "geoname_id": 2_921_044, "iso_code": "DE" },
                "registered_country": { "iso_code": "NL" },
                "subdivisions": [{ "iso_code": "BY" }, { "iso_code": "09" }],
            }),
            "DE-BY",
        ),
        ("registered only", json!({ "registered_country": { "iso_code": "NL" } }), "NL"),
        (
            "DB-IP",
            json!({ "country": { "iso_code": "FR" }, "subdivisions": [{ "names": { "en": "Île" } }] }),
            "FR",
        ),
        ("IPinfo", json!({ "country": "JP", "region": "Tokyo" }), "JP"),
        ("IPinfo lite", json!({ "country": "Chad", "country_code": "TD" }), "TD"),
        (
            "IPinfo with regions",
            json!({ "country_code": "US", "region": "Ohio", "region_code": "OH" }),
            "US-OH",
        ),
        ("a small letter", json!({ "country": { "iso_code": "at" } }), "AT"),
        ("no such country", json!({ "country": { "iso_code": "ZZ" } }), ""),
        ("another kind of record", json!({ "autonomous_system_number": 64_512 }), ""),
        ("a country that is no text", json!({ "country": 49 }), ""),
        ("a region that is a sentence", json!({ "country": "US", "region_code": "somewhere" }), "US"),
    ];
    for (name, record, expected) in cases {
        let known = ("198.51.100.0/24", json!({ "country": "CH" }));
        let (_folder, lookup) = places(&[("192.0.2.0/24", record), known]);
        assert_eq!(at(&lookup, "192.0.2.77"), expected, "{name}");
        assert_eq!(at(&lookup, "198.51.100.1"), "CH", "{name}");
    }
}

#[test]
fn an_address_is_where_its_range_is() {
    let (_folder, lookup) = places(&[
        ("192.0.2.0/25", json!({ "country": "DE" })),
        ("192.0.2.128/25", json!({ "country": "AT" })),
        ("2001:db8::/32", json!({ "country": "SE" })),
    ]);
    let cases = [
        ("192.0.2.127", "DE"),
        ("192.0.2.128", "AT"),
        ("192.0.3.0", ""),
        ("::ffff:192.0.2.1", "DE"),
        ("2001:db8::1", "SE"),
        ("2001:db9::1", ""),
        ("::1", ""),
        ("127.0.0.1", ""),
    ];
    for (address, expected) in cases {
        assert_eq!(at(&lookup, address), expected, "{address}");
    }
}

#[test]
fn a_file_that_cannot_serve_stops_the_start_and_is_named() {
    let whole = mmdb("Test", BUILT_SECONDS, &[("192.0.2.0/24", json!({ "country": "DE" }))]);
    let asn = mmdb("ASN", BUILT_SECONDS, &[("192.0.2.0/24", json!({ "autonomous_system_number": 1 }))]);
    let cases: [(&[u8], &str); 4] = [
        (b"", "is not a whole MaxMind DB file"),
        (b"192.0.2.0,192.0.2.255,DE\n", "is not a whole MaxMind DB file"),
        (&whole[..whole.len() / 2], "is not a whole MaxMind DB file"),
        (&asn, "names no country; take a file of countries or cities"),
    ];
    for (bytes, expected) in cases {
        let (folder, lookup) = load(bytes);
        let error = lookup.err().unwrap().to_string();
        assert!(error.starts_with(folder.file("places.mmdb").to_str().unwrap()), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let absent = Sources { place_file: Some("/nowhere/places.mmdb".into()), ..Sources::default() };
    let error = Lookup::load(absent).err().unwrap().to_string();
    assert!(error.starts_with("cannot read /nowhere/places.mmdb: "), "{error}");
}

const V4: &str = "# Location Database Export\n#\n# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n#\n\
    16777216,16777471,AU\n16777472,16778239,CN\n3221225984,3221226239,??\n3221226240,3221226495,DE\n";
const V6: &str = "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n\
    2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,SE\n2001:db8:1::,2001:db8:1::5,NO\n";

fn tor(files: &[(&str, &str)]) -> (Folder, Result<Lookup, Error>) {
    let folder = Folder::new();
    for (name, text) in files {
        folder.write(name, text);
    }
    let lookup = Lookup::load(Sources { tor_folder: Some(folder.path().to_owned()), ..Sources::default() });
    (folder, lookup)
}

#[test]
fn the_files_of_tor_are_read() {
    let (_folder, lookup) = tor(&[("geoip", V4), ("geoip6", V6)]);
    let lookup = lookup.unwrap();
    let cases = [
        ("0.255.255.255", ""),
        ("1.0.0.0", "AU"),
        ("1.0.0.255", "AU"),
        ("1.0.1.0", "CN"),
        ("1.0.4.0", ""),
        ("192.0.2.9", ""),
        ("192.0.3.255", "DE"),
        ("192.0.4.0", ""),
        ("::ffff:192.0.3.1", "DE"),
        ("255.255.255.255", ""),
        ("2001:db8:0:1::1", "SE"),
        ("2001:db8:1::5", "NO"),
        ("2001:db8:1::6", ""),
        ("::", ""),
    ];
    for (address, expected) in cases {
        assert_eq!(at(&lookup, address), expected, "{address}");
    }
}

#[test]
fn lines_that_are_not_understood_are_passed_over_unless_all_are() {
    let text = "\n1,2\nx,y,DE\n16777216,16777471,AU,more\r\n\u{fffd}\n5,4,DE\n16777472,16777473,CN\r\n";
    let (_folder, lookup) = tor(&[("geoip", text)]);
    let lookup = lookup.unwrap();
    assert_eq!([at(&lookup, "1.0.0.1"), at(&lookup, "1.0.1.0"), at(&lookup, "0.0.0.5")], ["AU", "CN", ""]);
    let (folder, lookup) = tor(&[("geoip", "# nothing\n")]);
    let error = lookup.err().unwrap().to_string();
    assert!(error.starts_with(folder.file("geoip").to_str().unwrap()), "{error}");
}

#[test]
fn either_file_of_tor_may_be_absent_and_both() {
    for (files, v4, v6) in
        [(&[("geoip", V4)][..], "AU", ""), (&[("geoip6", V6)][..], "", "SE"), (&[], "", "")]
    {
        let (_folder, lookup) = tor(files);
        let lookup = lookup.unwrap();
        assert_eq!((at(&lookup, "1.0.0.1").as_str(), at(&lookup, "2001:db8::1").as_str()), (v4, v6));
        let about = lookup.about(Timestamp::from_ms(0));
        assert_eq!((about.places.len(), about.knows_countries()), (files.len(), !files.is_empty()));
    }
}

#[test]
fn a_named_file_answers_alone() {
    let folder = Folder::new();
    folder.write("geoip", V4);
    let place_file = mmdb("Test", BUILT_SECONDS, &[("192.0.2.0/24", json!({ "country": "DE" }))]);
    let place_file = Some(folder.write("places.mmdb", place_file));
    let tor_folder = Some(folder.path().to_owned());
    let lookup = Lookup::load(Sources { place_file, tor_folder, ..Sources::default() }).unwrap();
    assert_eq!([at(&lookup, "192.0.2.1"), at(&lookup, "1.0.0.1")], ["DE", ""]);
}

#[test]
fn it_is_told_which_source_answers_and_how_old_it_is() {
    let now = Timestamp::from_ms(1_795_000_000_000 + 5 * 86_400_000 + 3 * 3_600_000);
    let (folder, lookup) = places(&[("192.0.2.0/24", json!({ "country": "DE" }))]);
    let about = lookup.about(now);
    let path = folder.file("places.mmdb").display().to_string();
    assert_eq!(about.to_string(), format!("countries from {path} (Test, of 2026-11-18, 5 d 3 h old)"));
    assert_eq!(about.places_age_ms(), Some(5 * 86_400_000 + 3 * 3_600_000));

    let (folder, lookup) = tor(&[("geoip", V4), ("geoip6", V6)]);
    let folder = folder.path().display();
    let expected = format!(
        "countries from {folder}/geoip (Tor, 3 ranges, of 2026-06-25, 151 d 9 h old) and {folder}/geoip6 \
         (Tor, 2 ranges, of 2026-06-25, 151 d 9 h old)"
    );
    assert_eq!(lookup.unwrap().about(now).to_string(), expected);

    let none = Lookup::load(Sources::default()).unwrap().about(now);
    assert_eq!(
        none.to_string(),
        "no countries from addresses: name a file by `place_file`, or install tor-geoipdb"
    );
    assert!(!none.knows_countries());
}
