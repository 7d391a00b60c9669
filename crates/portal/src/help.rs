//! The guide for whoever connects a tracker, with the partner's own link in every example.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use domain::click::Verdict;
use domain::delivery::RETRY_MS;
use domain::link::{Link, LinkApproval};
use domain::postback::PostbackMacro;
use domain::time::Span;

use crate::click_word;
use crate::component::{Choice, UrlParts};
use crate::offer;
use crate::page::{self, Answer, Section, Shell};
use crate::query::Query;
use crate::site::Site;
use crate::viewer::Viewer;

/// How many offers are there to choose from.
const CHOICES: usize = 200;

/// What stands in examples for the offer's link, while the partner has none.
const NO_LINK: &str =
    "https://api.example.net/api/v1/offer-link/redirect/00000000-0000-0000-0000-000000000000";

/// The sections: anchor and heading.
const SECTIONS: [(&str, &str); 8] = [
    ("start", "In five minutes"),
    ("link", "Your tracking link"),
    ("parameters", "Parameters"),
    ("verdicts", "Why a click is refused or flagged"),
    ("postbacks", "Postbacks to you"),
    ("macros", "Macros of a postback"),
    ("signature", "Is it really from us"),
    ("test", "Testing"),
];

/// What the link takes: name, whether the link works without, meaning, rule.
const PARAMETERS: [(&str, &str, &str, &str); 6] = [
    (
        "pub_click_id",
        "required",
        "Your own id of the click. A conversion comes back with it.",
        "Unique for each click; at most 255 bytes.",
    ),
    (
        "pub_member_id",
        "required",
        "Your id of the user. A user completes an offer once.",
        "Unique for each user; at most 255 bytes. Without user ids, send the click id here too.",
    ),
    (
        "pub_sub_1 … pub_sub_15",
        "optional",
        "Whatever you want to see again in postbacks and reports: placement, campaign, creative.",
        "At most 500 bytes each.",
    ),
    (
        "pub_age, pub_gender",
        "optional",
        "What you know of the user, for offers with targeting.",
        "Age as a whole number.",
    ),
    (
        "pub_geo_country, pub_geo_state, pub_postal_code",
        "optional",
        "Where the user is, when you know it better than the address does.",
        "Country as two letters, three letters or the ISO number.",
    ),
    (
        "pub_device, pub_session_id",
        "optional",
        "Device and session.",
        "Device: IOS, Android, MacOS, Browser or All.",
    ),
];

/// Macros with what they become in the example's request.
const MACROS: [(PostbackMacro, &str, &str); 14] = [
    (PostbackMacro::PubClickId, "Your click id, as your link sent it", "c-71ac02"),
    (PostbackMacro::PubMemberId, "Your member id, as your link sent it", "user-4711"),
    (PostbackMacro::Sub1, "Sub parameter 1; up to {pub_sub_15}", "banner-7"),
    (PostbackMacro::ClickId, "Our id of the click", "0198c7b2-51a4-7c11-9a3e-2f6d90b1c4aa"),
    (PostbackMacro::OfferId, "The offer's id", "0198c7b0-0d3e-7f52-8f5c-6a1f3c9d2b10"),
    (PostbackMacro::OfferName, "The offer's name", "Rapid%20Bank%20account"),
    (PostbackMacro::EventCode, "The event; empty on offers with a single event", "signup"),
    (PostbackMacro::Amount, "The sale's amount; empty when there is none", "80.00"),
    (PostbackMacro::Currency, "The currency of the amount", "USD"),
    (PostbackMacro::Payout, "What you earn; 0 when rejected", "12.50"),
    (PostbackMacro::PayoutCurrency, "The currency of what you earn", "USD"),
    (PostbackMacro::Status, "Success, Pending or Rejected", "Success"),
    (
        PostbackMacro::ConversionId,
        "The conversion's id: book each only once",
        "0198c7b9-77aa-7d0e-b1f7-b0a4c8e1d9f2",
    ),
    (PostbackMacro::Timestamp, "Unix seconds of what is told", "1795489512"),
];

/// Signature checks: anchor, language, code.
const CHECKS: [(&str, &str, &str); 4] = [
    ("php", "PHP", include_str!("../templates/help/verify.php")),
    ("python", "Python", include_str!("../templates/help/verify.py")),
    ("node", "Node.js", include_str!("../templates/help/verify.mjs")),
    ("shell", "By hand", include_str!("../templates/help/verify.sh")),
];

/// A verdict as the guide tells it.
struct Told {
    code: &'static str,
    status: u16,
    kind: &'static str,
    word: &'static str,
    meaning: &'static str,
}

