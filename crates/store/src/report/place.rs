//! A place in the counts as notes and gathered parts name it: the link, the verdict and the marks in two bytes each,
//! the country and the device with a byte of length, and the operating system.

use domain::bytes::{Damaged, Reader};
use domain::click::{Facts, Marks, Verdict};
use domain::id::{LinkId, NetworkId};
use domain::report::Clicks;
use domain::time::Timestamp;
use uuid::Uuid;

use super::ClickKey;

/// Appends where a click counts. None when it cannot be said so.
pub(super) fn write(to: &mut Vec<u8>, link: LinkId, verdict: i64, marks: Marks, facts: &Facts) -> Option<()> {
    to.extend(link.uuid().as_bytes());
    to.extend(u16::try_from(verdict).ok()?.to_le_bytes());
    to.extend(u16::try_from(marks.0).ok()?.to_le_bytes());
    let country = facts.country.as_ref().map_or("", |country| country.code());
    let device = facts.device.map_or("", |device| device.code());
    for code in [country, device] {
        to.push(u8::try_from(code.len()).ok()?);
        to.extend(code.bytes());
    }
    to.extend(facts.os.bytes());
    Some(())
}

/// The link of a place.
pub(super) fn link(place: &[u8]) -> Result<LinkId, Damaged> {
    Ok(LinkId(Uuid::from_bytes(Reader(place).array()?)))
}

/// Where and how so many clicks of a place count; none for tests.
pub(super) fn read(
    place: &[u8],
    network: NetworkId,
    start: Timestamp,
    clicks: i64,
) -> Result<Option<(ClickKey, Clicks)>, Damaged> {
    let mut from = Reader(place);
    let link = LinkId(Uuid::from_bytes(from.array()?));
    let verdict = i64::from(u16::from_le_bytes(from.array()?));
    let marks = Marks(u16::from_le_bytes(from.array()?).into());
    if marks.has(Marks::TEST) {
        return Ok(None);
    }
    let (country, device, os) = (from.text()?, from.text()?, from.rest()?);
    let key = ClickKey { network, start, link, verdict, country, device, os };
    Ok(Some((key, figures(verdict, marks).times(clicks))))
}

/// One click in figures.
pub(super) fn figures(verdict: i64, marks: Marks) -> Clicks {
    let counts = !marks.is_uncounted();
    let sent_on = Verdict::from_number(verdict).is_some_and(Verdict::sends_on) && !marks.has(Marks::REFUSED);
    Clicks {
        hits: 1,
        counted: counts.into(),
        unique: (counts && !marks.has(Marks::REPEAT)).into(),
        sent_on: (counts && sent_on).into(),
        bots: marks.has(Marks::BOT).into(),
        prefetches: marks.has(Marks::PREFETCH).into(),
    }
}

#[cfg(test)]
mod tests {
    use domain::click::{Marks, Verdict};
    use domain::report::Clicks;

    use super::figures;

    #[test]
    fn marks_decide_in_which_figures_a_click_is() {
        let ok = Verdict::Ok.number();
        let one = Clicks { hits: 1, counted: 1, unique: 1, sent_on: 1, bots: 0, prefetches: 0 };
        assert_eq!(figures(ok, Marks::default()), one);
        assert_eq!(figures(ok, Marks::REPEAT), Clicks { unique: 0, ..one });
        let none = Clicks { counted: 0, unique: 0, sent_on: 0, ..one };
        assert_eq!(figures(ok, Marks::BOT), Clicks { bots: 1, ..none });
        assert_eq!(figures(ok, Marks::PREFETCH), Clicks { prefetches: 1, ..none });
        let capped = Verdict::OfferCapped.number();
        assert_eq!(figures(capped, Marks::FELL_BACK), Clicks { sent_on: 0, ..one });
        let constant = Verdict::MemberIdStatic.number();
        assert_eq!(figures(constant, Marks::default()), one);
        assert_eq!(figures(constant, Marks::REFUSED), Clicks { sent_on: 0, ..one });
    }
}
