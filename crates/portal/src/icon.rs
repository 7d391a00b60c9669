//! The icons: drawn for this product on a grid of 16, one stroke, no fill, in the colour of the text around them.

use std::fmt;

use askama::filters::HtmlSafe;
use askama::{FastWritable, Values};

/// Markup made by code that escapes whatever came from outside: templates print it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Svg(pub(crate) String);

impl Svg {
    /// No picture.
    pub(crate) const NONE: Self = Self(String::new());
}

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Svg {}

impl FastWritable for Svg {
    fn write_into(&self, to: &mut dyn fmt::Write, _: &dyn Values) -> askama::Result<()> {
        Ok(to.write_str(&self.0)?)
    }
}

/// Every icon: its name and the path of its stroke.
pub(crate) const ICONS: &[(&str, &str)] = &[
    ("home", "M2.5 7.3 8 2.5l5.5 4.8M4 6.2v7.3h8V6.2M6.5 13.5v-4h3v4"),
    ("offer", "M2.5 2.5h5.2l5.8 5.8-5.2 5.2-5.8-5.8zM5.4 5.4h.01"),
    ("postback", "M13.5 3v3.5a3 3 0 0 1-3 3h-8M5.5 6.5l-3 3 3 3"),
    ("click", "M6 6l2.6 7.5 1.5-3.4 3.4-1.5zM2 6h1M6 2v1M3.2 3.2l.7.7M8.8 3.2l-.7.7"),
    ("conversion", "M13.3 6.7A5.5 5.5 0 1 1 10.5 3M5.5 7.6 7.8 10l5.7-6.3"),
    ("report", "M2.5 13.5h11M4.5 11V8.5M8 11V3M11.5 11V6"),
    ("token", "M7.2 8.8a3 3 0 1 1-1-1.9M7 7.6 13.2 3M10.6 5l1.6 2"),
    (
        "team",
        "M8 7a2.4 2.4 0 1 1-4.8 0A2.4 2.4 0 0 1 8 7M1.8 13.4c.3-2 1.8-3 3.8-3s3.5 1 3.8 3\
         M10 4.6a2.2 2.2 0 1 1 1 4.2M11.6 10.6c1.5.3 2.4 1.2 2.6 2.8",
    ),
    (
        "help",
        "M13.5 8A5.5 5.5 0 1 1 8 2.5 5.5 5.5 0 0 1 13.5 8M6.4 6.3a1.7 1.7 0 1 1 2.5 1.5c-.6.3-.9.7-.9 1.2M8 11.1v.01",
    ),
    ("search", "M11 7a4 4 0 1 1-4-4 4 4 0 0 1 4 4M10 10l3.5 3.5"),
    ("copy", "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3"),
    ("check", "M3 8.5 6.5 12 13 4.5"),
    ("cross", "M4 4l8 8M12 4l-8 8"),
    ("alert", "M8 2.5 14 13H2zM8 6.5v3M8 11.3v.01"),
    ("info", "M13.5 8A5.5 5.5 0 1 1 8 2.5 5.5 5.5 0 0 1 13.5 8M8 7.5v3.2M8 5.2v.01"),
    ("clock", "M13.5 8A5.5 5.5 0 1 1 8 2.5 5.5 5.5 0 0 1 13.5 8M8 5v3l2 1.5"),
    ("pause", "M5.5 3.5v9M10.5 3.5v9"),
    ("play", "M4.5 3v10l8-5z"),
    ("send", "M14 2.5 2.5 7l4.5 2 2 4.5zM7 9l3-3"),
    ("refresh", "M13 6.5A5.2 5.2 0 0 0 3.5 5.3M3 9.5a5.2 5.2 0 0 0 9.5 1.2M3.2 2.5v3h3M12.8 13.5v-3h-3"),
    (
        "eye",
        "M1.5 8C3 5.2 5.3 3.8 8 3.8S13 5.2 14.5 8C13 10.8 10.7 12.2 8 12.2S3 10.8 1.5 8\
         M9.9 8A1.9 1.9 0 1 1 8 6.1 1.9 1.9 0 0 1 9.9 8",
    ),
    ("right", "M6 3.5 10.5 8 6 12.5"),
    ("left", "M10 3.5 5.5 8 10 12.5"),
    ("down", "M3.5 6 8 10.5 12.5 6"),
    ("sort", "M5 3v10M5 13l-2.2-2.3M5 13l2.2-2.3M11 13V3M11 3 8.8 5.3M11 3l2.2 2.3"),
    ("rise", "M8 13V3.5M4 7l4-3.8L12 7"),
    ("fall", "M8 3v9.5M4 9l4 3.8L12 9"),
    ("external", "M6.5 3.5h-3v9h9v-3M9 2.8h4.2V7M13 3 7.5 8.5"),
    ("filter", "M2.5 4h11M4.5 8h7M6.5 12h3"),
    ("columns", "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10"),
    ("download", "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M2.5 13.5h11"),
    ("plus", "M8 3v10M3 8h10"),
    ("trash", "M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.6 9h6.8l.6-9M6.8 7v4M9.2 7v4"),
    ("edit", "M10.5 3.2l2.3 2.3-7.3 7.3-3 .7.7-3z"),
    ("lock", "M3.5 7.5h9v6h-9zM5.5 7.5V5.3a2.5 2.5 0 0 1 5 0v2.2"),
    ("exit", "M6.5 2.5h-4v11h4M6.5 8h7M10.5 5l3 3-3 3"),
    (
        "sun",
        "M10.6 8A2.6 2.6 0 1 1 8 5.4 2.6 2.6 0 0 1 10.6 8M8 1.8v1M8 13.2v1M1.8 8h1M13.2 8h1M3.6 3.6l.7.7\
         M11.7 11.7l.7.7M12.4 3.6l-.7.7M4.3 11.7l-.7.7",
    ),
    ("moon", "M13.2 9.4A5.5 5.5 0 0 1 6.6 2.8a5.5 5.5 0 1 0 6.6 6.6"),
    ("screen", "M2 3h12v8H2zM5.5 13.5h5M8 11v2.5"),
    (
        "link",
        "M6.8 9.2 9.2 6.8M7.5 4.8 9 3.3a2.6 2.6 0 0 1 3.7 3.7l-1.5 1.5M8.5 11.2 7 12.7a2.6 2.6 0 0 1-3.7-3.7l1.5-1.5",
    ),
    (
        "user",
        "M10.7 5.5A2.7 2.7 0 1 1 8 2.8a2.7 2.7 0 0 1 2.7 2.7M2.8 13.5c.5-2.8 2.5-4.2 5.2-4.2s4.7 1.4 5.2 4.2",
    ),
    (
        "globe",
        "M13.5 8A5.5 5.5 0 1 1 8 2.5 5.5 5.5 0 0 1 13.5 8M2.5 8h11\
         M8 2.5c1.7 1.5 2.5 3.3 2.5 5.5S9.7 12 8 13.5C6.3 12 5.5 10.2 5.5 8S6.3 4 8 2.5",
    ),
    ("keyboard", "M1.8 4h12.4v8H1.8zM4.2 6.6h.01M6.7 6.6h.01M9.2 6.6h.01M11.8 6.6h.01M5 9.5h6"),
    ("calendar", "M2.5 3.5h11v10h-11zM2.5 6.8h11M5.5 2v3M10.5 2v3"),
    ("more", "M3.5 8h.01M8 8h.01M12.5 8h.01"),
    ("trace", "M4.5 3.5h.01M4.5 8h.01M4.5 12.5h.01M4.5 3.5v9M7.5 3.5h6M7.5 8h4M7.5 12.5h5"),
];

