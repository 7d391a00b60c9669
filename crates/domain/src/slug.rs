//! Slugs: the short names by which files, commands and addresses know a thing.

/// The longest slug, in bytes.
pub const MAX_BYTES: usize = 63;

/// A text is no slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` must be 1 to 63 of the characters a-z, 0-9 and -")]
pub struct BadSlug(String);

/// Fails unless the text is a slug.
pub fn check(text: &str) -> Result<(), BadSlug> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let sound = text.bytes().all(known) && (1..=MAX_BYTES).contains(&text.len());
    if sound { Ok(()) } else { Err(BadSlug(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, check};

    #[test]
    fn only_short_lower_case_names_are_slugs() {
        for sound in ["a", "all-2", "-", &"x".repeat(MAX_BYTES)] {
            assert_eq!(check(sound), Ok(()));
        }
        for broken in ["", "A", "a_b", "a b", "é", &"x".repeat(MAX_BYTES + 1)] {
            assert!(check(broken).is_err(), "{broken}");
        }
    }
}
