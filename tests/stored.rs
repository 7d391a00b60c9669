//! Clicks as they are stored, read and written beside the product.

use domain::click::{Click, Facts, Marks, Texts, Verdict};
use domain::id::{ClickId, LinkId};
use testkit::{Engine, eventually, for_each_engine, http};
use uuid::Uuid;

use crate::PITLANE;
use crate::world::{AT_MOST, World, apply};

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

/// An offer whose destination has something of everybody: of the network, of the partner and of the visitor.
const MANY: &str = r#"
[[offer]]
slug = "many"
name = "Größe & more"
advertiser = "shop"
destination = """https://shop.example/old?click={gk_click_id}&o={gk_offer_name}&p={gk_partner_id}\
    &s={pub_sub_1}&u={user_agent}&r={random}&t={timestamp}"""
fallback_url = "https://fallback.example/ended"
revenue = "1"
payout = "1"
status = "Active"
[[link]]
offer = "many"
partner = "app"
"#;

impl World<'_> {
    /// Somebody comes to the offer `many`: the click that is stored, which must tell where the visitor was sent.
    fn comes(&self, member: &str, agent: &str) -> Click {
        let url = format!("{}{}", self.server().url(), self.path("many/app"));
        let query = format!("pub_click_id=c-{member}&pub_member_id={member}&pub_sub_1=s%26{member}%20%C3%BC");
        let answer = http::answer(http::client().get(format!("{url}?{query}")).header("user-agent", agent));
        let click = clicks(self.engine, "order by k.click_id desc limit 1").remove(0);
        assert_eq!(answer.header("location"), click.facts.destination);
        assert_eq!(click.facts.user_agent, agent);
        click
    }

    /// Whether the newest click names its user agent, and the skeleton of its destination.
    fn names(&self) -> [bool; 2] {
        let row = &self
            .engine
            .sql("select agent_hash, destination_hash from click order by click_id desc limit 1")[0];
        [row[0] != "NULL", row[1] != "NULL"]
    }
}

#[test]
fn a_click_tells_where_it_went_whatever_it_names_and_whatever_changes_later() {
    for_each_engine(|engine| {
        let world = World::with(engine, MANY, &[]);
        let mut all: Vec<Click> =
            (0..8).map(|n| world.comes(&format!("m{n}"), "Usual-Browser/1.0")).collect();
        assert_eq!(world.names(), [false, true], "what the network says is stored before the first click");
        eventually("the user agent of eight members is stored", AT_MOST, || {
            world.count("click_text where text = 'Usual-Browser/1.0'") == 1
        });
        eventually("clicks name it", AT_MOST, || {
            all.push(world.comes("m8", "Usual-Browser/1.0"));
            world.names() == [true, true]
        });
        all.push(world.comes("m9", "Rare-Browser/1.0"));
        assert_eq!(world.names(), [false, true]);
        // The offer goes elsewhere, then ends.
        let changed = world.declaration().replace("/old?", "/new?");
        apply(engine, &changed, &[]);
        eventually("clicks go elsewhere", AT_MOST, || {
            all.push(world.comes("m10", "Usual-Browser/1.0"));
            all[all.len() - 1].facts.destination.contains("/new?")
        });
        eventually("by a skeleton that is stored", AT_MOST, || {
            all.push(world.comes("m10", "Usual-Browser/1.0"));
            world.names() == [true, true]
        });
        let (before, behind) = changed.split_at(changed.find("slug = \"many\"").unwrap());
        apply(engine, &format!("{before}{}", behind.replacen("\"Active\"", "\"Expired\"", 1)), &[]);
        eventually("clicks go to the fallback", AT_MOST, || {
            all.push(world.comes("m11", "Usual-Browser/1.0"));
            all[all.len() - 1].facts.destination.contains("fallback")
        });
        assert_eq!(world.names(), [true, true]);
        // What is shared has nothing of a visitor, and every click tells what it told at first.
        let shared = "click_text where text like '%m8%' or text like '%s&%' or text like '%Rare%'";
        assert_eq!(world.count(shared), 0);
        assert_eq!(clicks(engine, "order by k.click_id"), all);
        let why = PITLANE.run_on(engine, &["why", &all[0].id.to_string(), "--json"]).ok();
        assert!(why.stdout.contains(&all[0].facts.destination), "{why:?}");
        world.stop();
    });
}
