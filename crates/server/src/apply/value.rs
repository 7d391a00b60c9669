//! The kinds of values that the file has, each read from what TOML gives, with words for what is wrong.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use domain::click::Destination;
use domain::money::{Currency, Percent, Rate, parse_micros};
use domain::query::has_control;
use domain::secret::SecretHash;
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use ipnet::IpNet;
use toml::de::DeValue;
use url::Url;

use super::fields::kind;

/// The longest name, in characters.
const MAX_NAME: usize = 200;
/// The longest description, in characters.
const MAX_PROSE: usize = 10_000;
/// The longest value of a sub parameter, in bytes.
const MAX_SUB_BYTES: usize = 500;
/// How long a token of an advertiser's own may be, in characters. Less could be guessed.
const TOKEN_LENGTH: RangeInclusive<usize> = 16..=200;
/// The longest length of time: ten years.
const LONGEST_MS: i64 = 3_650 * DAY_MS;

type Read<T> = Result<T, String>;

/// A text in quotes.
pub(crate) fn string<'v>(value: &'v DeValue<'_>) -> Read<&'v str> {
    value.as_str().ok_or_else(|| format!("a text in quotes is needed, not {}", kind(value)))
}

fn parsed<T: FromStr>(value: &DeValue<'_>) -> Read<T>
where
    T::Err: Display,
{
    string(value)?.parse().map_err(|why: T::Err| why.to_string())
}

/// One of an enum's codes.
pub(crate) fn code<T: FromStr>(value: &DeValue<'_>) -> Read<T>
where
    T::Err: Display,
{
    parsed(value)
}

/// A name for people: one line, not empty.
pub(crate) fn name(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?;
    if text.trim() != text || text.is_empty() {
        return Err("must not be empty, nor begin or end with a space".to_owned());
    }
    if text.chars().count() > MAX_NAME || has_control(text) {
        return Err(format!("must be one line of at most {MAX_NAME} characters"));
    }
    Ok(text.to_owned())
}

/// Text for people, with line breaks.
pub(crate) fn prose(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?;
    let odd = text.chars().any(|char| char.is_control() && !matches!(char, '\n' | '\t'));
    if odd || text.chars().count() > MAX_PROSE {
        return Err(format!(
            "must be at most {MAX_PROSE} characters, and no control characters but line breaks"
        ));
    }
    Ok(text.to_owned())
}

/// The name of a thing in the file and in its addresses.
pub(crate) fn slug(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?;
    domain::slug::check(text).map(|()| text.to_owned()).map_err(|bad| bad.to_string())
}

/// A network's label, which is part of its host names.
pub(crate) fn label(value: &DeValue<'_>) -> Read<String> {
    let text = slug(value)?;
    if text.starts_with('-') || text.ends_with('-') {
        return Err(format!("`{text}` must not begin or end with -, because it is part of host names"));
    }
    Ok(text)
}

/// The id that an advertiser sends for an event.
pub(crate) fn event_code(value: &DeValue<'_>) -> Read<String> {
    let text = name(value)?;
    if text.len() > 100 { Err("must be at most 100 bytes".to_owned()) } else { Ok(text) }
}

/// An e-mail address, in lower case.
pub(crate) fn email(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?.to_ascii_lowercase();
    let (user, host) = text.rsplit_once('@').unwrap_or_default();
    let odd = text.len() > 254 || text.contains(|char: char| char.is_whitespace() || char.is_control());
    let host_is_sound = host.contains('.') && !host.starts_with('.') && !host.ends_with('.');
    if odd || user.is_empty() || user.contains('@') || !host_is_sound {
        return Err(format!("`{text}` is not an e-mail address"));
    }
    Ok(text)
}

/// `true` or `false`.
pub(crate) fn flag(value: &DeValue<'_>) -> Read<bool> {
    value.as_bool().ok_or_else(|| format!("true or false, without quotes, is needed, not {}", kind(value)))
}

/// A whole number in a range.
pub(crate) fn whole(value: &DeValue<'_>, range: &RangeInclusive<i64>) -> Read<i64> {
    let Some(number) = value.as_integer() else {
        return Err(format!("a whole number without quotes is needed, not {}", kind(value)));
    };
    let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
    read.filter(|number| range.contains(number))
        .ok_or_else(|| format!("{number} is not between {} and {}", range.start(), range.end()))
}

/// An ISO 4217 currency.
pub(crate) fn currency(value: &DeValue<'_>) -> Read<Currency> {
    parsed(value)
}

/// A fixed amount like `"1.20"`, or a share like `"12.5%"`.
pub(crate) fn rate(value: &DeValue<'_>) -> Read<Rate> {
    if matches!(value, DeValue::Integer(_) | DeValue::Float(_)) {
        return Err("money is written in quotes, like \"1.20\" or \"12.5%\"".to_owned());
    }
    let text = string(value)?;
    match text.strip_suffix('%') {
        Some(share) => share.trim_end().parse::<Percent>().map(Rate::Share).map_err(|why| why.to_string()),
        None => parse_micros(text).map(Rate::Flat).map_err(|why| why.to_string()),
    }
}

/// An amount above nothing, in micro-units.
pub(crate) fn amount(value: &DeValue<'_>) -> Read<i64> {
    match rate(value)? {
        Rate::Flat(micros) if micros > 0 => Ok(micros),
        Rate::Flat(_) => Err("must be more than 0; leave it out for no limit".to_owned()),
        Rate::Share(_) => Err("an amount like \"100.00\" is needed, not a share".to_owned()),
    }
}

/// A point in time, with its offset.
pub(crate) fn moment(value: &DeValue<'_>) -> Read<Timestamp> {
    let text = match value {
        DeValue::Datetime(written) => written.to_string(),
        other => string(other)?.to_owned(),
    };
    text.parse().map_err(|_| format!("`{text}` is not a time with an offset, like 2026-11-22T20:00:00Z"))
}

/// A length of time like `"30d"`, in milliseconds: at least a minute.
pub(crate) fn window(value: &DeValue<'_>) -> Read<i64> {
    length(value, &UNITS[..4], "\"30d\", \"12h\" or \"90m\"", MINUTE_MS)
}

/// A length of time like `"10s"`, in milliseconds: at least a second.
pub(crate) fn delay(value: &DeValue<'_>) -> Read<i64> {
    length(value, &UNITS, "\"10s\", \"5m\", \"12h\" or \"2d\"", SECOND_MS)
}

fn length(value: &DeValue<'_>, units: &[(&str, i64)], like: &str, least_ms: i64) -> Read<i64> {
    let text = string(value)?;
    let wrong = || format!("`{text}` is not a length of time like {like}");
    let (number, unit_ms) = units
        .iter()
        .find_map(|(unit, ms)| text.strip_suffix(unit).map(|number| (number, ms)))
        .ok_or_else(wrong)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let ms = number.parse::<i64>().ok().filter(|_| digits).and_then(|number| number.checked_mul(*unit_ms));
    let ms = ms.ok_or_else(wrong)?;
    if (least_ms..=LONGEST_MS).contains(&ms) {
        return Ok(ms);
    }
    Err(format!("`{text}` is not between {} and {}", length_text(least_ms), length_text(LONGEST_MS)))
}

const UNITS: [(&str, i64); 5] =
    [("w", 7 * DAY_MS), ("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS)];

/// Writes a length of time as [`window`] and [`delay`] read it.
pub(crate) fn length_text(ms: i64) -> String {
    let fits = UNITS[1..].iter().find(|(_, unit)| ms % unit == 0);
    fits.map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

/// An IANA time zone.
pub(crate) fn zone(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?;
    match jiff::tz::TimeZone::get(text) {
        // The database finds names whatever their case; what is stored has one spelling.
        Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
        Err(_) => Err(format!("`{text}` is not a time zone; write it like Europe/Berlin or UTC")),
    }
}

/// A language's primary tag, in lower case.
pub(crate) fn language(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?;
    if (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("`{text}` is not a language; write it like de, without a country behind it"))
}

/// The value of a sub parameter, or a part of it.
pub(crate) fn sub(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?;
    if text.is_empty() || text.len() > MAX_SUB_BYTES || has_control(text) {
        return Err(format!("must be 1 to {MAX_SUB_BYTES} bytes without control characters"));
    }
    Ok(text.to_owned())
}

/// A range of addresses, or one address.
pub(crate) fn addresses(value: &DeValue<'_>) -> Read<IpNet> {
    let text = string(value)?;
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    let Ok(range) = text.parse::<IpNet>().or_else(|_| single()) else {
        return Err(format!("`{text}` is not an address range like 203.0.113.0/24 or 2001:db8::/32"));
    };
    if range.trunc() != range {
        return Err(format!("`{text}` has bits behind its prefix; did you mean {}?", range.trunc()));
    }
    if range.addr().to_canonical() != range.addr() {
        return Err(format!("`{text}` is an IPv4 address in IPv6 form; write it as IPv4"));
    }
    Ok(range)
}

/// A URL that visitors are sent to as it is.
pub(crate) fn plain_url(value: &DeValue<'_>) -> Read<String> {
    let text = string(value)?;
    if text.contains(['{', '}']) {
        return Err("macros are not replaced here; write a plain URL".to_owned());
    }
    Destination::parse(text).map_err(|why| why.to_string())?;
    Url::parse(text).map(String::from).map_err(|why| why.to_string())
}

/// A token that an advertiser already has in its systems; only its hash is kept.
pub(crate) fn token(value: &DeValue<'_>) -> Read<SecretHash> {
    let text = string(value)?;
    // The token itself stays out of the message: messages end in logs.
    if TOKEN_LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(SecretHash::of(text));
    }
    Err("a token is 16 to 200 visible ASCII characters without spaces".to_owned())
}

/// A URL template.
pub(crate) fn template<T, E: Display>(
    value: &DeValue<'_>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Read<T> {
    parse(string(value)?).map_err(|why| why.to_string())
}
