//! URL templates with `{macro}`s: the offer's destination (§2) and the partner's postback (§4) share this
//! engine.
//!
//! A macro may stand anywhere behind the host. Its value is percent-encoded down to unreserved characters, so
//! it can never end a parameter, add one, or touch scheme, host or port.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longest template taken, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 4_096;

/// The macros that may stand in one kind of template.
pub trait MacroName: Copy + PartialEq + std::str::FromStr + 'static {
    /// Every macro.
    const ALL: &'static [Self];
    /// Its name, without braces.
    fn name(self) -> &'static str;
}

/// Why a template cannot be saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A macro that this kind of template does not have.
    #[error("unknown macro `{{{name}}}`; known are {known}")]
    Unknown {
        /// The name between the braces.
        name: String,
        /// Every known macro.
        known: String,
    },
    /// A brace without its partner.
    #[error("a `{{` at byte {0} is never closed; write macros like {{gk_click_id}}")]
    Unclosed(usize),
    /// A macro before the path.
    #[error("macro `{{{0}}}` stands in the scheme, host or port; macros may stand only behind the host")]
    InHost(String),
    /// Not an absolute http or https URL.
    #[error("not an absolute http or https URL: {0}")]
    NotHttp(String),
    /// A required macro is missing.
    #[error("`{{{0}}}` must occur in it")]
    Missing(&'static str),
    /// Longer than [`MAX_TEMPLATE_BYTES`].
    #[error("longer than 4096 bytes")]
    TooLong,
    /// A `..` behind a macro: it would take the macro out of the URL.
    #[error("a `..` behind a macro takes it out of the path again; write the path as it is to be sent")]
    Swallowed,
    /// A user name or password in the URL.
    #[error("a user name or password in the URL is not allowed; use a parameter")]
    Credentials,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<M> {
    Literal(String),
    Macro(M),
}

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<M> {
    text: String,
    parts: Vec<Part<M>>,
}

impl<M: MacroName> Template<M> {
    /// Checks and compiles a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let parts = checked(text)?;
        let parts = normalise(&parts).ok_or(TemplateError::Swallowed)?;
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Compiles one that was saved before a `..` behind a macro was refused: it is sent as it was written.
    pub fn stored(text: &str) -> Result<Self, TemplateError> {
        let parts = checked(text)?;
        let parts = normalise(&parts).unwrap_or(parts);
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a macro occurs.
    pub fn uses(&self, name: M) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Macro(used) if *used == name))
    }

    /// Fails unless the macro occurs.
    pub fn require(self, name: M) -> Result<Self, TemplateError> {
        if self.uses(name) { Ok(self) } else { Err(TemplateError::Missing(name.name())) }
    }

    /// Takes a text as it stands, with no check beyond its macros.
    pub(crate) fn verbatim(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { text: text.to_owned(), parts: split(text)? })
    }

    /// The text that a URL is made of, with some macros filled in for good; `fill` leaves the others by saying no.
    pub(crate) fn partly(&self, mut fill: impl FnMut(M, &mut Encoder<'_>) -> bool) -> String {
        let mut out = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Macro(name) => {
                    if !fill(*name, &mut Encoder(&mut out)) {
                        out.extend(["{", name.name(), "}"]);
                    }
                }
            }
        }
        out
    }

    /// Appends the filled-in URL to `out`; `fill` appends a macro's plain value to the encoder it is handed.
    pub fn expand_into<W: Write>(&self, out: &mut W, mut fill: impl FnMut(M, &mut Encoder<'_, W>)) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => Encoder(out).put(text),
                Part::Macro(name) => fill(*name, &mut Encoder(out)),
            }
        }
    }

    /// The filled-in URL.
    pub fn expand(&self, fill: impl FnMut(M, &mut Encoder<'_>)) -> String {
        let mut out = String::with_capacity(self.text.len() + 128);
        self.expand_into(&mut out, fill);
        out
    }
}

/// Takes a macro's value and writes it percent-encoded.
pub struct Encoder<'a, W: Write = String>(&'a mut W);

