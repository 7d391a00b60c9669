//! Clicks as they are stored, read and written beside the product.

use domain::click::{Click, Facts, Marks, Texts, Verdict};
use domain::id::{ClickId, LinkId};
use testkit::Engine;
use uuid::Uuid;

/// The columns of a click beside its id, for copies.
pub(crate) const COLUMNS: &str =
    "link_id, verdict, marks, pub_click_id, pub_member_id, facts, agent_hash, destination_hash";

/// The stored clicks that `which` names: what follows `from click k`.
pub(crate) fn clicks(engine: &Engine, which: &str) -> Vec<Click> {
    let rows = engine.sql(&format!(
        "select k.click_id, k.link_id, k.verdict, k.marks, k.pub_click_id, k.pub_member_id, k.facts,
             (select text from click_text where text_hash = k.agent_hash),
             (select text from click_text where text_hash = k.destination_hash)
         from click k {which}"
    ));
    rows.iter().map(|row| click(row)).collect()
}

fn click(row: &[String]) -> Click {
    let given = |at: usize| (row[at] != "NULL").then(|| row[at].clone());
    let id = |at: usize| Uuid::parse_str(&row[at]).unwrap();
    let mut click = Click {
        id: ClickId(id(0)),
        link: LinkId(id(1)),
        verdict: Verdict::from_number(row[2].parse().unwrap()).unwrap(),
        marks: Marks(row[3].parse().unwrap()),
        pub_click_id: given(4),
        pub_member_id: given(5),
        facts: Facts::default(),
    };
    let (agent, skeleton) = (given(7), given(8));
    let texts = Texts { agent: agent.as_deref(), skeleton: skeleton.as_deref() };
    click.facts = Facts::unpack(&bytes(&row[6]), &click.keys(), texts).unwrap();
    click
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
