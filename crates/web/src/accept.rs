//! Whether a client wants a page or data, by its `Accept` headers.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether the client prefers an HTML page to JSON. Who says nothing, or likes both alike, is a program.
pub(crate) fn prefers_html(headers: &HeaderMap) -> bool {
    let mut html = Best::default();
    let mut json = Best::default();
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for range in lines.flat_map(|line| line.split(',')) {
        let (media, quality) = media_and_quality(range);
        html.consider(specificity(media, "text", "html"), quality);
        json.consider(specificity(media, "application", "json"), quality);
    }
    html.quality > json.quality
}

/// The quality of the most specific range so far; equally specific ranges take the better one.
#[derive(Default)]
struct Best {
    specificity: u8,
    quality: u16,
}

impl Best {
    fn consider(&mut self, specificity: u8, quality: u16) {
        if specificity > self.specificity {
            *self = Self { specificity, quality };
        } else if specificity == self.specificity && specificity > 0 {
            self.quality = self.quality.max(quality);
        }
    }
}

/// How closely a media range names `kind/form`: 3 exactly, 2 `kind/*`, 1 `*/*`, 0 not at all.
fn specificity(range: &str, kind: &str, form: &str) -> u8 {
    let Some((range_kind, range_form)) = range.split_once('/') else { return 0 };
    match (range_kind.eq_ignore_ascii_case(kind), range_form) {
        (true, found) if found.eq_ignore_ascii_case(form) => 3,
        (true, "*") => 2,
        (false, "*") if range_kind == "*" => 1,
        _ => 0,
    }
}

/// A media range without its parameters, and its quality in thousandths. A quality that cannot be read is none given.
fn media_and_quality(range: &str) -> (&str, u16) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let given = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    (media, given.and_then(thousandths).unwrap_or(1_000))
}

/// `0`, `0.7`, `0.75`, `1.000` as thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1")
        || decimals.len() > 3
        || !decimals.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let digits: u16 = format!("{whole}{decimals:0<3}").parse().ok()?;
    Some(digits.min(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, line.parse().unwrap());
        }
        prefers_html(&headers)
    }

    #[test]
    fn programs_get_json() {
        for accept in
            ["*/*", "application/json", "application/*", "text/html;q=0", "text/plain", "", "garbage"]
        {
            assert!(!html(&[accept]), "{accept}");
        }
        assert!(!html(&[]));
        assert!(!html(&["text/html, application/json"]));
        assert!(!html(&["text/html;q=0.5, application/json;q=0.9"]));
        assert!(!html(&["text/html;q=0.500", "*/*;q=0.501"]));
    }

    #[test]
    fn browsers_get_a_page() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        assert!(html(&[chromium]));
        assert!(html(&["text/*"]));
        assert!(html(&["TEXT/HTML ; Q=0.2"]));
        assert!(html(&["application/json;q=0.1", "text/html;level=1;q=0.2"]));
        assert!(html(&["application/json;q=0, */*"]));
        assert!(html(&["text/html;q=nonsense, application/json;q=0.9"]));
    }
}