/// An icon by its name, hidden from screen readers: the word beside it says the same. An unknown name draws a dot.
pub(crate) fn svg(name: &str) -> Svg {
    let path = ICONS.iter().find(|(known, _)| *known == name).map_or("M8 8h.01", |(_, path)| path);
    Svg(format!(
        "<svg class=\"icon\" viewBox=\"0 0 16 16\" width=\"16\" height=\"16\" aria-hidden=\"true\" focusable=\"false\">\
         <path d=\"{path}\"/></svg>"
    ))
}

/// The icon of a meaning: `good`, `attention`, `bad`, `info`; for every other kind none.
pub(crate) fn of_kind(kind: &str) -> Svg {
    match kind {
        "good" => svg("check"),
        "attention" => svg("alert"),
        "bad" => svg("cross"),
        "info" => svg("info"),
        _ => Svg::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_paths_are_only_paths() {
        for (at, (name, path)) in ICONS.iter().enumerate() {
            assert!(!ICONS[..at].iter().any(|(other, _)| other == name), "{name} twice");
            let drawn = |c: char| c.is_ascii_digit() || " .-MmLlHhVvCcSsAaZz".contains(c);
            assert!(path.starts_with('M') && path.chars().all(drawn), "{name}: {path}");
        }
        assert!(ICONS.len() >= 30);
    }

    #[test]
    fn an_unknown_name_is_never_printed() {
        assert!(!svg("\"><script>").0.contains("script"));
    }
}
