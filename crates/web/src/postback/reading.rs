//! Reads the parameters of a postback from path, query and body: each name once, each value decoded once.

use std::fmt;

use axum::http::HeaderValue;
use domain::inbound::{Answer, Fields, KEPT, Postback, Refusal};
use domain::query::{self, MAX_PARAMETERS, Malformed, Plus};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The names that decide something, beside [`KEPT`]; every other name is ignored.
const DECIDING: [&str; 7] = [
    "gk_click_id",
    "cnv_event_id",
    "event_id",
    "cnv_amount",
    "cnv_currency",
    "cnv_conversion_id",
    "cnv_status",
];

const TOKEN: &str = "token";

/// What was found so far. Reading goes on after a fault, so that a token behind it is still seen and masked.
#[derive(Default)]
pub(super) struct Reading {
    fields: Fields,
    token: Option<String>,
    secrets: Vec<String>,
    refusal: Option<Refusal>,
    count: usize,
}

impl Reading {
    /// The token of the path, as it was sent.
    pub(super) fn path_token(&mut self, raw: &str) {
        self.take_encoded(TOKEN, raw, Plus::Literal);
    }

    /// A raw query.
    pub(super) fn query(&mut self, raw: &str) {
        self.pairs(raw, Plus::Literal);
    }

    /// A body of this content type; an empty one is none.
    pub(super) fn body(&mut self, content_type: Option<&HeaderValue>, body: &[u8]) {
        if body.is_empty() {
            return;
        }
        let given = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let Ok(text) = std::str::from_utf8(body) else {
            return self.refuse("the body is not valid UTF-8".to_owned());
        };
        match media.as_str() {
            "application/x-www-form-urlencoded" => self.pairs(text, Plus::Space),
            "application/json" => self.json(text),
            media if media.starts_with("application/") && media.ends_with("+json") => self.json(text),
            "" => self.refuse(format!("the body has no Content-Type; {SEND}")),
            media => self.refuse(format!("the body is {media}, which is not read; {SEND}")),
        }
    }

    /// Refuses the request as malformed; the first refusal stands.
    pub(super) fn refuse(&mut self, message: String) {
        self.refusal.get_or_insert_with(|| Refusal::new(Answer::ParameterMalformed, message));
    }

    /// The first token that was given.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Every token that was given, as it was sent and as it reads.
    pub(super) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The postback, or the first thing that is wrong.
    pub(super) fn postback(&self) -> Result<Postback, Refusal> {
        match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => self.fields.read(),
        }
    }

    fn pairs(&mut self, raw: &str, plus: Plus) {
        for (name, value) in query::pairs(raw) {
            if !self.has_room() {
                return;
            }
            match query::decode(name, plus) {
                Ok(name) => self.take_encoded(&name, value, plus),
                Err(wrong) => self.refuse(format!("a parameter's name {wrong}")),
            }
        }
    }

    fn json(&mut self, text: &str) {
        let Ok(object) = serde_json::from_str::<Object<'_>>(text) else {
            return self.refuse("the body is not a JSON object".to_owned());
        };
        for (name, raw) in object.0 {
            if !self.has_room() {
                return;
            }
            let raw = raw.get();
            if name == TOKEN {
                self.secrets.push(raw.trim_matches('"').to_owned());
            }
            if is_read(&name) {
                match scalar(raw) {
                    Ok(value) => self.take(&name, &value),
                    Err(wrong) => self.refuse(format!("{name} {wrong}; send a text or a number")),
                }
            }
        }
    }

    fn has_room(&mut self) -> bool {
        self.count += 1;
        if self.count > MAX_PARAMETERS {
            self.refuse(format!("the request {}", Malformed::TooMany));
        }
        self.count <= MAX_PARAMETERS
    }

    fn take_encoded(&mut self, name: &str, raw: &str, plus: Plus) {
        if name == TOKEN {
            self.secrets.push(raw.to_owned());
        }
        if is_read(name) {
            match query::decode(raw, plus) {
                Ok(value) => self.take(name, &value),
                Err(wrong) => self.refuse(format!("{name} {wrong}")),
            }
        }
    }

    fn take(&mut self, name: &str, value: &str) {
        if name == TOKEN {
            return self.take_token(value);
        }
        if let Err(refusal) = self.fields.add(name, value) {
            self.refusal.get_or_insert(refusal);
        }
    }

    /// A token is kept apart from the fields: it is never stored.
    fn take_token(&mut self, value: &str) {
        self.secrets.push(value.to_owned());
        match self.token {
            Some(_) => self.refuse(format!("{TOKEN} is given more than once; send it once")),
            None => self.token = Some(value.to_owned()),
        }
    }
}

