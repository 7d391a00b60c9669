//! Clicks as they are stored: whatever goes in comes out to the byte, and what is no click is said to be none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use domain::advertiser::{Advertiser, Proof};
use domain::click::{
    Click, Decision, Destination, DestinationMacro, Facts, Hit, Keys, Marks, Packed, Shared, Skeleton, Texts,
    Verdict,
};
use domain::id::{AdvertiserId, ClickId, LinkId, NetworkId, OfferId, PartnerId};
use domain::link::{Link, LinkApproval};
use domain::money::Rate;
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Offer, OfferStatus, Results, Rules, Terms};
use domain::partner::{Partner, PartnerStatus};
use domain::sequence::Order;
use domain::time::DAY_MS;
use domain::visit::{Param, Visit};
use domain::visitor::{Agent, Country, Device, Visitor, Whereabouts};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use uuid::Uuid;

const CLICK: ClickId = ClickId(Uuid::from_u128(0x0198_f1c2_7a3b_7c4d_8e5f_a1b2_c3d4_e5f6));
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 14; SM-A546B) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/128.0.6613.127 Mobile Safari/537.36";

fn link(destination: &str) -> Link {
    let network = NetworkId(Uuid::from_u128(1));
    let terms = Terms {
        revenue: Rate::Flat(2),
        payout: Rate::Flat(1),
        reward_points: 0,
        approval: Approval::Automatic,
        pending_days: 0,
        repeats: false,
        caps: Vec::new(),
        order: Order::default(),
    };
    let advertiser = Advertiser {
        id: AdvertiserId(Uuid::from_u128(3)),
        network,
        slug: "a".into(),
        name: "A".into(),
        proof: Proof::Token,
        allowed_addresses: Vec::new(),
    };
    let offer = Offer {
        id: OfferId(Uuid::from_u128(2)),
        network: Arc::new(Network {
            id: network,
            label: "acme".into(),
            name: "Acme".into(),
            currency: "USD".parse().unwrap(),
            zone: "UTC".into(),
            fallback_url: None,
        }),
        advertiser: Arc::new(advertiser),
        slug: "o".into(),
        name: "Größe {1} & more".into(),
        categories: Vec::new(),
        status: OfferStatus::Active,
        launches: None,
        expires: None,
        currency: "USD".parse().unwrap(),
        conversion_kind: ConversionKind::FlatRate,
        results: Results::Single(terms),
        destination: Destination::stored(destination).unwrap(),
        fallback_url: Some("https://fallback.example/{none}?x=}".into()),
        attribution_window_ms: 30 * DAY_MS,
        rules: Rules::default(),
        changes: Vec::new(),
    };
    let partner = Partner {
        id: PartnerId(Uuid::from_u128(5)),
        network,
        slug: "app".into(),
        name: "App".into(),
        status: PartnerStatus::Active,
    };
    Link {
        id: LinkId(Uuid::from_u128(4)),
        offer: Arc::new(offer),
        partner: Arc::new(partner),
        approval: LinkApproval::Approved,
    }
}

/// A click of somebody who brings these values, sent on or to the fallback.
fn click(link: &Link, values: &[(Param, &str)], agent: &str, random: u64, verdict: Verdict) -> Click {
    let pair =
        |(param, value): &(Param, &str)| format!("{param}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    let query = values.iter().map(pair).collect::<Vec<_>>().join("&");
    let visit = Visit::read(&query);
    assert_eq!(visit.fault(), None, "{query}");
    let whereabouts = Whereabouts { country: "DE".parse().ok(), region: None };
    let seen = Agent {
        os: "Android".into(),
        browser: "Chrome Mobile".into(),
        device: Some(Device::Android),
        bot: false,
    };
    let visitor = Visitor {
        visit: &visit,
        address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77)),
        whereabouts: &whereabouts,
        agent: &seen,
        languages: "",
        now: CLICK.at(),
        trusts_partner: false,
    };
    let hit = Hit { id: CLICK, link, visitor: &visitor, user_agent: agent, random, marks: Marks::default() };
    hit.decided(Decision::new(verdict, ""))
}

