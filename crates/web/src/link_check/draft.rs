//! A tracking link that somebody is about to set up: what the rules will say of it once a tracker has filled its macros
//! in, and what a tracker will not fill in.

use std::fmt::Write as _;

use domain::click::check_parameters;
use domain::placeholder::{bare_name, is_placeholder};
use domain::visit::{Param, Visit};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode_byte, utf8_percent_encode};

use super::warning;

/// What stays as it is in a value: what macros are written with is what trackers look for.
const LITERAL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'{')
    .remove(b'}')
    .remove(b'[')
    .remove(b']')
    .remove(b'$');

/// Brackets that trackers put around a macro's name.
const PAIRS: [(char, char); 3] = [('{', '}'), ('[', ']'), ('<', '>')];

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Visitors will be turned away, or conversions will not count.
    Wrong,
    /// It may be meant so.
    Odd,
}

/// One thing about a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The parameter; none when it is about several.
    pub param: Option<Param>,
    /// How much it matters.
    pub weight: Weight,
    /// What it is, and what to do.
    pub words: String,
}

/// A link's parameters as they will stand in it.
#[derive(Debug, Clone, Default)]
pub struct Draft<'a> {
    /// Values by parameter; each is a macro of the partner's tracker, or text.
    pub values: Vec<(Param, String)>,
    /// Whether the partner has no user ids and sends its click id for both, on purpose.
    pub one_id: bool,
    /// Macros of well-known trackers, for telling a name that lost its brackets.
    pub macros: Vec<&'a str>,
}

impl Draft<'_> {
    /// The value of a parameter; empty when it has none.
    pub fn value(&self, param: Param) -> &str {
        self.values.iter().find(|(own, _)| *own == param).map_or("", |(_, value)| value.as_str())
    }

    /// Name and value of each parameter that has one, and of the ids in any case, as they stand in the link.
    pub fn pairs(&self) -> Vec<(Param, String)> {
        let ids = [Param::ClickId, Param::MemberId];
        let written = |param: &Param| (*param, written(self.value(*param)));
        let given = |param: &&Param| ids.contains(param) || !self.value(**param).is_empty();
        Param::ALL.iter().filter(given).map(written).collect()
    }

    /// The query, as it stands in the link.
    pub fn query(&self) -> String {
        let pairs: Vec<String> =
            self.pairs().into_iter().map(|(param, value)| format!("{param}={value}")).collect();
        pairs.join("&")
    }

    /// Everything that is wrong or odd about it, the ids first.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for param in [Param::ClickId, Param::MemberId] {
            findings.extend(self.refused(param));
            findings.extend(self.constant(param));
        }
        for (param, value) in &self.values {
            findings.extend(self.unfilled(*param, value));
        }
        let (click, member) = (self.value(Param::ClickId), self.value(Param::MemberId));
        let same = !click.is_empty() && click == member;
        let filled = self.filled(None);
        // The warning about one value for both is for partners who did not choose it.
        let told = warning::all(&filled, &Visit::read(&filled), None);
        let told = told.into_iter().filter(|_| !(same && self.one_id));
        findings.extend(told.map(|words| Finding { param: None, weight: Weight::Odd, words }));
        findings
    }

    /// What the server will say to every visitor for the sake of one id.
    fn refused(&self, param: Param) -> Option<Finding> {
        let query = self.filled(Some(param));
        let decision = check_parameters(&Visit::read(&query), &mut ())?;
        let words = format!("{}. Every visitor would be turned away.", decision.message);
        Some(Finding { param: Some(param), weight: Weight::Wrong, words })
    }

    /// The query as a tracker makes it: with a value of its own for each macro. With `only`, every other parameter is
    /// sound, so that what is wrong is that one's.
    fn filled(&self, only: Option<Param>) -> String {
        let mut query = String::new();
        for (param, value) in &self.values {
            let judged = only.is_none_or(|only| only == *param);
            let value = if judged { example(value) } else { format!("example-{param}") };
            // Writing into a String cannot fail.
            let _ = write!(query, "{param}={value}&");
        }
        let missing = [Param::ClickId, Param::MemberId].into_iter().filter(|id| {
            self.values.iter().all(|(own, _)| own != id) && only.is_some_and(|only| only != *id)
        });
        for param in missing {
            let _ = write!(query, "{param}=example-{param}&");
        }
        query.pop();
        query
    }

    /// An id that is the same on every click.
    fn constant(&self, param: Param) -> Option<Finding> {
        let value = self.value(param);
        if value.is_empty() || has_macro(value) || self.meant(value).is_some() {
            return None;
        }
        let follows = match param {
            Param::MemberId => "then every visitor is the same member, and only its first conversion counts",
            _ => "then your tracker cannot tell which click a conversion belongs to",
        };
        let words = format!(
            "{param} is `{value}` on every click: {follows}. Write the macro that your tracker replaces."
        );
        Some(Finding { param: Some(param), weight: Weight::Wrong, words })
    }

    /// Something that was meant to be a macro and that no tracker will take for one.
    fn unfilled(&self, param: Param, value: &str) -> Option<Finding> {
        let id = matches!(param, Param::ClickId | Param::MemberId);
        let words = match self.meant(value)? {
            Meant::Brackets(macro_) => {
                format!("{param} is `{value}`, which lost its brackets: did you mean `{macro_}`?")
            }
            Meant::Unbalanced => {
                format!(
                    "{param} is `{value}`: a bracket is open or closed only once, so no tracker replaces it."
                )
            }
            Meant::Unknown => format!(
                "{param} is `{value}`, a style of macro that we do not know. If your tracker does not replace it, the \
                 server cannot tell either: try it with a test click."
            ),
        };
        Some(Finding { param: Some(param), weight: if id { Weight::Wrong } else { Weight::Odd }, words })
    }

    fn meant(&self, value: &str) -> Option<Meant> {
        if value.is_empty() || has_macro(value) {
            return None;
        }
        let count = |wanted: char| value.chars().filter(|char| *char == wanted).count();
        if PAIRS.iter().any(|(open, close)| count(*open) != count(*close)) {
            return Some(Meant::Unbalanced);
        }
        if value.contains(['{', '}', '[', ']', '<', '>', '$', '%', '|', '(', ')', '*', '@', '!']) {
            return Some(Meant::Unknown);
        }
        let same = |known: &&&str| bare_name(known).is_some_and(|name| letters(name) == letters(value));
        self.macros.iter().find(same).map(|known| Meant::Brackets((*known).to_owned()))
    }
}

