//! What came over one link: its newest clicks and conversions, and the tests among them. For whoever sets the link up.

use domain::click::Click;
use domain::conversion::Conversion;
use domain::id::{ClickId, LinkId, OfferId};
use domain::partner::Partner;
use domain::postback::Postback;
use domain::report::QUARTER_MS;
use domain::time::Timestamp;

use crate::{Error, Statement, Tx, Value, click, conversion, postback};

pub(crate) const ALL: &[&Statement] =
    &[&TEST_CLICKS, &TEST_CONVERSIONS, &QUARTERS, &CLICKS, &CONVERSIONS, &POSTBACKS];

static TEST_CLICKS: Statement = Statement::new(
    "activity.test_clicks",
    concat!(
        "select ",
        click::columns!(),
        " from click k
     where k.link_id = ?1 and (k.marks & 2) <> 0 order by k.click_id desc limit ?2"
    ),
);

static TEST_CONVERSIONS: Statement = Statement::new(
    "activity.test_conversions",
    "select * from conversion where link_id = ?1 and test = 1 order by conversion_id desc limit ?2",
);

/// The quarters of an hour in which clicks were counted.
static QUARTERS: Statement = Statement::new(
    "activity.quarters",
    "select distinct start_ms from click_count where link_id = ?1 and start_ms < ?2 order by start_ms desc limit ?3",
);

static CLICKS: Statement = Statement::new(
    "activity.clicks",
    concat!(
        "select ",
        click::columns!(),
        " from click k
     where k.click_id >= ?1 and k.click_id < ?2 and k.link_id = ?3 order by k.click_id desc limit ?4"
    ),
);

static CONVERSIONS: Statement = Statement::new(
    "activity.conversions",
    "select * from conversion where link_id = ?1 order by conversion_id desc limit ?2",
);

/// Also those that are switched off.
static POSTBACKS: Statement = Statement::new(
    "activity.postbacks",
    "select postback_id, network_id, partner_id, slug, offer_id, event_id, method, url, on_success, on_pending,
         on_rejected, on_change, enabled
     from postback
     where network_id = ?1 and partner_id = ?2 and (offer_id is null or offer_id = ?3) order by slug limit ?4",
);

/// Quarters of an hour that are looked through for clicks.
const MOST_QUARTERS: i64 = 40;

/// The newest test clicks of a link, newest first, at most `limit`.
pub fn test_clicks(tx: &mut Tx<'_>, link: LinkId, limit: i64) -> Result<Vec<Click>, Error> {
    tx.query(&TEST_CLICKS, &[link.uuid().into(), limit.into()])?.iter().map(click::read).collect()
}

/// The newest conversions of a link's test clicks, newest first, at most `limit`.
pub fn test_conversions(tx: &mut Tx<'_>, link: LinkId, limit: i64) -> Result<Vec<Conversion>, Error> {
    tx.query(&TEST_CONVERSIONS, &[link.uuid().into(), limit.into()])?.iter().map(conversion::read).collect()
}

/// The newest clicks of a link, tests too, newest first, at most `limit`. They are found by the quarters that have
/// some; this quarter and the last may not be counted yet.
pub fn clicks(tx: &mut Tx<'_>, link: LinkId, now: Timestamp, limit: usize) -> Result<Vec<Click>, Error> {
    let this = now.ms() - now.ms().rem_euclid(QUARTER_MS);
    let last = this - QUARTER_MS;
    let mut ranges = vec![(last, now.ms() + QUARTER_MS)];
    for row in tx.query(&QUARTERS, &[link.uuid().into(), last.into(), MOST_QUARTERS.into()])? {
        let start = row.int("start_ms")?;
        ranges.push((start, start + QUARTER_MS));
    }
    let mut clicks = Vec::new();
    for (from, until) in ranges {
        let room = limit - clicks.len();
        if room == 0 {
            break;
        }
        let first = |ms| ClickId::first_of(Timestamp::from_ms(ms)).uuid();
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let params: [Value; 4] = [first(from).into(), first(until).into(), link.uuid().into(), room.into()];
        for row in tx.query(&CLICKS, &params)? {
            clicks.push(click::read(&row)?);
        }
    }
    Ok(clicks)
}

/// The newest conversions of a link, tests too, newest first, at most `limit`.
pub fn conversions(tx: &mut Tx<'_>, link: LinkId, limit: i64) -> Result<Vec<Conversion>, Error> {
    tx.query(&CONVERSIONS, &[link.uuid().into(), limit.into()])?.iter().map(conversion::read).collect()
}

/// A partner's postbacks that may be told of an offer's conversions, at most `limit`.
pub fn postbacks(
    tx: &mut Tx<'_>,
    partner: &Partner,
    offer: OfferId,
    limit: i64,
) -> Result<Vec<Postback>, Error> {
    let params = [partner.network.uuid().into(), partner.id.uuid().into(), offer.uuid().into(), limit.into()];
    tx.query(&POSTBACKS, &params)?.iter().map(postback::read).collect()
}
