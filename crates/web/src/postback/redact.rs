//! Masks tokens in what is kept of a request, also where the request is too broken to be read.

use std::borrow::Cow;

/// What stands where a token stood.
const MASK: &str = "***";

/// The most that is kept of a target or body, in bytes.
const MAX_KEPT_BYTES: usize = 4 * 1024;

/// A text this short is no token of ours; replacing it everywhere would garble the rest.
const MIN_SECRET_BYTES: usize = 8;

/// A request target without its tokens: the one in the path, the known ones, and whatever is called a token.
pub(super) fn target(target: &str, path_token: Option<&str>, secrets: &[String]) -> String {
    let shown = match path_token {
        Some(token) => target.replacen(&format!("/{token}"), &format!("/{MASK}"), 1),
        None => target.to_owned(),
    };
    cut(masked(&shown, secrets))
}

/// A body as text without its tokens.
pub(super) fn body(body: &[u8], secrets: &[String]) -> String {
    if body.is_empty() {
        return String::new();
    }
    // PostgreSQL keeps no NUL in a text.
    let text = String::from_utf8_lossy(body).replace('\0', "\u{fffd}");
    cut(masked(&text, secrets))
}

fn masked(text: &str, secrets: &[String]) -> String {
    let mut secrets: Vec<&str> =
        secrets.iter().map(String::as_str).filter(|secret| secret.len() >= MIN_SECRET_BYTES).collect();
    // One may begin with another: the longest goes first, or its end would stay.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    let known = secrets.iter().fold(Cow::Borrowed(text), |text, secret| text.replace(secret, MASK).into());
    mask_named(&known)
}

/// Masks every value behind a name that ends in `token`, by its look alone, so that it works on any garbage.
fn mask_named(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(found) = find_token(&text.as_bytes()[done..]) {
        let behind = done + found + TOKEN.len();
        out.push_str(&text[done..behind]);
        done = behind;
        if let Some((from, to)) = value(&text[behind..]) {
            out.push_str(&text[behind..behind + from]);
            out.push_str(MASK);
            done = behind + to;
        }
    }
    out.push_str(&text[done..]);
    out
}

const TOKEN: &[u8] = b"token";

fn find_token(bytes: &[u8]) -> Option<usize> {
    let is_there = |own: &[u8]| own[0] | 0x20 == TOKEN[0] && own.eq_ignore_ascii_case(TOKEN);
    bytes.windows(TOKEN.len()).position(is_there)
}

/// Where the value stands in what follows a name: `=value`, `":"value"`, `%3Dvalue`.
fn value(rest: &str) -> Option<(usize, usize)> {
    let named = rest.trim_start_matches(['"', '\'', '\\', ' ']);
    let assigned = ["=", ":", "%3d", "%3D", "%3a", "%3A"].iter().find_map(|sign| named.strip_prefix(sign))?;
    let start = assigned.trim_start_matches(['"', '\'', '\\', ' ']);
    let end = start.find(['&', '"', '\'', ',', ';', '}', ' ', '\n', '\r']).unwrap_or(start.len());
    let end = start[..end].find("%26").unwrap_or(end);
    let from = rest.len() - start.len();
    (end > 0).then_some((from, from + end))
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_KEPT_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "pbt_0123456789abcdef";

    fn secrets(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_path_keeps_its_shape() {
        let shown = target("/api/v1/postback/short?gk_click_id=1", Some("short"), &secrets(&["short"]));
        assert_eq!(shown, "/api/v1/postback/***?gk_click_id=1");
        let both = format!("/api/v1/postback/{SECRET}?token={SECRET}2&cnv_sub_1={SECRET}");
        let known = secrets(&[SECRET, &format!("{SECRET}2")]);
        assert_eq!(target(&both, Some(SECRET), &known), "/api/v1/postback/***?token=***&cnv_sub_1=***");
    }

    #[test]
    fn whatever_is_called_a_token_is_masked_in_any_garbage() {
        let cases = [
            ("/postback?a=1&token=SECRET&b=2", "/postback?a=1&token=***&b=2"),
            ("/postback?Token=SECRET", "/postback?Token=***"),
            ("/postback?a%3D1%26token%3DSECRET%26b%3D2", "/postback?a%3D1%26token%3D***%26b%3D2"),
            ("token=%zz", "token=***"),
            ("token=SE%26CRET", "token=***%26CRET"),
            (r#"{"token": "SECRET", "a": 1"#, r#"{"token": "***", "a": 1"#),
            (r#"{"data":{"my_token":'SECRET'}}"#, r#"{"data":{"my_token":'***'}}"#),
            ("{\"token\":123}", "{\"token\":***}"),
            ("token: SECRET\r\nother: 1", "token: ***\r\nother: 1"),
            (r#"{"body":"{\"token\":\"SECRET\"}"}"#, r#"{"body":"{\"token\":\"***"}"}"#),
            ("token=&a=1", "token=&a=1"),
            ("tokens are secret", "tokens are secret"),
            ("token", "token"),
        ];
        for (given, shown) in cases {
            assert_eq!(body(given.as_bytes(), &[]), shown, "{given}");
        }
    }

    #[test]
    fn a_known_token_is_masked_wherever_it_stands() {
        let text = format!("%74oken={SECRET}&cnv_sub_1={SECRET}");
        assert_eq!(body(text.as_bytes(), &secrets(&[SECRET])), "%74oken=***&cnv_sub_1=***");
        assert_eq!(body(b"cnv_status=1", &secrets(&["1", ""])), "cnv_status=1");
    }

    #[test]
    fn what_is_kept_is_bounded_text_without_nul() {
        let long = "é".repeat(4_000);
        let kept = body(format!("x{long}").as_bytes(), &[]);
        assert_eq!(kept.len(), MAX_KEPT_BYTES - 1);
        assert_eq!(body(b"a\0b\xff", &[]), "a\u{fffd}b\u{fffd}");
    }
}
