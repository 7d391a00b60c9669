//! What all pages share: the frame around them, the headers on them, and answers that are not a page.

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use bytes::Bytes;
use http_body_util::Full;

use crate::format;
use crate::theme::Theme;
use crate::viewer::Viewer;

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A section of the left rail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// Today's figures and what needs a look.
    Home,
    /// Offers and their links.
    Offers,
    /// The clicks one by one.
    Clicks,
    /// The conversions one by one.
    Conversions,
    /// Figures by group.
    Reports,
    /// The partner's postbacks and what was delivered.
    Postbacks,
    /// API tokens.
    Tokens,
    /// Who else works here.
    Team,
    /// The guide.
    Help,
    /// Pages of the account: in no section.
    Account,
}

/// One entry of the left rail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The section that it opens.
    pub(crate) section: Section,
    /// Its address.
    pub(crate) href: &'static str,
    /// Its icon.
    pub(crate) icon: &'static str,
    /// Its word.
    pub(crate) word: &'static str,
    /// The letter that opens it after `g`.
    pub(crate) key: char,
    /// Whether a phone's bottom bar has it; the others are in the account's menu there.
    pub(crate) major: bool,
}

impl Section {
    /// The left rail, top down.
    pub(crate) const RAIL: [Entry; 9] = [
        entry(Self::Home, "/home", "home", "Home", 'h', true),
        entry(Self::Offers, "/offers", "offer", "Offers", 'o', true),
        entry(Self::Clicks, "/clicks", "click", "Clicks", 'c', true),
        entry(Self::Conversions, "/conversions", "conversion", "Conversions", 'v', false),
        entry(Self::Reports, "/reports", "report", "Reports", 'r', true),
        entry(Self::Postbacks, "/postbacks", "postback", "Postbacks", 'p', true),
        entry(Self::Tokens, "/tokens", "token", "API tokens", 't', false),
        entry(Self::Team, "/team", "team", "Team", 'm', false),
        entry(Self::Help, "/help", "help", "Help", 'e', false),
    ];
}

const fn entry(
    section: Section,
    href: &'static str,
    icon: &'static str,
    word: &'static str,
    key: char,
    major: bool,
) -> Entry {
    Entry { section, href, icon, word, key, major }
}

/// The frame around a page behind the log-in, as `layout.html` shows it.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    /// The page's name: its heading and the window's title.
    pub(crate) title: String,
    /// The state of what is shown, in a few words.
    pub(crate) subtitle: String,
    /// Which entry of the rail is lit.
    pub(crate) section: Section,
    /// The page above this one: its address and name.
    pub(crate) above: Option<(String, String)>,
    /// What was just done, told once at the top: kind (as of a pill) and words.
    pub(crate) notice: Option<(&'static str, String)>,
    /// The network's name.
    pub(crate) network: String,
    /// The partner's name.
    pub(crate) partner: String,
    /// Who is logged in.
    pub(crate) email: String,
    /// The zone of every time on the page, with its offset.
    pub(crate) zone: String,
    /// Light or dark.
    pub(crate) theme: Theme,
    /// What stands in the search field.
    pub(crate) query: String,
    /// When the page was made, in milliseconds since the epoch: the scripts' idea of now.
    pub(crate) now_ms: i64,
}

impl Shell {
    /// The frame for somebody who is logged in.
    pub(crate) fn new(viewer: &Viewer, section: Section, title: &str, subtitle: &str) -> Self {
        Self {
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            section,
            above: None,
            notice: None,
            network: viewer.network.name.clone(),
            partner: viewer.partner.name.clone(),
            email: viewer.user.email.clone(),
            zone: format::zone(&viewer.zone, viewer.now),
            theme: viewer.theme,
            query: String::new(),
            now_ms: viewer.now.ms(),
        }
    }

    /// With the page above, shown over the title as the way back.
    pub(crate) fn below(mut self, href: &str, word: &str) -> Self {
        self.above = Some((href.to_owned(), word.to_owned()));
        self
    }

    /// With a notice at the top of the page: `good`, `attention`, `bad` or `info`.
    pub(crate) fn noting(mut self, kind: &'static str, words: impl Into<String>) -> Self {
        self.notice = Some((kind, words.into()));
        self
    }

    /// A frame with made-up names, for tests of templates.
    #[cfg(test)]
    pub(crate) fn sample(section: Section, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            subtitle: "as a test shows it".to_owned(),
            section,
            above: None,
            notice: None,
            network: "Acme".to_owned(),
            partner: "Northwind".to_owned(),
            email: "ada@northwind.example".to_owned(),
            zone: "UTC".to_owned(),
            theme: Theme::System,
            query: String::new(),
            now_ms: 0,
        }
    }
}

/// A page outside the frame: a title and few words. Also the base of the log-in's pages: `plain.html` needs `title` and
/// `theme`.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    theme: Theme,
    words: &'a str,
}

/// What a page may load and do: its own style, scripts, pictures and answers, nothing from elsewhere, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds what every answer of the portals carries, where it does not say otherwise itself.
pub(crate) fn secure(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// A rendered template.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Answer {
    match template.render() {
        Ok(text) => answer(status, "text/html; charset=utf-8", text),
        Err(error) => {
            tracing::error!(%error, "a page did not render");
            let text = "The page could not be made.\n".to_owned();
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", text)
        }
    }
}

