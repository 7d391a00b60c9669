//! Makes test clicks and test conversions, by the same code that real ones go through.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::{ACCEPT, HOST, USER_AGENT};
use domain::click::Marks;
use domain::id::{ClickId, InboundId, LinkId, NetworkId};
use domain::inbound::{Postback, Stated};
use domain::test_mode::{self, PARAMETER};
use domain::time::{MINUTE_MS, Timestamp};
use domain::visit::Param;
use store::inbound::Received;
use url::form_urlencoded::byte_serialize;
use web::link_check;

use crate::caller::Caller;
use crate::component::Choice;
use crate::offer::{Found, Own};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// How long the signature of a test click is good: it is used at once.
const SIGNED_MS: i64 = 10 * MINUTE_MS;
/// A new link or key reaches the servers' memory in a fraction of a second; so often it is looked for, so long apart.
const LOOKS: usize = 60;
const LOOK: Duration = Duration::from_millis(50);
/// Newest tests that the one just made is among.
const AMONG: i64 = 10;

/// Visitors that can be chosen: the device, its word and what its browser says.
const VISITORS: [(&str, &str, &str); 4] = [
    (
        "IOS",
        "iPhone",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Version/18.1 Mobile/15E148 Safari/604.1",
    ),
    (
        "Android",
        "Android phone",
        "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile \
         Safari/537.36",
    ),
    (
        "MacOS",
        "Mac",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 \
         Safari/605.1.15",
    ),
    (
        "Browser",
        "Windows computer",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 \
         Safari/537.36",
    ),
];

/// The visitor of a test click.
pub(super) struct Visit<'a> {
    /// The parameters that were typed.
    pub(super) typed: &'a Query,
    /// Where the visitor is.
    pub(super) address: IpAddr,
    /// What the visitor's browser says that it is.
    pub(super) agent: String,
}

/// What a test conversion reports.
pub(super) struct Sale<'a> {
    /// The event's code.
    pub(super) event: Option<&'a str>,
    /// The sale's amount.
    pub(super) amount_micros: Option<i64>,
}

/// The devices to choose from.
pub(super) fn devices(chosen: &str) -> Vec<Choice> {
    let each = VISITORS.iter().map(|(code, word, _)| Choice::new(*code, *word, *code == chosen));
    std::iter::once(Choice::new("", "This browser", chosen.is_empty())).chain(each).collect()
}

/// What the visitor's browser says: that of the chosen device, else the caller's own.
pub(super) fn agent(typed: &Query, caller: &Caller) -> String {
    let chosen = typed.get("device").unwrap_or_default();
    let known = VISITORS.iter().find(|(code, ..)| *code == chosen);
    known.map_or_else(|| caller.agent.clone(), |(_, _, agent)| (*agent).to_owned())
}

/// Follows the link as a visitor would; the recorded click, none when it was not recorded.
pub(super) async fn click(
    site: &Site,
    viewer: &Viewer,
    own: Own,
    visit: &Visit<'_>,
) -> Result<Option<ClickId>, Refused> {
    let (network, ambient) = (viewer.network.id, site.app.ambient);
    let key: Result<_, store::Error> =
        site.app.db.write(move |tx| store::test_mode::key(tx, ambient, network)).await;
    let key = key?;
    if !known(site, network, own.id).await {
        return Ok(None);
    }
    let started = ambient.now();
    let signed = test_mode::sign(&key, own.id, started.plus_ms(SIGNED_MS));
    let target = format!("{}{}?{}", link_check::PATH, own.id, query(visit.typed, &signed));
    let request = Request::get(target)
        .header(HOST, format!("api.{}.localhost", viewer.network.label))
        .header(USER_AGENT, &visit.agent)
        .header(ACCEPT, "application/json")
        .body(());
    let Ok(request) = request else { return Ok(None) };
    let (head, ()) = request.into_parts();
    web::test_click(&site.app, visit.address, &head).await;
    let newest = site.app.db.read(move |tx| store::activity::test_clicks(tx, own.id, AMONG)).await?;
    let given = |param: Param| visit.typed.get(param.code());
    let mine = newest.iter().filter(|click| click.id.at() >= started);
    let same = |click: &&domain::click::Click| click.pub_click_id.as_deref() == given(Param::ClickId);
    Ok(mine.clone().find(same).or(mine.clone().next()).map(|click| click.id))
}

/// Whether the server knows the link and the network's key by now.
async fn known(site: &Site, network: NetworkId, link: LinkId) -> bool {
    for _ in 0..LOOKS {
        let catalog = site.app.live.catalog.load_full();
        if catalog.links.contains_key(&link) && catalog.test_keys.contains_key(&network) {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    false
}

/// The query of a test click: what was typed, and the mark.
fn query(typed: &Query, signed: &str) -> String {
    let given = Param::ALL.iter().filter_map(|param| Some((param.code(), typed.get(param.code())?)));
    let mark = std::iter::once((PARAMETER, signed));
    let each = given.chain(mark).map(|(name, value)| {
        // A tracking link takes a plus as a plus.
        let value: String = byte_serialize(value.as_bytes()).collect();
        format!("{name}={}", value.replace('+', "%20"))
    });
    each.collect::<Vec<_>>().join("&")
}

/// Reports a result of a test click of the partner's own link, as the advertiser's postback does.
pub(super) async fn conversion(
    site: &Site,
    found: &Found,
    own: Own,
    click: ClickId,
    sale: &Sale<'_>,
    caller: IpAddr,
) -> Result<(), Refused> {
    let recorded = site.app.db.read(move |tx| store::click::find(tx, click)).await?;
    recorded.filter(|click| click.link == own.id && click.marks.has(Marks::TEST)).ok_or(Refused::Absent)?;
    let now = site.app.ambient.now();
    let received = received(site, found, click, sale, (now, caller));
    let (catalog, ambient) = (site.app.live.catalog.load_full(), site.app.ambient);
    let made: Result<_, store::Error> =
        site.app.db.write(move |tx| store::inbound::receive(tx, &catalog, ambient, &received)).await;
    made?;
    site.app.bell.ring();
    Ok(())
}

fn received(
    site: &Site,
    found: &Found,
    click: ClickId,
    sale: &Sale<'_>,
    (at, caller): (Timestamp, IpAddr),
) -> Received {
    let advertiser = &found.offer.advertiser;
    let event = sale.event.map(|code| format!("&cnv_event_id={code}")).unwrap_or_default();
    Received {
        id: InboundId(site.app.ambient.new_id(at)),
        network: Some(found.offer.network.id),
        proven: vec![advertiser.id],
        at,
        // The advertiser's own, where only some are allowed: the test stands for it.
        address: advertiser.allowed_addresses.first().map_or(caller, ipnet::IpNet::addr),
        method: "POST".to_owned(),
        target: format!("{}/test/conversion", found.path()),
        body: format!("gk_click_id={click}{event}"),
        postback: Ok(Postback {
            click,
            event_code: sale.event.map(str::to_owned),
            amount_micros: sale.amount_micros,
            currency: None,
            advertiser_key: None,
            status: None,
            kept: BTreeMap::new(),
            stated: Stated::default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::query;
    use crate::query::Query;

    #[test]
    fn a_test_click_carries_what_was_typed_and_the_mark() {
        let typed = Query::read(Some("pub_click_id=a+b%26c&pub_sub_2=%7Bx%7D&click=other&device=IOS"));
        assert_eq!(query(&typed, "1.x"), "pub_click_id=a%20b%26c&pub_sub_2=%7Bx%7D&gk_test=1.x");
    }
}
