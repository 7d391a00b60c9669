//! What the components of `component.html` take that is more than a text.

/// One tab of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tab {
    /// Its address.
    pub(crate) href: String,
    /// Its word.
    pub(crate) word: String,
    /// A figure beside the word; empty for none.
    pub(crate) count: String,
    /// Whether it is the one shown.
    pub(crate) current: bool,
}

impl Tab {
    /// A tab without a figure.
    pub(crate) fn new(href: impl Into<String>, word: impl Into<String>, current: bool) -> Self {
        Self { href: href.into(), word: word.into(), count: String::new(), current }
    }

    /// With a figure beside the word.
    pub(crate) fn counting(mut self, count: impl Into<String>) -> Self {
        self.count = count.into();
        self
    }
}

/// One choice of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is sent.
    pub(crate) value: String,
    /// What is read.
    pub(crate) word: String,
    /// Whether it is chosen.
    pub(crate) chosen: bool,
}

impl Choice {
    /// A choice.
    pub(crate) fn new(value: impl Into<String>, word: impl Into<String>, chosen: bool) -> Self {
        Self { value: value.into(), word: word.into(), chosen }
    }
}

/// What is wrong with a form: the field's name and what to do about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mistakes(pub(crate) Vec<(String, String)>);

impl Mistakes {
    /// Adds one.
    pub(crate) fn add(&mut self, field: &str, words: impl Into<String>) {
        self.0.push((field.to_owned(), words.into()));
    }

    /// What is wrong with one field; empty when nothing is.
    pub(crate) fn of(&self, field: &str) -> &str {
        self.0.iter().find(|(name, _)| name == field).map_or("", |(_, words)| words)
    }

    /// Whether the form is right.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a parameter of an address is, as the URL block colours and words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// The link does not work without it.
    Required,
    /// One of ours that may be left out.
    Optional,
    /// Not one of ours.
    Other,
}

impl PartKind {
    /// The class of the stylesheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Other => "other",
        }
    }
}

/// One parameter of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// `?` or `&`.
    pub(crate) separator: char,
    /// Its name as written.
    pub(crate) name: String,
    /// Its value as written, cut into text and macros: whether it is a macro, and the text.
    pub(crate) value: Vec<(bool, String)>,
    /// What it is.
    pub(crate) kind: PartKind,
    /// What is wrong with it; empty when nothing is.
    pub(crate) wrong: String,
}

/// An address, parameter by parameter. Its texts together are exactly the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlParts {
    /// The exact address, as it is copied.
    pub(crate) whole: String,
    /// Everything before the parameters.
    pub(crate) base: String,
    /// The parameters in their order.
    pub(crate) parts: Vec<Part>,
    /// A fragment with its `#`; empty for none.
    pub(crate) rest: String,
}

impl UrlParts {
    /// Cuts an address; any text will do, since a wrong one must be shown as well.
    pub(crate) fn new(whole: &str) -> Self {
        let (start, rest) = whole.split_at(whole.find('#').unwrap_or(whole.len()));
        let (base, query) = start.split_at(start.find('?').unwrap_or(start.len()));
        let mut separator = '?';
        let mut parts = Vec::new();
        for pair in query.strip_prefix('?').into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = pair.find('=').map_or((pair, ""), |at| pair.split_at(at));
            parts.push(Part {
                separator,
                name: name.to_owned(),
                value: macros(value),
                kind: kind(name),
                wrong: String::new(),
            });
            separator = '&';
        }
        Self { whole: whole.to_owned(), base: base.to_owned(), parts, rest: rest.to_owned() }
    }

    /// Marks the parameter of this name as wrong, with the reason; one that is not there is not marked.
    pub(crate) fn wrong(mut self, name: &str, reason: &str) -> Self {
        if let Some(part) = self.parts.iter_mut().find(|part| part.name == name) {
            reason.clone_into(&mut part.wrong);
        }
        self
    }
}

fn kind(name: &str) -> PartKind {
    match name {
        "pub_click_id" | "pub_member_id" => PartKind::Required,
        _ if name.starts_with("pub_") => PartKind::Optional,
        _ => PartKind::Other,
    }
}

/// Cuts a value at what looks like a macro: `{…}` in single or double braces, or a word in capitals as a whole.
fn macros(value: &str) -> Vec<(bool, String)> {
    let (sign, text) = value.split_at(usize::from(value.starts_with('=')));
    let mut cut = Vec::new();
    let mut push = |is_macro: bool, text: &str| {
        if !text.is_empty() {
            cut.push((is_macro, text.to_owned()));
        }
    };
    push(false, sign);
    let capital = |byte: u8| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit();
    if text.len() > 2 && text.contains('_') && text.bytes().all(capital) {
        push(true, text);
        return cut;
    }
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
        let end = close + rest[close..].bytes().take_while(|byte| *byte == b'}').count();
        push(false, &rest[..open]);
        push(true, &rest[open..end]);
        rest = &rest[end..];
    }
    push(false, rest);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(url: &UrlParts) -> String {
        let part = |part: &Part| {
            let value: String = part.value.iter().map(|(_, text)| text.as_str()).collect();
            format!("{}{}{value}", part.separator, part.name)
        };
        format!("{}{}{}", url.base, url.parts.iter().map(part).collect::<String>(), url.rest)
    }

    #[test]
    fn nothing_of_an_address_is_lost_or_added() {
        for text in [
            "https://api.acme.example/x/1?pub_click_id={clickid}&pub_member_id=m#top",
            "https://h/?",
            "?a&b=&=c&&",
            "no address at all",
            "{",
            "a?x={{{y}}}&z={",
            "#?a=b",
            "",
        ] {
            assert_eq!(joined(&UrlParts::new(text)), text);
        }
    }

    #[test]
    fn parameters_are_told_apart_and_macros_found() {
        let url =
            UrlParts::new("h?pub_click_id=PUB_CLICK_ID&pub_sub_1=a{{b}}c&utm=plain").wrong("utm", "unknown");
        let kinds: Vec<_> = url.parts.iter().map(|part| part.kind).collect();
        assert_eq!(kinds, [PartKind::Required, PartKind::Optional, PartKind::Other]);
        assert_eq!(url.parts[0].value[1], (true, "PUB_CLICK_ID".to_owned()));
        let texts: Vec<_> = url.parts[1].value.iter().map(|(m, text)| (*m, text.as_str())).collect();
        assert_eq!(texts, [(false, "="), (false, "a"), (true, "{{b}}"), (false, "c")]);
        assert_eq!(url.parts[2].wrong, "unknown");
    }

    #[test]
    fn a_mistake_is_found_by_its_field() {
        let mut mistakes = Mistakes::default();
        assert!(mistakes.is_empty());
        mistakes.add("email", "It lacks an @.");
        assert_eq!((mistakes.of("email"), mistakes.of("name")), ("It lacks an @.", ""));
    }
}
