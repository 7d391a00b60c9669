//! A partner's link with its tracker's macros filled in: what was typed, the link that it makes, and what the rules say
//! of it. The rules are the server's own, in `web::link_check`; the script beside the form only asks for this page's
//! part again.

use domain::visit::Param;
use web::link_check::{Draft, Finding, Weight};

use crate::component::{Choice, UrlParts};
use crate::preset::{self, Preset};
use crate::query::Query;

/// Sub parameters that a link takes.
const SUBS: usize = 15;
/// Sub parameters that are shown before somebody asks for more.
const FIRST_SUBS: usize = 3;

/// What was typed.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    draft: Draft<'static>,
    preset: Option<&'static Preset>,
    /// Whether anything was typed or chosen.
    touched: bool,
}

/// One field of the form.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The parameter's name.
    pub(crate) name: &'static str,
    /// What stands in it.
    pub(crate) value: String,
    /// What is wrong with it; empty when nothing is.
    pub(crate) wrong: String,
}

/// The form as a template shows it.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// Trackers to choose from.
    pub(crate) presets: Vec<Choice>,
    /// The tracker that was filled in; empty for none.
    pub(crate) filled: &'static str,
    /// Where its macros are documented: the page's name and address.
    pub(crate) source: Option<(&'static str, &'static str)>,
    /// The click id.
    pub(crate) click: Input,
    /// The member id.
    pub(crate) member: Input,
    /// Whether the click id is sent for both.
    pub(crate) one_id: bool,
    /// The sub parameters that are always shown.
    pub(crate) subs: Vec<Input>,
    /// The others.
    pub(crate) more: Vec<Input>,
    /// Whether one of the others is filled in.
    pub(crate) opened: bool,
}

/// The link that the form makes, as a template shows it.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// Whether anything was typed: before that there is nothing to say.
    pub(crate) touched: bool,
    /// The link.
    pub(crate) url: UrlParts,
    /// How much is wrong, each marked in the link: visitors would be turned away, or conversions not count.
    pub(crate) wrong: usize,
    /// What may be meant so.
    pub(crate) odd: Vec<String>,
}

impl Typed {
    /// Reads the form. A tracker that was just chosen fills its macros in, over what stood there.
    pub(crate) fn read(query: &Query) -> Self {
        let chosen = query.get("preset").and_then(preset::find);
        let fresh = chosen.filter(|preset| query.get("filled") != Some(preset.slug));
        let mut one_id = query.get("one_id").is_some();
        let typed = |param: Param| query.get(param.code()).unwrap_or_default().to_owned();
        let (mut click, mut member) = (typed(Param::ClickId), typed(Param::MemberId));
        if let Some(preset) = fresh {
            click.clone_from(&preset.pub_click_id);
            member.clone_from(&preset.pub_member_id);
            one_id = member.is_empty();
        }
        if one_id {
            member.clone_from(&click);
        }
        let mut values = vec![(Param::ClickId, click), (Param::MemberId, member)];
        let subs = (1..=SUBS).filter_map(Param::sub).map(|param| (param, typed(param)));
        values.extend(subs.filter(|(_, value)| !value.is_empty()));
        let touched = chosen.is_some() || one_id || values.iter().any(|(_, value)| !value.is_empty());
        let macros = preset::ALL.iter().flat_map(|preset| [&*preset.pub_click_id, &*preset.pub_member_id]);
        let macros = macros.filter(|own| !own.is_empty()).collect();
        Self { draft: Draft { values, one_id, macros }, preset: chosen, touched }
    }

