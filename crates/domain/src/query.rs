//! Strict reading of `name=value&name=value`: decoded exactly once, valid UTF-8, no control characters.

use std::borrow::Cow;

/// More parameters than this in one request are refused as a whole.
pub const MAX_PARAMETERS: usize = 100;

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A `%` without two hexadecimal digits behind it.
    #[error("has a `%` that is not followed by two hexadecimal digits")]
    Encoding,
    /// The bytes are not UTF-8.
    #[error("is not valid UTF-8")]
    Utf8,
    /// NUL, CR, LF, DEL or another control character.
    #[error("contains a control character")]
    Control,
    /// Longer than its limit, in bytes after decoding.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// The parameter stands there twice.
    #[error("is given more than once")]
    Twice,
    /// The request carries more than [`MAX_PARAMETERS`].
    #[error("has more than 100 parameters")]
    TooMany,
}

/// How `+` reads: as itself in a URL's query, as a space in a form body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// A plus sign: click ids in base64 arrive unharmed.
    Literal,
    /// A space, as browsers send forms.
    Space,
}

/// The raw pairs of a query, in order; a pair without `=` has an empty value, empty pairs are skipped.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes one raw value, once.
pub fn decode(raw: &str, plus: Plus) -> Result<Cow<'_, str>, Malformed> {
    let spaced = plus == Plus::Space && raw.contains('+');
    if !spaced && !raw.contains('%') {
        return if has_control(raw) { Err(Malformed::Control) } else { Ok(Cow::Borrowed(raw)) };
    }
    if !encoding_is_sound(raw.as_bytes()) {
        return Err(Malformed::Encoding);
    }
    let raw = if spaced { Cow::Owned(raw.replace('+', " ")) } else { Cow::Borrowed(raw) };
    let text = match percent_encoding::percent_decode_str(&raw).decode_utf8() {
        Ok(text) => text.into_owned(),
        Err(_) => return Err(Malformed::Utf8),
    };
    if has_control(&text) { Err(Malformed::Control) } else { Ok(Cow::Owned(text)) }
}

/// Whether the text holds a control character (C0, DEL or C1).
#[allow(clippy::needless_bitwise_bool, reason = "without a branch for each byte it is done in vectors")]
pub fn has_control(text: &str) -> bool {
    // The bytes settle nearly every value, all of them at once, which the compiler turns into vector instructions; only
    // text beyond ASCII is read as characters, for C1.
    text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == 0x7f))
        || (!text.is_ascii() && text.chars().any(char::is_control))
}

fn encoding_is_sound(raw: &[u8]) -> bool {
    let mut at = 0;
    while at < raw.len() {
        if raw[at] != b'%' {
            at += 1;
            continue;
        }
        let hex = |offset: usize| raw.get(at + offset).is_some_and(u8::is_ascii_hexdigit);
        if !(hex(1) && hex(2)) {
            return false;
        }
        at += 3;
    }
    true
}