/// Reads a packed click with the texts that stand elsewhere.
fn unpacked(click: &Click, packed: &Packed, skeleton: &Skeleton) -> Facts {
    let texts = Texts {
        agent: packed.agent.map(|_| click.facts.user_agent.as_str()),
        skeleton: packed.skeleton.map(|_| skeleton.text()),
    };
    Facts::unpack(&packed.facts, &click.keys(), texts).unwrap()
}

const USUAL: [(Param, &str); 4] = [
    (Param::ClickId, "c-0198f1c27a3b"),
    (Param::MemberId, "m 47/11"),
    (Param::Sub1, "wall-17"),
    (Param::Sub2, "slot-3"),
];

#[test]
fn a_usual_click_has_few_bytes_of_its_own() {
    let link = link("https://shop.example/?c={gk_click_id}&p={gk_partner_id}&s={pub_sub_1}&u={user_agent}");
    let skeleton = Skeleton::of(&link).unwrap();
    let click = click(&link, &USUAL, ANDROID, 5, Verdict::Ok);
    let packed = click.pack(Shared { agent: Some(3), skeleton: Some((4, &skeleton)) });
    assert_eq!((packed.agent, packed.skeleton), (Some(3), Some(4)));
    assert_eq!(packed.facts.len(), 12 + "wall-17".len() + "slot-3".len() + 4);
    assert_eq!(unpacked(&click, &packed, &skeleton), click.facts);
    let own = Facts::unpack_own(&packed.facts).unwrap();
    assert_eq!(own, Facts { user_agent: String::new(), destination: String::new(), ..click.facts });
}

#[test]
fn every_macro_is_left_out_of_a_destination_and_comes_back() {
    let values: Vec<(Param, String)> =
        Param::ALL.iter().map(|param| (*param, format!("7ö&{param}"))).collect();
    let values: Vec<(Param, &str)> = values.iter().map(|(param, value)| (*param, value.as_str())).collect();
    for name in DestinationMacro::ALL {
        let link = link(&format!("https://shop.example/x{{{name}}}y?z={{{name}}}}}"));
        let skeleton = Skeleton::of(&link).unwrap();
        for random in [0, 7, u64::MAX] {
            let click = click(&link, &values, ANDROID, random, Verdict::Ok);
            let packed = click.pack(Shared { agent: None, skeleton: Some((4, &skeleton)) });
            assert_eq!(packed.skeleton, Some(4), "{name} in {}", click.facts.destination);
            assert_eq!(unpacked(&click, &packed, &skeleton), click.facts, "{name}");
        }
    }
}

#[test]
fn a_skeleton_has_what_the_network_says_and_nothing_of_a_visitor() {
    let all: Vec<String> = DestinationMacro::ALL.iter().map(|name| format!("{{{name}}}")).collect();
    let link = link(&format!("https://Shop.example/ü?{}", all.join("&")));
    let skeleton = Skeleton::of(&link).unwrap();
    let ours = ["{gk_offer_id}", "{gk_offer_name}", "{gk_partner_id}", "{gk_network}"];
    for name in &all {
        assert_eq!(skeleton.text().contains(name.as_str()), !ours.contains(&name.as_str()), "{name}");
    }
    assert!(skeleton.text().starts_with("https://shop.example/%C3%BC?{gk_click_id}&00000000-0000-0000"));
    assert!(skeleton.text().contains("&Gr%C3%B6%C3%9Fe%20%7B1%7D%20%26%20more&"));
    assert!(skeleton.text().contains("&acme&"));
    assert_eq!(Skeleton::parse(skeleton.text()).unwrap(), skeleton);
}