/// Go and get another page: the answer to every form that was taken.
pub(crate) fn see_other(to: &str) -> Answer {
    let mut answer = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
    let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(header::LOCATION, to);
    answer
}

/// What is not there, or not for this viewer: the same bytes for both.
pub(crate) fn absent() -> Answer {
    let words = "There is no such page, or it is not yours to see. The address may have a typing error, \
                 or the offer was taken back by the network.";
    notice(StatusCode::NOT_FOUND, "Nothing here", words)
}

/// Somebody who is known and may not do this.
pub(crate) fn forbidden() -> Answer {
    let words =
        "Your role does not include this. An owner of your team can do it, or give you the role under Team.";
    notice(StatusCode::FORBIDDEN, "Not with your role", words)
}

/// The record could not be asked or changed; nothing was done.
pub(crate) fn unavailable() -> Answer {
    let words = "The record cannot be reached at the moment, and nothing was changed. Try again in a minute.";
    let mut answer = notice(StatusCode::SERVICE_UNAVAILABLE, "Not available just now", words);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    answer
}

/// A page of few words outside the frame. It is made where nothing is known of who reads it; [`in_colours`] sees to
/// that.
pub(crate) fn notice(status: StatusCode, title: &str, words: &str) -> Answer {
    let mut answer = html(status, &Notice { title, theme: Theme::System, words });
    answer.extensions_mut().insert(Said { title: title.to_owned(), words: words.to_owned() });
    answer
}

/// What a notice says, kept with it.
#[derive(Clone)]
struct Said {
    title: String,
    words: String,
}

/// Shows a notice in the colours that its reader chose. Every answer goes through here.
pub(crate) async fn in_colours(theme: Theme, request: Request, next: Next) -> axum::response::Response {
    let mut answer = next.run(request).await;
    match answer.extensions_mut().remove::<Said>() {
        Some(Said { title, words }) if theme != Theme::System => {
            let notice = Notice { title: &title, theme, words: &words };
            let (mut head, _) = answer.into_parts();
            let (own, body) = html(head.status, &notice).into_parts();
            head.status = own.status;
            axum::response::Response::from_parts(head, Body::new(body))
        }
        _ => answer,
    }
}

/// A table as a file to download: `name` without its ending. Cells that a spreadsheet would run as a formula are told
/// to be text.
pub(crate) fn csv(name: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Answer {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    let mut written = writer.write_record(head);
    for row in rows {
        written =
            written.and_then(|()| writer.write_record(row.iter().map(|cell| neutral(cell).into_owned())));
    }
    let bytes = written.map_err(|error| error.to_string());
    let Ok(bytes) = bytes.and_then(|()| writer.into_inner().map_err(|error| error.to_string())) else {
        return unavailable();
    };
    let mut answer = answer(StatusCode::OK, "text/csv; charset=utf-8", bytes);
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let file: String = name.chars().take(100).map(safe).collect();
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{file}.csv\"")) {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    answer
}

/// A cell that no spreadsheet runs. A plain number keeps its minus sign: it cannot do harm.
fn neutral(cell: &str) -> std::borrow::Cow<'_, str> {
    let number = cell.strip_prefix('-').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

fn answer(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(content.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    secure(answer.headers_mut());
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(answer: Answer) -> String {
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_policy_allows_nothing_inline_and_nothing_from_elsewhere() {
        for answer in [absent(), forbidden(), unavailable(), csv("x", &[], []), see_other("/offers")] {
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
            assert!(!policy.contains('*') && !policy.contains("http"));
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn a_redirect_cannot_be_split() {
        assert_eq!(see_other("/a\r\nSet-Cookie: x=y").headers()[header::LOCATION], "/");
    }

    #[tokio::test]
    async fn a_file_runs_in_no_spreadsheet() {
        let cells = ["=1+1", "+1", "-1+1", "@x", "\tx", "\rx", "-12.50", "a,\"b\"", "plain"];
        let answer = csv("clicks; 2026", &["a"], cells.map(|cell| vec![cell.to_owned()]));
        assert_eq!(
            answer.headers()[header::CONTENT_DISPOSITION],
            "attachment; filename=\"clicks__2026.csv\""
        );
        let expected = "a\n'=1+1\n'+1\n'-1+1\n'@x\n'\tx\n\"'\rx\"\n-12.50\n\"a,\"\"b\"\"\"\nplain\n";
        assert_eq!(text(answer).await, expected);
    }

    #[tokio::test]
    async fn a_notice_is_a_whole_page_and_escapes() {
        let page = text(notice(StatusCode::OK, "<script>", "<img onerror>")).await;
        assert!(!page.contains("<script>") && !page.contains("<img") && page.contains("</html>"));
        assert_eq!(page.matches("<h1").count(), 1);
    }

    #[test]
    fn keys_and_addresses_of_the_rail_are_unique() {
        for (at, entry) in Section::RAIL.iter().enumerate() {
            let others = &Section::RAIL[..at];
            assert!(!others.iter().any(|other| other.key == entry.key || other.href == entry.href));
        }
        assert_eq!(Section::RAIL.iter().filter(|entry| entry.major).count(), 5);
    }
}
