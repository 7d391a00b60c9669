use domain::time::Timestamp;
use domain::visitor::Agent;
use visitor::{Error, Lookup, Sources};

use crate::folder::Folder;

fn ranges(text: &str) -> (Folder, Result<Lookup, Error>) {
    let folder = Folder::new();
    let bot_ranges_file = Some(folder.write("bots", text));
    let lookup = Lookup::load(Sources { bot_ranges_file, ..Sources::default() });
    (folder, lookup)
}

#[test]
fn an_address_in_the_operators_ranges_is_a_bots() {
    let text = "# data centres\n\n198.51.100.0/25   # one\n192.0.2.7\n198.51.100.64/26\n2001:db8::/48\r\n\
        ::ffff:203.0.113.0/120\n::/128\n";
    let (_folder, lookup) = ranges(text);
    let lookup = lookup.unwrap();
    let cases = [
        ("198.51.99.255", false),
        ("198.51.100.0", true),
        ("198.51.100.127", true),
        ("198.51.100.128", false),
        ("192.0.2.6", false),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("::ffff:192.0.2.7", true),
        ("203.0.112.255", false),
        ("203.0.113.255", true),
        ("::ffff:203.0.113.1", true),
        ("2001:db8:0:ffff::1", true),
        ("2001:db8:1::", false),
        ("::", true),
        ("::1", false),
        ("0.0.0.0", false),
    ];
    for (address, expected) in cases {
        assert_eq!(lookup.is_bot(address.parse().unwrap(), &Agent::default()), expected, "{address}");
    }
    let own_word = Agent { bot: true, ..Agent::default() };
    assert!(lookup.is_bot("127.0.0.1".parse().unwrap(), &own_word));
    let about = lookup.about(Timestamp::from_ms(0));
    assert_eq!(about.bot_ranges.as_ref().unwrap().ranges, Some(5), "overlapping ones are one");
    assert!(about.to_string().contains("; bots' addresses from "), "{about}");
}

#[test]
fn a_line_that_is_no_range_is_told_by_its_number() {
    for (text, line, shown) in [
        ("198.51.100.0/33\n", 1, "198.51.100.0/33"),
        ("# one\n\n192.0.2.0/24 192.0.3.0/24\n", 3, "192.0.2.0/24 192.0.3.0/24"),
        ("example.com # not an address\n", 1, "example.com"),
    ] {
        let (folder, lookup) = ranges(text);
        let path = folder.file("bots").display().to_string();
        assert_eq!(
            lookup.err().unwrap().to_string(),
            format!("{path}:{line}: `{shown}` is not an address range; write it like 192.0.2.0/24")
        );
    }
}

#[test]
fn an_empty_list_names_nobody() {
    let (_folder, lookup) = ranges("# none yet\n");
    assert!(!lookup.unwrap().is_bot("192.0.2.1".parse().unwrap(), &Agent::default()));
}
