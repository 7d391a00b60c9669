//! What every page of the simulators has in common: its headers, its style sheet, and a URL shown part by
//! part.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::query::{self, Pair};

/// No script, nothing from elsewhere, forms only to the page's own listener.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The template as a page, or a plain 500 when it does not render.
pub(crate) fn answer(status: StatusCode, template: &impl Template) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    match template.render() {
        Ok(html) => (status, headers, Html(html)).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, headers, format!("The page did not render: {error}\n"))
                .into_response()
        }
    }
}

/// The style sheet of both simulators.
pub(crate) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=60")];
    (headers, include_str!("../static/style.css")).into_response()
}

/// A page that says that something is not here, and what to do instead.
#[derive(Template)]
#[template(path = "missing.html")]
pub(crate) struct Missing<'a> {
    /// `advertiser` or `partner`, for the banner.
    pub(crate) role: &'a str,
    pub(crate) name: &'a str,
    pub(crate) what: &'a str,
}

impl Missing<'_> {
    pub(crate) fn answer(&self) -> Response {
        answer(StatusCode::NOT_FOUND, self)
    }
}

/// A URL taken apart for display, each parameter with its kind; joined again it is the URL exactly as it was
/// sent.
pub(crate) struct ShownUrl {
    pub(crate) base: String,
    pub(crate) parameters: Vec<ShownParameter>,
}

/// One `name=value` of a shown URL, still percent-encoded.
pub(crate) struct ShownParameter {
    /// `?` before the first, `&` before the others.
    pub(crate) separator: char,
    pub(crate) name: String,
    pub(crate) value: String,
    /// The CSS class: `required`, `optional` or `secret`.
    pub(crate) kind: &'static str,
}

impl ShownUrl {
    /// Takes the kind of each parameter from its name.
    pub(crate) fn new(base: &str, pairs: &[Pair], kind: impl Fn(&str) -> &'static str) -> Self {
        let mut separator = if base.contains('?') { '&' } else { '?' };
        let mut parameters = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let kind = kind(name);
            let value = if kind == "secret" {
                "••••••••".to_owned()
            } else {
                query::encode_value(value)
            };
            parameters.push(ShownParameter { separator, name: query::encode_value(name), value, kind });
            separator = '&';
        }
        Self { base: base.to_owned(), parameters }
    }

    /// A request target as it came, taken apart and not decoded.
    pub(crate) fn raw(target: &str) -> Self {
        let (base, query) = target.split_once('?').unwrap_or((target, ""));
        let mut separator = '?';
        let mut parameters = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.to_owned(), value.to_owned());
            parameters.push(ShownParameter { separator, name, value, kind: "optional" });
            separator = '&';
        }
        Self { base: base.to_owned(), parameters }
    }

    /// The whole URL in one piece.
    pub(crate) fn href(&self) -> String {
        let mut url = self.base.clone();
        for at in &self.parameters {
            url.push(at.separator);
            url.push_str(&at.name);
            url.push('=');
            url.push_str(&at.value);
        }
        url
    }
}