#[test]
fn a_destination_that_does_not_follow_is_stored_as_it_is() {
    let link = link("https://shop.example/?c={gk_click_id}&r={random}");
    let skeleton = Skeleton::of(&link).unwrap();
    let sent = click(&link, &USUAL, ANDROID, 5, Verdict::Ok);
    let other = Skeleton::parse("https://shop.example/?c={gk_click_id}").unwrap();
    for destination in ["https://shop.example/?c=", "https://shop.example/?c={gk_click_id}&r=05", "x"] {
        let mut odd = sent.clone();
        odd.facts.destination = destination.replace("{gk_click_id}", &CLICK.to_string());
        for skeleton in [&skeleton, &other] {
            let packed = odd.pack(Shared { agent: None, skeleton: Some((4, skeleton)) });
            assert_eq!((packed.skeleton, unpacked(&odd, &packed, skeleton)), (None, odd.facts.clone()));
        }
    }
    // To a fallback, by the fallback; `{none}` is no macro, so this one is no skeleton.
    assert_eq!(Skeleton::of_fallback(&link), None);
    let fallen = click(&link, &USUAL, ANDROID, 5, Verdict::OfferExpired);
    let packed = fallen.pack(Shared { agent: None, skeleton: Some((4, &skeleton)) });
    assert_eq!((packed.skeleton, unpacked(&fallen, &packed, &skeleton)), (None, fallen.facts.clone()));
    let fallback = Skeleton::parse("https://fallback.example/").unwrap();
    let mut fallen = fallen;
    fallen.facts.destination = fallback.text().to_owned();
    let packed = fallen.pack(Shared { agent: None, skeleton: Some((4, &fallback)) });
    assert_eq!((packed.skeleton, unpacked(&fallen, &packed, &fallback)), (Some(4), fallen.facts.clone()));
}

#[test]
fn texts_that_are_missing_or_too_many_are_damage() {
    let link = link("https://shop.example/?c={gk_click_id}");
    let skeleton = Skeleton::of(&link).unwrap();
    let click = click(&link, &USUAL, ANDROID, 5, Verdict::Ok);
    let (own, shared) = (
        click.pack(Shared::default()),
        click.pack(Shared { agent: Some(1), skeleton: Some((2, &skeleton)) }),
    );
    let texts = [None, Some("x")].map(|agent| [None, Some("x")].map(|skeleton| Texts { agent, skeleton }));
    for texts in texts.into_iter().flatten() {
        let unpack = |packed: &Packed| Facts::unpack(&packed.facts, &click.keys(), texts);
        assert_eq!(unpack(&own).is_ok(), texts.agent.is_none() && texts.skeleton.is_none());
        assert_eq!(unpack(&shared).is_ok(), texts.agent.is_some() && texts.skeleton.is_some());
    }
}

#[test]
fn a_stored_number_is_for_ever() {
    let params: Vec<&str> = (0..=u8::MAX).map_while(Param::from_number).map(Param::code).collect();
    assert_eq!(
        (params[0], params[1], params[2], params[16]),
        ("pub_click_id", "pub_member_id", "pub_sub_1", "pub_sub_15")
    );
    let behind = ["session_id", "gender", "age", "geo_country", "geo_state", "postal_code", "device"]
        .map(|name| format!("pub_{name}"));
    assert_eq!(params[17..], behind);
    // Device, system and browser in a click that was stored by the first version of this format.
    let stored = [1, 0b0111_0101, 0, 192, 0, 2, 1, b'D', b'E', 3, 5, 0, 1, b'b', 2, 1, b's'];
    let facts = Facts {
        address: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        country: "DE".parse().ok(),
        device: Some(Device::Browser),
        os: "Linux".into(),
        browser: "b".into(),
        parameters: vec![(Param::Sub1, "s".into())],
        ..Facts::default()
    };
    assert_eq!(Facts::unpack_own(&stored), Ok(facts));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "",
        "\\PC{0,20}",
        "[\\x00-\\x7f]{0,200}",
        Just("Chrome Mobile".to_owned()),
        Just("iOS".to_owned())
    ]
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let address = prop_oneof![
        Just(None),
        any::<[u8; 4]>().prop_map(|bytes| Some(IpAddr::V4(bytes.into()))),
        any::<[u8; 16]>().prop_map(|bytes| Some(IpAddr::V6(Ipv6Addr::from(bytes)))),
    ];
    let countries: Vec<Option<Country>> = ["", "DE", "us", "276"].map(|text| text.parse().ok()).into();
    let devices: Vec<Option<Device>> = Device::ALL.iter().copied().map(Some).chain([None]).collect();
    let place = (prop::sample::select(countries), prop::option::of(texts()), prop::sample::select(devices));
    let said = (texts(), texts(), texts(), texts(), texts(), texts());
    let parameters = prop::collection::vec((prop::sample::select(Param::ALL), texts()), 0..8);
    (address, place, said, parameters).prop_map(|(address, place, said, parameters)| Facts {
        address,
        user_agent: said.0,
        country: place.0,
        region: place.1,
        device: place.2,
        os: said.1,
        browser: said.2,
        languages: said.3,
        destination: said.4,
        message: said.5,
        parameters,
    })
}

