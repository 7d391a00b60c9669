//! Query strings: what is sent is strictly percent-encoded, what is received is decoded as a form is.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What no query holds as it arrives in a request line.
const NEVER_IN_A_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'#');

/// A name and its value, decoded.
pub(crate) type Pair = (String, String);

/// The value as it stands in a URL.
pub(crate) fn encode_value(value: &str) -> String {
    utf8_percent_encode(value, VALUE).to_string()
}

/// `name=value&name=value`, without a leading question mark.
pub(crate) fn encode(pairs: &[Pair]) -> String {
    let parts: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode_value(name), encode_value(value))).collect();
    parts.join("&")
}

/// The query with only what may stand in a request line; a query that came in one stays as it is.
pub(crate) fn visible(query: &str) -> String {
    utf8_percent_encode(query, NEVER_IN_A_QUERY).to_string()
}

/// The pairs of a query string or a form body, in their order; what is not UTF-8 is shown with replacement
/// marks.
pub(crate) fn decode(query: &[u8]) -> Vec<Pair> {
    url::form_urlencoded::parse(query).into_owned().collect()
}

/// The first value of a name, or nothing when the name is absent.
pub(crate) fn first<'a>(pairs: &'a [Pair], name: &str) -> &'a str {
    pairs.iter().find(|(at, _)| at == name).map_or("", |(_, value)| value.as_str())
}

/// The URL with the encoded query appended, whether it has a query already or not.
pub(crate) fn append(url: &str, query: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

#[cfg(test)]
mod tests {
    use super::{append, decode, encode, first, visible};

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let pairs = vec![("a".to_owned(), "x y+z&=%\r\nß".to_owned()), ("b".to_owned(), String::new())];
        let query = encode(&pairs);
        assert_eq!(query, "a=x%20y%2Bz%26%3D%25%0D%0A%C3%9F&b=");
        assert_eq!(decode(query.as_bytes()), pairs);
    }

    #[test]
    fn the_first_of_two_wins_and_none_is_empty() {
        let pairs = decode(b"a=1&a=2");
        assert_eq!(first(&pairs, "a"), "1");
        assert_eq!(first(&pairs, "b"), "");
    }

    #[test]
    fn a_query_cannot_leave_its_line() {
        assert_eq!(visible("a=%20b&c=<d>"), "a=%20b&c=<d>");
        assert_eq!(visible("a=1\r\nSet-Cookie: x#é"), "a=1%0D%0ASet-Cookie:%20x%23%C3%A9");
    }

    #[test]
    fn a_query_is_appended_once() {
        assert_eq!(append("http://h/p", "a=1"), "http://h/p?a=1");
        assert_eq!(append("http://h/p?x=1", "a=1"), "http://h/p?x=1&a=1");
    }
}