#[derive(Template)]
#[template(path = "help/show.html")]
struct Guide {
    shell: Shell,
    sections: [(&'static str, &'static str); 8],
    /// The partner's offers, the shown one chosen.
    offers: Vec<Choice>,
    /// The shown offer's name and its page; none while the partner has no link.
    own: Option<(String, String)>,
    /// The link with typical macros in it.
    link: UrlParts,
    /// A command that makes one click.
    click: String,
    parameters: &'static [(&'static str, &'static str, &'static str, &'static str)],
    verdicts: Vec<Told>,
    template: UrlParts,
    filled: String,
    macros: &'static [(PostbackMacro, &'static str, &'static str)],
    tries: String,
    checks: &'static [(&'static str, &'static str, &'static str)],
}

/// Shows the guide; `?offer=` chooses whose link stands in it.
pub(crate) async fn show(
    viewer: Viewer,
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Answer {
    let query = Query::read(raw.as_deref());
    let mut links: Vec<_> = viewer.links().filter(|link| link.approval == LinkApproval::Approved).collect();
    links.sort_by(|one, other| one.offer.name.cmp(&other.offer.name));
    let wanted = query.get("offer").unwrap_or_default();
    let chosen = links.iter().find(|link| link.offer.id.to_string() == wanted).or(links.first()).copied();
    let address = chosen.map(|link| offer::address(&site, &viewer, &headers, link.id));
    let offers = links.iter().take(CHOICES).map(|link| choice(link, chosen)).collect();
    let own = chosen.map(|link| (link.offer.name.clone(), format!("/offers/{}", link.offer.id)));
    let shell =
        Shell::new(&viewer, Section::Help, "Connect your tracker", "With your own link in every example");
    page::html(StatusCode::OK, &Guide::new(shell, offers, own, address.as_deref().unwrap_or(NO_LINK)))
}

fn choice(link: &Arc<Link>, chosen: Option<&Arc<Link>>) -> Choice {
    Choice::new(
        link.offer.id.to_string(),
        &link.offer.name,
        chosen.is_some_and(|chosen| chosen.id == link.id),
    )
}

impl Guide {
    fn new(shell: Shell, offers: Vec<Choice>, own: Option<(String, String)>, link: &str) -> Self {
        let template = "https://tracker.example/postback?cid={pub_click_id}&payout={payout}&cur={payout_currency}\
                        &status={cnv_status}&txid={conversion_id}";
        let filled = MACROS.iter().fold(template.to_owned(), |text, (name, _, value)| {
            text.replace(&format!("{{{}}}", name.code()), value)
        });
        Self {
            shell,
            sections: SECTIONS,
            offers,
            own,
            link: UrlParts::new(&format!(
                "{link}?pub_click_id={{clickid}}&pub_member_id={{userid}}&pub_sub_1={{source}}"
            )),
            click: format!("curl -i '{link}?pub_click_id=try-1&pub_member_id=me-1'"),
            parameters: &PARAMETERS,
            verdicts: Verdict::ALL.iter().map(|verdict| told(*verdict)).collect(),
            template: UrlParts::new(template),
            filled,
            macros: &MACROS,
            tries: RETRY_MS.map(|wait_ms| Span(wait_ms).to_string()).join(", "),
            checks: &CHECKS,
        }
    }
}

fn told(verdict: Verdict) -> Told {
    let words = click_word::verdict(verdict);
    let (code, status) = (verdict.code(), verdict.status());
    Told { code, status, kind: words.kind, word: words.word, meaning: words.meaning }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guide(name: &str, link: &str) -> String {
        let own = (name.to_owned(), "/offers/7".to_owned());
        let shell = Shell::sample(Section::Help, "Connect your tracker");
        Guide::new(shell, vec![Choice::new("7", name, true)], Some(own), link).render().unwrap()
    }

    #[test]
    fn the_partner_s_own_link_stands_in_every_example() {
        let text = guide("Bank", "https://api.acme.example/x/1");
        assert!(text.contains("curl -i &#39;https://api.acme.example/x/1?pub_click_id=try-1"), "{text}");
        assert!(!text.contains("00000000-0000"));
        for (anchor, _) in SECTIONS {
            assert!(
                text.contains(&format!("href=\"#{anchor}\"")) && text.contains(&format!("id=\"{anchor}\""))
            );
        }
        for verdict in Verdict::ALL {
            assert!(text.contains(&format!("id=\"{verdict}\"")), "{verdict}");
        }
    }

    #[test]
    fn the_example_request_has_no_macro_left() {
        let shell = Shell::sample(Section::Help, "Connect your tracker");
        let filled = Guide::new(shell, Vec::new(), None, NO_LINK).filled;
        assert!(!filled.contains(['{', '}']), "{filled}");
    }

    #[test]
    fn every_macro_is_explained() {
        let subs = |name: &str| name.starts_with("pub_sub_") && name != "pub_sub_1";
        for name in PostbackMacro::ALL.iter().filter(|name| !subs(name.code())) {
            assert!(MACROS.iter().any(|(known, _, _)| known == name), "{name}");
        }
    }

    #[test]
    fn an_offer_s_name_never_becomes_markup() {
        let text = guide("<script>alert(1)</script>", "https://x/\"><script>");
        assert!(!text.contains("<script>"));
    }
}