fn templates() -> impl Strategy<Value = String> {
    let names: Vec<&str> = DestinationMacro::ALL.iter().map(|name| name.code()).collect();
    let text =
        prop::sample::select(vec!["", "/", "/p/", "?q=", "&x=", "#f", "/../", ";", "}", "1", "-", "%7B"]);
    let part = (text, prop::sample::select(names));
    prop::collection::vec(part, 0..8).prop_map(|parts| {
        parts
            .iter()
            .fold("https://shop.example/".to_owned(), |all, (text, name)| format!("{all}{text}{{{name}}}"))
    })
}

/// Values that partners send, with digits, which may run into a random number beside them.
fn values() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof!["[0-9]{0,5}", "[ -~]{0,12}", "[a-zäöü€{}%]{0,12}"], Param::COUNT)
}

proptest! {
    #[test]
    fn any_facts_come_out_as_they_went_in(facts in any_facts(), agent in prop::option::of(any::<i64>())) {
        let keys = Keys { click: CLICK, pub_click_id: None, pub_member_id: None };
        let packed = facts.pack(&keys, Shared { agent, skeleton: None });
        let texts = Texts { agent: packed.agent.map(|_| facts.user_agent.as_str()), skeleton: None };
        prop_assert_eq!(Facts::unpack(&packed.facts, &keys, texts), Ok(facts.clone()));
        // What is cut short is not taken for something else, and neither is a later version.
        for end in 0..packed.facts.len() {
            let cut = Facts::unpack_own(&packed.facts[..end]);
            prop_assert_ne!(cut, Ok(facts.clone()));
        }
        let mut later = packed.facts;
        later[0] += 1;
        prop_assert!(Facts::unpack_own(&later).is_err());
    }

    #[test]
    fn any_destination_comes_out_to_the_byte(
        template in templates(), values in values(), agent in texts(), random in prop_oneof![any::<u64>(), 0..20_u64],
    ) {
        let link = link(&template);
        let skeleton = Skeleton::of(&link).unwrap();
        let values: Vec<(Param, &str)> =
            Param::ALL.iter().zip(&values).map(|(param, value)| (*param, value.as_str())).collect();
        let click = click(&link, &values, &agent, random, Verdict::Ok);
        let packed = click.pack(Shared { agent: Some(3), skeleton: Some((4, &skeleton)) });
        prop_assert_eq!(unpacked(&click, &packed, &skeleton), click.facts.clone());
        // Only a random number with digits behind it cannot be told from them.
        prop_assert!(packed.skeleton.is_some() || template.contains("random"), "{}", click.facts.destination);
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..80), agent in prop::option::of(texts()),
        skeleton in prop::option::of("[a-z{}]{0,10}(\\{gk_click_id\\}|\\{random\\}|\\{pub_sub_3\\})?"),
        fields in 0..1_u16 << 14,
    ) {
        let keys = Keys { click: CLICK, pub_click_id: None, pub_member_id: None };
        let texts = Texts { agent: agent.as_deref(), skeleton: skeleton.as_deref() };
        let likely = [&[1][..], &fields.to_le_bytes(), &bytes].concat();
        for bytes in [&bytes, &likely] {
            // What can be read is what would be written, so nothing is left over and nothing is overlooked.
            if let Ok(facts) = Facts::unpack_own(bytes) {
                let again = facts.pack(&keys, Shared::default());
                prop_assert_eq!(&again.facts, &facts.pack_own());
                prop_assert_eq!(Facts::unpack_own(&again.facts), Ok(facts));
            }
            let _ = Facts::unpack(bytes, &keys, texts);
        }
    }
}