    /// The form.
    pub(crate) fn form(&self) -> Form {
        let findings = self.findings();
        let input = |param: Param| Input {
            name: param.code(),
            value: self.draft.value(param).to_owned(),
            wrong: wrong(&findings, param),
        };
        let mut member = input(Param::MemberId);
        if self.draft.one_id {
            (member.value, member.wrong) = (String::new(), String::new());
        }
        let subs: Vec<Input> = (1..=SUBS).filter_map(Param::sub).map(input).collect();
        let (subs, more) = subs.split_at(FIRST_SUBS);
        let chosen = self.preset.map_or("", |preset| preset.slug);
        let each = preset::ALL.iter().map(|own| Choice::new(own.slug, &*own.name, own.slug == chosen));
        Form {
            presets: std::iter::once(Choice::new("", "Another one, or none", chosen.is_empty()))
                .chain(each)
                .collect(),
            filled: chosen,
            source: self.preset.map(|preset| (&*preset.source, &*preset.url)),
            click: input(Param::ClickId),
            member,
            one_id: self.draft.one_id,
            opened: more.iter().any(|input| !input.value.is_empty()),
            subs: subs.to_vec(),
            more: more.to_vec(),
        }
    }

    /// The link at `address`.
    pub(crate) fn made(&self, address: &str) -> Made {
        let findings = self.findings();
        let mut url = UrlParts::new(&format!("{address}?{}", self.draft.query()));
        for finding in &findings {
            if let (Some(param), Weight::Wrong) = (finding.param, finding.weight) {
                url = url.wrong(param.code(), &finding.words);
            }
        }
        let wrong = url.parts.iter().filter(|part| !part.wrong.is_empty()).count();
        let odd = findings.iter().filter(|finding| finding.weight == Weight::Odd);
        let odd = odd.map(|finding| finding.words.clone()).collect();
        Made { touched: self.touched, url, wrong, odd }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = if self.touched { self.draft.findings() } else { Vec::new() };
        if self.draft.one_id {
            // What is wrong with the one id is told once.
            findings.retain(|finding| finding.param != Some(Param::MemberId));
        }
        findings
    }
}

fn wrong(findings: &[Finding], param: Param) -> String {
    let own = findings.iter().find(|finding| finding.param == Some(param));
    own.map(|finding| finding.words.clone()).unwrap_or_default()
}

/// The link as it is handed out: with words that stand for the values.
pub(crate) fn example(address: &str) -> UrlParts {
    UrlParts::new(&format!("{address}?pub_click_id=PUB_CLICK_ID&pub_member_id=PUB_MEMBER_ID"))
}

#[cfg(test)]
mod tests {
    use super::Typed;
    use crate::query::Query;

    fn typed(query: &str) -> Typed {
        Typed::read(&Query::read(Some(query)))
    }

    fn made(query: &str) -> (String, String) {
        let made = typed(query).made("https://api.example/x");
        let marked = made.url.parts.iter().map(|part| part.wrong.clone()).filter(|wrong| !wrong.is_empty());
        (made.url.whole.clone(), marked.chain(made.odd).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn an_untouched_form_blames_nobody() {
        assert_eq!(made("").1, "");
        assert_eq!(made("preset=&filled=").1, "");
    }

    #[test]
    fn a_tracker_fills_its_macros_in_once() {
        let (url, told) = made("preset=voluum");
        assert_eq!(
            (url.as_str(), told.as_str()),
            ("https://api.example/x?pub_click_id={clickid}&pub_member_id={clickid}", "")
        );
        let kept =
            "preset=voluum&filled=voluum&pub_click_id=%7Bclickid%7D&pub_member_id=%7Bemail%7D&pub_sub_1=a";
        assert_eq!(
            made(kept).0,
            "https://api.example/x?pub_click_id={clickid}&pub_member_id={email}&pub_sub_1=a"
        );
        assert_eq!(made("preset=cake").0, "https://api.example/x?pub_click_id=#reqid#&pub_member_id=#vstid#");
    }

    #[test]
    fn mistakes_stand_beside_their_field_and_in_the_link() {
        let typed = typed("pub_click_id=clickid&pub_member_id=site_12");
        let form = typed.form();
        assert!(form.click.wrong.contains("lost its brackets"), "{:?}", form.click);
        assert!(form.member.wrong.contains("on every click"), "{:?}", form.member);
        let made = typed.made("https://api.example/x");
        assert!(made.url.parts.iter().all(|part| !part.wrong.is_empty()));
        let one = super::Typed::read(&Query::read(Some("one_id=1"))).made("https://api.example/x");
        assert_eq!(one.wrong, 1, "{:?}", one.url);
    }
}