const SEND: &str = "send application/x-www-form-urlencoded or application/json";

fn is_read(name: &str) -> bool {
    name == TOKEN || DECIDING.contains(&name) || KEPT.contains(&name)
}

/// A JSON text or number as its characters: a number is not computed with, so it stays exactly what was sent.
fn scalar(raw: &str) -> Result<String, &'static str> {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).map_err(|_| "has an escape that is no character"),
        Some(b'-' | b'0'..=b'9') => Ok(raw.to_owned()),
        Some(b't' | b'f') => Err("is a boolean"),
        Some(b'n') => Err("is null"),
        Some(b'[') => Err("is a list"),
        _ => Err("is an object"),
    }
}

/// The members of a JSON object in order, a name that stands there twice included.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLICK: &str = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";

    fn json(body: &str) -> Reading {
        sent("application/json", body.as_bytes())
    }

    fn form(body: &str) -> Reading {
        sent("application/x-www-form-urlencoded", body.as_bytes())
    }

    fn sent(content_type: &str, body: &[u8]) -> Reading {
        let mut reading = Reading::default();
        reading.body(Some(&content_type.parse().unwrap()), body);
        reading
    }

    fn queried(query: &str) -> Reading {
        let mut reading = Reading::default();
        reading.query(query);
        reading
    }

    fn refusal(reading: &Reading) -> String {
        let refusal = reading.postback().unwrap_err();
        assert_eq!(refusal.answer, Answer::ParameterMalformed);
        refusal.message
    }

    #[test]
    fn the_same_postback_reads_alike_however_it_is_sent() {
        let query =
            queried(&format!("gk_click_id={CLICK}&token=s3cret&event_id=sign+up&cnv_amount=12.50&x=1"));
        let form = form(&format!("gk_click_id={CLICK}&token=s3cret&event_id=sign%2Bup&cnv_amount=12.50&x=1"));
        let json = json(&format!(
            r#"{{"gk_click_id":"{CLICK}","token":"s3cret","cnv_event_id":"sign+up","cnv_amount":12.50,"x":[1]}}"#
        ));
        assert_eq!(query.postback().unwrap().event_code.as_deref(), Some("sign+up"));
        for reading in [&query, &form, &json] {
            assert_eq!(reading.postback(), query.postback());
            assert_eq!(reading.token(), Some("s3cret"));
        }
    }

    #[test]
    fn a_plus_in_a_form_is_a_space() {
        let reading = form(&format!("gk_click_id={CLICK}&cnv_sub_1=a+b"));
        assert_eq!(reading.postback().unwrap().kept["cnv_sub_1"], "a b");
    }

    #[test]
    fn numbers_keep_their_characters() {
        assert_eq!(scalar("0.10000000000000000001").as_deref(), Ok("0.10000000000000000001"));
        assert_eq!(scalar("123456789012345678901234567890").as_deref(), Ok("123456789012345678901234567890"));
        assert_eq!(scalar(r#""a\u00e9\n""#).as_deref(), Ok("aé\n"));
        let reading =
            json(&format!(r#"{{"gk_click_id":"{CLICK}","cnv_amount":0.000001,"cnv_conversion_id":1e400}}"#));
        let postback = reading.postback().unwrap();
        assert_eq!(postback.amount_micros, Some(1));
        assert_eq!(postback.advertiser_key.as_deref(), Some("1e400"));
    }

    #[test]
    fn what_is_no_text_or_number_is_named() {
        let values = [
            ("true", "a boolean"),
            ("null", "null"),
            ("[1]", "a list"),
            ("{}", "an object"),
            ("false", "a boolean"),
        ];
        for (value, kind) in values {
            let reading = json(&format!(r#"{{"gk_click_id":"{CLICK}","cnv_amount":{value}}}"#));
            assert_eq!(refusal(&reading), format!("cnv_amount is {kind}; send a text or a number"));
        }
        let ignored = json(&format!(r#"{{"gk_click_id":"{CLICK}","meta":{{"a":null}},"ok":true}}"#));
        assert!(ignored.postback().is_ok());
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let twice = "is given more than once; send it once";
        for reading in [
            queried("cnv_amount=1&cnv_amount=1"),
            form("cnv_event_id=a&event_id=a"),
            json(r#"{"cnv_status":"1","cnv_status":"1"}"#),
            queried("token=a&token=b"),
        ] {
            assert!(refusal(&reading).ends_with(twice), "{}", refusal(&reading));
        }
        let mut split = queried(&format!("gk_click_id={CLICK}"));
        split.body(
            Some(&HeaderValue::from_static("application/json; charset=utf-8")),
            b"{\"gk_click_id\":\"\"}",
        );
        assert_eq!(refusal(&split), format!("gk_click_id {twice}"));
        let mut path = Reading::default();
        path.path_token("one");
        path.query("token=two");
        assert_eq!(path.token(), Some("one"));
        assert_eq!(refusal(&path), format!("token {twice}"));
    }

    #[test]
    fn malformed_requests_say_what_is_wrong_and_still_show_their_token() {
        let cases = [
            (
                queried("cnv_sub_1=%zz&token=s"),
                "cnv_sub_1 has a `%` that is not followed by two hexadecimal digits",
            ),
            (queried("cnv_sub_1=%ff&token=s"), "cnv_sub_1 is not valid UTF-8"),
            (queried("%ff=1&token=s"), "a parameter's name is not valid UTF-8"),
            (json(r#"{"cnv_sub_1":"\u0000","token":"s"}"#), "cnv_sub_1 contains a control character"),
        ];
        for (reading, message) in cases {
            assert_eq!(refusal(&reading), message);
            assert_eq!(reading.token(), Some("s"));
        }
        for body in ["[]", "\"x\"", "{", "{\"a\":1}x", "1"] {
            assert_eq!(refusal(&json(body)), "the body is not a JSON object", "{body}");
        }
        assert_eq!(refusal(&sent("application/json", b"{\"a\":\"\xff\"}")), "the body is not valid UTF-8");
    }

    #[test]
    fn parameters_are_counted_together() {
        let hundred = vec!["x=1"; 100].join("&");
        assert!(queried(&hundred).refusal.is_none());
        let mut more = queried(&hundred);
        more.body(Some(&HeaderValue::from_static("application/json")), b"{\"x\":1}");
        assert_eq!(refusal(&more), "the request has more than 100 parameters");
        assert_eq!(refusal(&json(&format!("{{{}}}", vec!["\"x\":1"; 101].join(",")))), refusal(&more));
    }

    #[test]
    fn only_forms_and_json_are_read() {
        assert!(sent("multipart/form-data; boundary=x", b"").refusal.is_none());
        let named = "the body is multipart/form-data, which is not read; send application/x-www-form-urlencoded or \
                     application/json";
        assert_eq!(refusal(&sent("Multipart/Form-Data; boundary=x", b"y")), named);
        let mut bare = Reading::default();
        bare.body(None, b"gk_click_id=x");
        assert!(refusal(&bare).starts_with("the body has no Content-Type"));
        assert!(sent("application/vnd.acme+json", b"{}").refusal.is_none());
    }
}
