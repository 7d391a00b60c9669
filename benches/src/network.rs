//! The network that every experiment runs on: 1,000 tracking links, declared as a customer would.

use std::fmt::Write as _;
use std::ops::Range;

const OFFERS: usize = 10;
const PARTNERS: usize = 100;
/// One file may declare 10,000 things.
const OFFERS_A_FILE: usize = 5_000;

/// What the advertiser proves itself with.
pub(crate) const TOKEN: &str = "bench-token-0123456789abcdef";

/// Where every visitor is sent on to begins with this.
pub(crate) const DESTINATION: &str = "https://shop.example/landing?click=";

/// The file for `pitlane apply`: every partner has a link on every offer.
pub(crate) fn declaration() -> String {
    declared(OFFERS, (0..OFFERS).flat_map(|offer| (0..PARTNERS).map(move |partner| (offer, partner))))
}

/// A network of `offers` offers, in files of a few thousand: the first partner has links on the first `own` offers, the
/// others two each.
pub(crate) fn of_many_offers(offers: usize, own: usize) -> Vec<String> {
    let first = (0..own).map(|offer| (offer, 0));
    let others = (1..PARTNERS).flat_map(|partner| [(partner, partner), (own + partner, partner)]);
    let linked = own + PARTNERS;
    let more = (linked..offers).step_by(OFFERS_A_FILE);
    let more = more.map(|from| offers_of(from..offers.min(from + OFFERS_A_FILE)));
    std::iter::once(declared(linked, first.chain(others))).chain(more).collect()
}

/// A network with so many offers, and a link of each offer and partner in `links`.
fn declared(offers: usize, links: impl Iterator<Item = (usize, usize)>) -> String {
    let mut text = format!(
        "[[network]]\nlabel = \"bench\"\ncurrency = \"EUR\"\n\n\
         [[advertiser]]\nslug = \"shop\"\npostback_tokens = [\"{TOKEN}\"]\n"
    );
    for partner in 0..PARTNERS {
        let _ = write!(text, "\n[[partner]]\nslug = \"{}\"\n", partner_slug(partner));
    }
    text += &offers_of(0..offers);
    for (offer, partner) in links {
        let _ =
            write!(text, "\n[[link]]\noffer = \"offer-{offer}\"\npartner = \"{}\"\n", partner_slug(partner));
    }
    text
}

fn offers_of(numbers: Range<usize>) -> String {
    let mut text = String::new();
    for offer in numbers {
        let _ = write!(
            text,
            "\n[[offer]]\nslug = \"offer-{offer}\"\nadvertiser = \"shop\"\nrevenue = \"2.50\"\npayout = \"1.20\"\n\
             destination = \"{DESTINATION}{{gk_click_id}}&source={{gk_partner_id}}&sub={{pub_sub_1}}\"\n"
        );
    }
    text
}

/// The slug of a partner by its number.
pub(crate) fn partner_slug(number: usize) -> String {
    format!("partner-{number:03}")
}

/// One postback for each of the first `count` partners, all slugs `all`, for `pitlane apply`. `url` gives the address
/// of each.
pub(crate) fn postbacks(count: usize, url: impl Fn(usize) -> String) -> String {
    let each = (0..count).map(|number| {
        format!(
            "[[postback]]\npartner = \"{}\"\nslug = \"all\"\n\
             url = \"{}?click={{pub_click_id}}&payout={{payout}}&status={{cnv_status}}\"\n\n",
            partner_slug(number),
            url(number)
        )
    });
    each.collect()
}