// Writing into a String cannot fail, and whatever else is written into remembers by itself that it failed.
impl<W: Write> Encoder<'_, W> {
    /// Writes text, encoded.
    pub fn text(&mut self, value: &str) {
        utf8_percent_encode(value, ENCODED).for_each(|piece| self.put(piece));
    }

    /// Writes what needs no encoding: ids and whole numbers.
    pub fn plain(&mut self, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{value}");
    }

    /// What is written into.
    pub(crate) fn target(&mut self) -> &mut W {
        self.0
    }

    fn put(&mut self, text: &str) {
        let _ = self.0.write_str(text);
    }
}

fn checked<M: MacroName>(text: &str) -> Result<Vec<Part<M>>, TemplateError> {
    if text.len() > MAX_TEMPLATE_BYTES {
        return Err(TemplateError::TooLong);
    }
    let parts = split(text)?;
    check_url(text, &parts)?;
    Ok(parts)
}

fn split<M: MacroName>(text: &str) -> Result<Vec<Part<M>>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let at = text.len() - rest.len() + open;
        let close = rest[open..].find('}').ok_or(TemplateError::Unclosed(at))? + open;
        let name = &rest[open + 1..close];
        let known = M::ALL.iter().find(|known| known.name() == name);
        let Some(known) = known else {
            let known =
                M::ALL.iter().map(|known| format!("{{{}}}", known.name())).collect::<Vec<_>>().join(" ");
            return Err(TemplateError::Unknown { name: name.to_owned(), known });
        };
        if open > 0 {
            parts.push(Part::Literal(rest[..open].to_owned()));
        }
        parts.push(Part::Macro(*known));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Ok(parts)
}

/// The literal text up to and including the host must be there before the first macro.
fn check_url<M: MacroName>(text: &str, parts: &[Part<M>]) -> Result<(), TemplateError> {
    let not_http = |why: &str| TemplateError::NotHttp(why.to_owned());
    let lower = text.to_ascii_lowercase();
    if !(lower.starts_with("http://") || lower.starts_with("https://")) {
        return Err(not_http("it must begin with http:// or https://"));
    }
    let behind_scheme = text.find("//").map_or(0, |at| at + 2);
    let host_end =
        text[behind_scheme..].find(['/', '?', '#', '\\']).map_or(text.len(), |at| at + behind_scheme);
    let first_macro = match parts.first() {
        Some(Part::Literal(literal)) if parts.len() > 1 => literal.len(),
        Some(Part::Macro(_)) => 0,
        _ => usize::MAX,
    };
    if first_macro < host_end {
        let name = parts.iter().find_map(|part| match part {
            Part::Macro(name) => Some(name.name()),
            Part::Literal(_) => None,
        });
        return Err(TemplateError::InHost(name.unwrap_or_default().to_owned()));
    }
    let url = Url::parse(&filled(parts, "x")).map_err(|why| not_http(&why.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TemplateError::Credentials);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(not_http("it has no host"));
    }
    Ok(())
}

fn filled<M>(parts: &[Part<M>], value: &str) -> String {
    let text = |part: &Part<M>| match part {
        Part::Literal(text) => text.clone(),
        Part::Macro(_) => value.to_owned(),
    };
    parts.iter().map(text).collect()
}

/// Literal parts become what a URL parser would send: encoded, without line breaks. Done once, at save. None when the
/// parser takes a macro away: behind `/{macro}/..` nothing is left of it.
fn normalise<M: MacroName>(parts: &[Part<M>]) -> Option<Vec<Part<M>>> {
    // A marker that no parser changes and that cannot occur in a template by chance.
    const MARK: &str = "pitlane-macro-5f3a9c";
    let text = filled(parts, MARK);
    let url = Url::parse(&text).ok()?;
    let mut literals = url.as_str().split(MARK).map(str::to_owned);
    if literals.clone().count() != text.split(MARK).count() {
        return None;
    }
    let mut normal = Vec::with_capacity(parts.len());
    let first = literals.next().unwrap_or_default();
    normal.push(Part::Literal(first));
    for part in parts {
        if let Part::Macro(name) = part {
            normal.push(Part::Macro(*name));
            normal.push(Part::Literal(literals.next().unwrap_or_default()));
        }
    }
    normal.retain(|part| !matches!(part, Part::Literal(text) if text.is_empty()));
    Some(normal)
}
