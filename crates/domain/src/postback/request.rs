//! The request that tells news: what is sent, and what a preview shows.

use super::{Method, News, PostbackUrl};

/// A request without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The filled-in URL.
    pub url: String,
    /// The kind of the body; none for `GET`.
    pub content_type: Option<&'static str>,
    /// The body; empty for `GET`.
    pub body: String,
}

impl News {
    /// The request that tells this news to a postback.
    pub fn request(&self, method: Method, template: &PostbackUrl) -> Request {
        let (method, content_type, body) = match method {
            Method::Get => ("GET", None, String::new()),
            Method::Form => ("POST", Some("application/x-www-form-urlencoded"), self.form()),
            Method::Json => ("POST", Some("application/json"), self.json()),
        };
        Request { method, url: self.url(template), content_type, body }
    }

    fn form(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(self.fields()).finish()
    }

    fn json(&self) -> String {
        let fields = self.fields().into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        serde_json::Value::Object(fields.collect()).to_string()
    }
}