/// What a text that is no macro was probably meant to be.
enum Meant {
    /// This macro, without its brackets.
    Brackets(String),
    /// A macro with one bracket too few.
    Unbalanced,
    /// A macro of a style that is not known.
    Unknown,
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

/// Whether a tracker will find a macro in a value: the whole of it, or a part in brackets.
fn has_macro(value: &str) -> bool {
    is_macro(value) || !parts(value).is_empty()
}

/// A placeholder that stands for a tracker's own macro, and not for one that we hand out as an example.
fn is_macro(value: &str) -> bool {
    is_placeholder(value) && bare_name(value).is_some()
}

/// The macros inside a value that is more than one: where they begin and end.
fn parts(value: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = value[from..].find(['{', '[', '$']).map(|at| from + at) {
        let ends = [']', '}'].iter().filter_map(|close| value[start..].find(*close));
        let Some(end) = ends.min().map(|at| start + at + 1) else { break };
        let twice = value[end..].starts_with(['}', ']']);
        let end = if twice && is_macro(&value[start..=end]) { end + 1 } else { end };
        if is_macro(&value[start..end]) {
            found.push((start, end));
        }
        from = end;
    }
    found
}

/// A value as a tracker sends it.
fn example(value: &str) -> String {
    let text = if is_macro(value) {
        format!("example-{}", letters(value))
    } else {
        let mut text = value.to_owned();
        for (start, end) in parts(value).into_iter().rev() {
            text.replace_range(start..end, "example");
        }
        text
    };
    utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
}

/// A value as it stands in the link: macros as they are, other text encoded.
fn written(value: &str) -> String {
    if !is_macro(value) {
        return utf8_percent_encode(value, LITERAL).to_string();
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'&' | b'"' | b'\'');
    let each = value.bytes().map(|byte| {
        if plain(byte) { char::from(byte).to_string() } else { percent_encode_byte(byte).to_owned() }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use domain::visit::Param;

    use super::{Draft, Weight, written};

    fn draft(click: &str, member: &str) -> Draft<'static> {
        let values = vec![(Param::ClickId, click.to_owned()), (Param::MemberId, member.to_owned())];
        Draft { values, one_id: false, macros: vec!["{clickid}", "#reqid#", "{cf_click_id}"] }
    }

    fn told(draft: &Draft<'_>) -> String {
        let each = draft.findings().into_iter().map(|finding| finding.words);
        each.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn macros_of_every_style_are_sound() {
        for style in
            ["{clickid}", "{{click.id}}", "[[cid]]", "${SUBID}", "#reqid#", "%x%", "__CID__", "a-{clickid}-b"]
        {
            assert_eq!(told(&draft(style, "{user}")), "", "{style}");
        }
    }

    #[test]
    fn every_mistake_has_words() {
        let cases = [
            ("", "{u}", "PubClickId cannot be empty. Every visitor"),
            ("{c}", "", "PubMemberId cannot be empty. Every visitor"),
            ("{c}", "site_12", "pub_member_id is `site_12` on every click"),
            ("42", "{u}", "cannot tell which click"),
            ("clickid", "{u}", "did you mean `{clickid}`?"),
            ("CF-Click-Id", "{u}", "did you mean `{cf_click_id}`?"),
            ("{clickid", "{u}", "only once"),
            ("{clickid|md5}", "{u}", "a style of macro that we do not know"),
            ("PUB_CLICK_ID", "{u}", "pub_click_id is `PUB_CLICK_ID`, a placeholder"),
            ("{c}", "{c}", "are the same"),
            ("{c}", "null", "pub_member_id is `null`"),
        ];
        for (click, member, words) in cases {
            let told = told(&draft(click, member));
            assert!(told.contains(words), "{click} {member}: {told}");
        }
    }

    #[test]
    fn one_id_for_both_is_fine_when_it_is_chosen() {
        assert_eq!(told(&Draft { one_id: true, ..draft("{c}", "{c}") }), "");
    }

    #[test]
    fn a_sub_parameter_may_be_constant_and_is_told_of_lost_brackets() {
        let with = |value: &str| {
            let mut draft = draft("{c}", "{u}");
            draft.values.push((Param::Sub3, value.to_owned()));
            draft
        };
        assert_eq!(told(&with("newsletter")), "");
        let lost = with("{zone").findings();
        assert_eq!((lost.len(), lost[0].param, lost[0].weight), (1, Some(Param::Sub3), Weight::Odd));
    }

    #[test]
    fn macros_stay_as_trackers_look_for_them() {
        for (value, shown) in [
            ("#reqid#", "#reqid#"),
            ("{click id}", "{click%20id}"),
            ("${SUBID}", "${SUBID}"),
            ("a b&c#d", "a%20b%26c%23d"),
            ("x-{clickid}", "x-{clickid}"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(written(value), shown);
        }
        assert_eq!(draft("{c}", "").query(), "pub_click_id={c}&pub_member_id=");
    }
}
