//! Light, dark, or what the reader's system says. Kept in a cookie, so that it holds before the log-in as well.

use std::convert::Infallible;
use std::fmt;

use axum::extract::{Form, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::page::{self, Answer};

/// The cookie that keeps the choice.
const COOKIE: &str = "theme";

/// In which colours pages are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Theme {
    /// As the reader's system says.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Every choice, in the order in which it is offered: its icon and its word.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::System, "screen", "System"), (Self::Light, "sun", "Light"), (Self::Dark, "moon", "Dark")];

    /// What a request's cookie says; anything else than a known word is the system's choice.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let word = pairs.find(|(name, _)| *name == COOKIE).map_or("", |(_, value)| value);
        Self::ALL
            .iter()
            .find(|(theme, _, _)| theme.word() == word)
            .map_or(Self::System, |(theme, _, _)| *theme)
    }

    /// The word in the cookie and in the page's `data-theme`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl<S: Sync> FromRequestParts<S> for Theme {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// What the switch sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Choice {
    theme: Theme,
}

/// Keeps the choice for a year and goes back to the page that it was made on.
pub(crate) async fn choose(headers: HeaderMap, Form(choice): Form<Choice>) -> Answer {
    let mut answer = page::see_other(&back(&headers));
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let cookie = format!("{COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax", choice.theme);
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

/// The path and query of the page that the request came from, never its host.
fn back(headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let from = referer.and_then(|text| url::Url::parse(text).ok());
    let path = from.map(|url| url[url::Position::BeforePath..url::Position::AfterQuery].to_owned());
    // `//host` would be another site's address.
    path.filter(|path| path.starts_with('/') && !path.starts_with("//")).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn the_cookie_is_found_among_others_and_nonsense_is_the_system_s_choice() {
        assert_eq!(Theme::of(&with(header::COOKIE, "a=b; theme=dark; c=d")), Theme::Dark);
        assert_eq!(Theme::of(&with(header::COOKIE, "theme=light")), Theme::Light);
        assert_eq!(Theme::of(&with(header::COOKIE, "theme=\"><script>")), Theme::System);
        assert_eq!(Theme::of(&HeaderMap::new()), Theme::System);
    }

    #[test]
    fn the_way_back_never_leaves_the_site() {
        let back = |text| back(&with(header::REFERER, text));
        assert_eq!(back("https://app.acme.example/offers?sort=name#x"), "/offers?sort=name");
        assert_eq!(back("https://app.acme.example//evil.example/"), "/");
        assert_eq!(back("javascript:alert(1)"), "/");
    }
}
