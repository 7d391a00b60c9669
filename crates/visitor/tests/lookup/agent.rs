use std::sync::Arc;

use domain::visitor::Agent;
use visitor::{Lookup, Sources};

const PEOPLE: &str = include_str!("people.tsv");
const BOTS: &str = include_str!("bots.txt");

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/142.0.0.0 Safari/537.36";

fn lookup() -> Lookup {
    Lookup::load(Sources::default()).unwrap()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// What a line of the list of people says, `-` for nothing.
fn told(agent: &Agent) -> [String; 3] {
    let device = agent.device.map_or("", |device| device.code());
    [device, &agent.os, &agent.browser].map(|word| if word.is_empty() { "-" } else { word }.to_owned())
}

#[test]
fn people_are_read_and_are_no_bots() {
    let lookup = lookup();
    assert!(lines(PEOPLE).count() > 25);
    for line in lines(PEOPLE) {
        let [device, os, browser, text] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let agent = lookup.agent(text);
        assert_eq!(told(&agent), [device, os, browser], "{text}");
        assert!(!agent.bot, "{text}");
    }
}

#[test]
fn bots_say_so() {
    let lookup = lookup();
    assert!(lines(BOTS).count() > 50);
    let missed: Vec<_> = lines(BOTS).filter(|text| !lookup.agent(text).bot).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn an_agent_is_read_once_however_long_it_is() {
    let lookup = lookup();
    let long = format!("{CHROME} {}", "é".repeat(50_000));
    let first = lookup.agent(&long);
    assert_eq!((first.os.as_str(), first.browser.as_str(), first.bot), ("Windows", "Chrome", false));
    assert!(Arc::ptr_eq(&first, &lookup.agent(&long)));
    // What stands behind the part that is read makes no other agent of it.
    assert!(Arc::ptr_eq(&first, &lookup.agent(&format!("{long} Googlebot/2.1"))));
}

#[test]
fn a_name_is_bounded() {
    let text = format!("Mozilla/5.0 ({}Bot/1.0)", "Very Long Names Are Cut Somewhere ".repeat(9));
    let agent = lookup().agent(&text);
    assert!(agent.bot && agent.browser.len() <= 64 && agent.os.len() <= 64, "{agent:?}");
}
