//! Recognises values that are a tracker's placeholder which nobody replaced, such as `{click_id}`.

use percent_encoding::percent_decode_str;

/// Words that stand for "no value yet" in the links that we hand out, or for "no value" in scripts.
const WORDS: [&str; 5] = ["PUB_MEMBER_ID", "PUB_CLICK_ID", "null", "undefined", "TOBEREPLACED"];

/// What trackers put around a macro's name, longest first.
const WRAPPERS: [(&str, &str); 10] = [
    ("{{", "}}"),
    ("[[", "]]"),
    ("${", "}"),
    ("{", "}"),
    ("[", "]"),
    ("#", "#"),
    ("%", "%"),
    ("<", ">"),
    ("__", "__"),
    ("%%", "%%"),
];

/// Whether the raw (still encoded) value of a parameter is an unreplaced placeholder, also when it is encoded
/// once more than it should be.
pub fn is_placeholder(raw: &str) -> bool {
    if !may_be_placeholder(raw) {
        return false;
    }
    if matches_form(raw) {
        return true;
    }
    let mut text = raw.to_owned();
    // Once as every value is decoded, once more for links that were encoded twice.
    for _ in 0..2 {
        let Ok(decoded) = percent_decode_str(&text).decode_utf8() else { return false };
        if decoded == text {
            return false;
        }
        text = decoded.into_owned();
        if matches_form(&text) {
            return true;
        }
    }
    false
}

/// The name in a tracker's macro: `clickid` of `{clickid}`; none when the text is no macro of a known style.
pub fn bare_name(text: &str) -> Option<&str> {
    WRAPPERS.iter().find_map(|(open, close)| {
        let name = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        name.filter(|name| is_macro_name(name))
    })
}

/// The name in a placeholder that was perhaps encoded: `clickid` of `{clickid}`, `%7Bclickid%7D` and `#clickid#`.
pub fn name(text: &str) -> Option<String> {
    let own = |text: &str| inner(text).map(str::to_owned);
    own(text).or_else(|| own(&percent_decode_str(text).decode_utf8().ok()?))
}

/// The first placeholder inside a text, between what stands before and behind it. Only brackets are looked for: signs
/// such as `%` also stand alone.
pub fn first_in(text: &str) -> Option<(&str, &str, &str)> {
    let brackets = || WRAPPERS.iter().filter(|(open, close)| open != close);
    text.char_indices().find_map(|(at, _)| {
        let (before, rest) = text.split_at(at);
        brackets().find_map(|(open, close)| {
            let close_at = rest.strip_prefix(open)?.find(close)? + open.len();
            let (written, behind) = rest.split_at(close_at + close.len());
            inner(written).map(|_| (before, written, behind))
        })
    })
}

/// The name between a placeholder's signs.
fn inner(text: &str) -> Option<&str> {
    let unwrap = |(open, close): &(&str, &str)| text.strip_prefix(open)?.strip_suffix(close);
    WRAPPERS.iter().filter_map(unwrap).find(|name| is_macro_name(name))
}

/// Cheap: almost every honest value ends here. A placeholder starts with one of few bytes.
fn may_be_placeholder(raw: &str) -> bool {
    matches!(
        raw.as_bytes().first(),
        Some(
            b'{' | b'['
                | b'$'
                | b'#'
                | b'%'
                | b'<'
                | b'_'
                | b'P'
                | b'p'
                | b'n'
                | b'N'
                | b'u'
                | b'U'
                | b'T'
                | b't'
        )
    )
}

fn matches_form(text: &str) -> bool {
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) || bare_name(text).is_some()
}

/// A macro's name is short and made of word characters. A UUID in braces is a value, not a name.
fn is_macro_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b':' | b' ');
    (1..=64).contains(&name.len()) && name.bytes().all(word) && uuid::Uuid::try_parse(name).is_err()
}
