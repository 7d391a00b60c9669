//! A trial: a made-up result, told to one postback and to no other. It goes the way of every delivery, and like every
//! test it touches no money, cap, place or report.

use domain::ambient::Ambient;
use domain::click::{Click, Facts, Marks, Verdict};
use domain::conversion::{Conversion, Reason, Status};
use domain::delivery::Origin;
use domain::id::{ClickId, ConversionId, DeliveryId, EventId};
use domain::link::Link;
use domain::money::{Money, Rate};
use domain::offer::{Event, Results, Terms};
use domain::postback::{Postback, Scope};
use domain::visit::Param;

use super::insert;
use crate::live::Texts;
use crate::{Error, Tx, click, conversion};

/// A sale of which a share is paid, in micro-units of the offer's currency.
const SALE_MICROS: i64 = 100_000_000;

/// What a trial tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The partner's click id.
    pub pub_click_id: String,
    /// The partner's member id.
    pub pub_member_id: String,
    /// The sub parameters, by number from 1 on.
    pub subs: Vec<(usize, String)>,
    /// The status that is told.
    pub status: Status,
}

/// Makes a test click on `link`, a test conversion of it in the postback's scope, and the one delivery that tells it.
/// None when the link's offer has nothing to convert on that partners are shown.
pub fn send(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    postback: &Postback,
    link: &Link,
    trial: &Trial,
) -> Result<Option<DeliveryId>, Error> {
    let Some((event, event_code, terms)) = target(postback.scope, link) else { return Ok(None) };
    let now = ambient.now();
    let sub = |(n, value): &(usize, String)| Some((Param::sub(*n)?, value.clone()));
    let clicked = Click {
        id: ClickId(ambient.new_id(now)),
        link: link.id,
        verdict: Verdict::Ok,
        marks: Marks::TEST,
        pub_click_id: Some(trial.pub_click_id.clone()),
        pub_member_id: Some(trial.pub_member_id.clone()),
        facts: Facts { parameters: trial.subs.iter().filter_map(sub).collect(), ..Facts::default() },
    };
    click::append_many(tx, &Texts::default(), std::slice::from_ref(&clicked))?;
    let id = ConversionId(ambient.new_id(now));
    let sale = matches!(terms.payout, Rate::Share(_))
        .then(|| Money { micros: SALE_MICROS, currency: link.offer.currency });
    let conversion = Conversion {
        id,
        network: postback.network,
        offer: link.offer.id,
        event,
        event_code,
        partner: postback.partner,
        link: link.id,
        click: clicked.id,
        pub_click_id: trial.pub_click_id.clone(),
        pub_member_id: trial.pub_member_id.clone(),
        idempotency_key: format!("trial:{id}"),
        advertiser_key: None,
        status: trial.status,
        reason: (trial.status == Status::Rejected).then_some(Reason::StaffRejected),
        winner: None,
        holds_place: false,
        revenue: Money::zero(link.offer.currency),
        payout: terms.payout.of(sale, link.offer.currency),
        amount: sale,
        address: String::new(),
        kept: std::collections::BTreeMap::new(),
        completed: now,
        received: now,
        changed: now,
        version: 0,
        waits: None,
        test: true,
    };
    conversion::insert(tx, &conversion, "partner")?;
    insert(tx, ambient, &conversion, postback.id, Origin::Live)
}

/// The event that is told of: that of the scope, else the first that partners are shown.
fn target(scope: Scope, link: &Link) -> Option<(EventId, String, &Terms)> {
    let fits = |event: &&Event| match scope {
        Scope::Event(_, wanted) => event.id == wanted,
        Scope::Global | Scope::Offer(_) => event.visible,
    };
    match &link.offer.results {
        Results::Single(terms) => Some((EventId::NONE, String::new(), terms)),
        Results::Multi(events) => {
            let own = events.iter().find(fits);
            own.map(|event| (event.id, event.code.clone(), &event.terms))
        }
    }
}
