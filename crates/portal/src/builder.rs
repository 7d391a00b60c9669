//! The postback builder: a URL as some tracker writes it becomes one with our macros, and is shown as the request that
//! would be sent.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use domain::conversion::Status;
use domain::id::{ClickId, ConversionId, OfferId};
use domain::money::Money;
use domain::postback::foreign::{self, Translated};
use domain::postback::{Method, News, PostbackMacro, PostbackUrl, Request, Scope};
use domain::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use store::delivery::log;
use uuid::Uuid;

use crate::component::{Choice, UrlParts};
use crate::page::{self, Answer, Shell};
use crate::postback::form::{methods, scope_of};
use crate::postback::{scopes, shell};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// One place of the URL that was understood.
struct Understood {
    parameter: String,
    written: String,
    became: String,
    meaning: &'static str,
}

/// What became of the URL.
struct Made {
    understood: Vec<Understood>,
    left: Vec<foreign::Unmapped>,
    url: UrlParts,
    /// What is still wrong with it; empty when it can be used.
    wrong: String,
    tells_click: bool,
    was_ours: bool,
    /// The request, line by line; empty when the URL is wrong.
    request: String,
    /// Of a real conversion, or of sample values.
    real: bool,
    /// The form with this URL in it.
    href: String,
}

#[derive(Template)]
#[template(path = "postback/builder.html")]
struct Page {
    shell: Shell,
    url: String,
    id: String,
    methods: Vec<Choice>,
    scopes: Vec<Choice>,
    scope_wrong: String,
    made: Option<Made>,
    macros: Vec<(String, &'static str)>,
}

/// The builder: everything in the address, so that it works as a form and can be shared.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let query = Query::read(raw.as_deref());
    let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
    let (url, scope) = (text("url"), scope_of(&viewer, &text("scope")));
    let method = text("method").parse().unwrap_or(Method::Get);
    let scope_wrong = scope.as_ref().err().cloned().unwrap_or_default();
    let made = if url.is_empty() {
        None
    } else {
        Some(make(&site, &viewer, &query, (&url, method, scope.unwrap_or(Scope::Global))).await?)
    };
    let page = Page {
        shell: shell(&viewer, "Postback builder", "your tracker's URL, in our words", &query)
            .below("/postbacks", "Postbacks"),
        url,
        id: text("id"),
        methods: methods(method.code()),
        scopes: scopes(&viewer, &text("scope")),
        scope_wrong,
        made,
        macros: macros(),
    };
    Ok(page::html(StatusCode::OK, &page))
}

async fn make(
    site: &Site,
    viewer: &Viewer,
    query: &Query,
    (url, method, scope): (&str, Method, Scope),
) -> Result<Made, Refused> {
    let translated = foreign::translate(url);
    let parsed = PostbackUrl::parse(&translated.url);
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let newest = site.app.db.read(move |tx| log::newest_news(tx, network, partner, scope)).await?;
    let real = newest.is_some();
    let news = newest.unwrap_or_else(|| sample(viewer));
    let (request, wrong) = match &parsed {
        Ok(template) => (lines(&news.request(method, template), &news, viewer), String::new()),
        Err(bad) => (String::new(), format!("{bad}.")),
    };
    let back = match query.get("id") {
        Some(id) if id.parse::<domain::id::PostbackId>().is_ok() => format!("/postbacks/{id}/edit"),
        _ => "/postbacks/new".to_owned(),
    };
    let href = query.without("id").with("url", &translated.url).url(&back);
    let (tells_click, was_ours) = (translated.tells_click(), translated.is_ours());
    let Translated { url, mapped, unmapped } = translated;
    let understood = mapped.into_iter().map(|one| Understood {
        parameter: one.parameter,
        written: one.written,
        became: format!("{{{}}}", one.name.code()),
        meaning: meaning(one.name),
    });
    Ok(Made {
        understood: understood.collect(),
        left: unmapped,
        url: UrlParts::new(&url),
        wrong,
        tells_click,
        was_ours,
        request,
        real,
        href,
    })
}

