//! Text from strangers, made fit to be read: what a visitor or a partner's server sent must not move a cursor, change
//! colours or reorder what stands beside it.

use std::fmt::Write as _;

/// One line of at most `most` characters: what has no visible form of its own is written as its code.
pub fn line(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, char) in text.chars().enumerate() {
        if at == most {
            // Writing into a String cannot fail, here and below.
            let _ = write!(out, "… ({} bytes)", text.len());
            break;
        }
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if is_unseen(char) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out
}

/// Control characters, and those that change the direction of what follows.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn what_would_steer_a_terminal_is_written_as_its_code() {
        assert_eq!(line("a\u{1b}[31mb\r\nc\td", 99), "a\\u{1b}[31mb\\r\\nc\\td");
        assert_eq!(line("\u{9b}31m \u{202e}txt", 99), "\\u{9b}31m \\u{202e}txt");
        assert_eq!(line("é漢 <b>", 99), "é漢 <b>");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(line("ééé", 3), "ééé");
        assert_eq!(line("éééé", 3), "ééé… (8 bytes)");
    }
}