/// The request as it goes over the wire, with the headers that change at every attempt described.
fn lines(request: &Request, news: &News, viewer: &Viewer) -> String {
    let (host, target) = match url::Url::parse(&request.url) {
        Ok(url) => {
            let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            (format!("{}{port}", url.host_str().unwrap_or_default()), format!("{}{query}", url.path()))
        }
        Err(_) => (String::new(), request.url.clone()),
    };
    let mut text = format!("{} {target} HTTP/1.1\nhost: {host}\n", request.method);
    let mut header = |name: &str, value: &str| {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push('\n');
    };
    header(ID_HEADER, "the delivery's id, the same at every attempt");
    header(TIMESTAMP_HEADER, &viewer.now.seconds().to_string());
    header(SIGNATURE_HEADER, "v1,the signature with your secret");
    if news.test {
        header("x-pitlane-test", "1");
    }
    if let Some(kind) = request.content_type {
        header("content-type", kind);
        text.push('\n');
        text.push_str(&request.body);
    }
    text
}

/// A conversion that never was, for partners who have none yet.
fn sample(viewer: &Viewer) -> News {
    let offer = viewer.links().min_by(|a, b| a.offer.name.cmp(&b.offer.name)).map(|link| &link.offer);
    let subs = (1..=3).map(|n| (n, format!("your-sub-{n}"))).collect();
    let currency = offer.map_or(viewer.network.currency, |offer| offer.currency);
    News {
        click: ClickId(Uuid::from_u128(0x0198_f1c2_7a3b_7c4d_8e5f_a1b2_c3d4_e5f6)),
        pub_click_id: "your-click-id".to_owned(),
        pub_member_id: "your-user-id".to_owned(),
        subs,
        offer: offer.map_or(OfferId(Uuid::nil()), |offer| offer.id),
        offer_name: offer.map_or("An offer", |offer| &offer.name).to_owned(),
        event_code: String::new(),
        amount: None,
        payout: Money { micros: 1_250_000, currency },
        status: Status::Success,
        conversion: ConversionId(Uuid::from_u128(0x0198_f1c3_0e11_7a52_9b3c_d4e5_f607_1829)),
        at: viewer.now,
        test: false,
    }
}

/// Every macro with its meaning; the free parameters as one.
fn macros() -> Vec<(String, &'static str)> {
    let own = PostbackMacro::ALL.iter().filter(|own| !own.code().starts_with("pub_sub_"));
    let mut all: Vec<_> = own.map(|own| (format!("{{{}}}", own.code()), meaning(*own))).collect();
    all.insert(2, ("{pub_sub_1} … {pub_sub_15}".to_owned(), meaning(PostbackMacro::Sub1)));
    all
}

/// What a macro is filled with.
const fn meaning(name: PostbackMacro) -> &'static str {
    match name {
        PostbackMacro::PubClickId => "your click id, as you sent it in the link",
        PostbackMacro::PubMemberId => "your user id, as you sent it in the link",
        PostbackMacro::ClickId => "our click id",
        PostbackMacro::OfferId => "the offer's id",
        PostbackMacro::OfferName => "the offer's name",
        PostbackMacro::EventCode => "the event's id; empty on offers with one result",
        PostbackMacro::Amount => "the sale's amount; empty when there is none",
        PostbackMacro::Currency => "the amount's currency",
        PostbackMacro::Payout => "what you get; 0 when rejected",
        PostbackMacro::PayoutCurrency => "the payout's currency",
        PostbackMacro::Status => "Success, Pending or Rejected",
        PostbackMacro::ConversionId => "our conversion id",
        PostbackMacro::Timestamp => "when it came to this status, Unix seconds",
        _ => "a free parameter of your link",
    }
}
