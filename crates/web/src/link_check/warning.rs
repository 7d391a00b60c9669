//! What may be wrong with a link's parameters although the rules let them pass.

use std::borrow::Cow;

use domain::placeholder::is_placeholder;
use domain::query::{self, MAX_PARAMETERS, Plus};
use domain::visit::{Param, Visit};

/// Everything that whoever sets the link up should look at.
pub(super) fn all(query: &str, visit: &Visit<'_>, fragment: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(fragment) = fragment {
        warnings.push(format!(
            "browsers keep everything from `#` on to themselves: `#{fragment}` never arrives; write it as %23"
        ));
    }
    names(query, &mut warnings);
    values(query, &mut warnings);
    facts(visit, &mut warnings);
    let (click, member) = (visit.given(Param::ClickId), visit.given(Param::MemberId));
    if click.is_some() && click == member {
        warnings.push(
            "pub_click_id and pub_member_id are the same: every click is then a member of its own, and nobody is \
             known as having completed the offer; do this only where there are no user ids"
                .to_owned(),
        );
    }
    warnings
}

fn decoded(name: &str) -> Cow<'_, str> {
    query::decode(name, Plus::Literal).unwrap_or(Cow::Borrowed(name))
}

/// Names that are not read: with the one that was probably meant.
fn names(query: &str, warnings: &mut Vec<String>) {
    let mut ignored = Vec::new();
    for (name, _) in query::pairs(query).take(MAX_PARAMETERS) {
        let name = decoded(name);
        if Param::from_name(&name).is_some() {
            continue;
        }
        if let Some(meant) = nearest(&name) {
            warnings.push(format!("`{name}` is not read; did you mean `{meant}`?"));
        } else if name.to_ascii_lowercase().starts_with("pub_sub_") {
            warnings.push(format!("`{name}` is not read; sub parameters are pub_sub_1 to pub_sub_15"));
        } else {
            ignored.push(format!("`{name}`"));
        }
    }
    if !ignored.is_empty() {
        warnings.push(format!("not read, and not passed on: {}", ignored.join(", ")));
    }
}

/// The parameter of ours that a name looks like, its case and punctuation aside.
fn nearest(name: &str) -> Option<Param> {
    let given = letters(name);
    let number = given.strip_prefix("pubsub").unwrap_or_default();
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.parse().ok().and_then(Param::sub);
    }
    let distance = |param: &Param| {
        let own = letters(param.code());
        let tail = given.len() >= 4 && own.ends_with(&given);
        if tail { 0 } else { strsim::damerau_levenshtein(&given, &own) }
    };
    let best = Param::ALL.iter().min_by_key(|param| distance(param))?;
    (distance(best) <= 2 && given.len() >= 4).then_some(*best)
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

/// Placeholders where the rules do not look for them.
fn values(query: &str, warnings: &mut Vec<String>) {
    for (name, raw) in query::pairs(query).take(MAX_PARAMETERS) {
        let Some(param) = Param::from_name(&decoded(name)) else { continue };
        let checked = matches!(param, Param::ClickId | Param::MemberId);
        if !checked && is_placeholder(raw) {
            warnings.push(format!("{param} is `{raw}`, which looks like a placeholder that nobody replaced"));
        }
    }
}

type Fits = fn(&str) -> bool;

/// Member facts that no targeting could use.
fn facts(visit: &Visit<'_>, warnings: &mut Vec<String>) {
    let checks: [(Param, Fits, &str); 3] = [
        (Param::Age, is_age, "a whole number of years"),
        (Param::GeoCountry, is_country, "an ISO 3166 code: two letters, three letters or three digits"),
        (Param::Device, is_device, "IOS, Android, MacOS, Browser or All"),
    ];
    for (param, fits, wanted) in checks {
        if let Some(value) = visit.given(param).filter(|value| !fits(value)) {
            warnings.push(format!("{param} is `{value}`, and should be {wanted}"));
        }
    }
}

fn is_age(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u8>().is_ok_and(|age| age <= 130)
}

fn is_country(value: &str) -> bool {
    let letters = value.bytes().all(|byte| byte.is_ascii_alphabetic());
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    matches!((value.len(), letters, digits), (2 | 3, true, _) | (3, _, true))
}

fn is_device(value: &str) -> bool {
    ["IOS", "Android", "MacOS", "Browser", "All"].iter().any(|known| known.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use domain::visit::Visit;

    use super::{all, nearest};

    fn warnings(query: &str) -> String {
        all(query, &Visit::read(query), None).join("\n")
    }

    #[test]
    fn a_sound_link_gives_none() {
        let query = "pub_click_id=c&pub_member_id=m&pub_sub_1=x&pub_sub_15=y&pub_age=18&pub_geo_country=DEU\
                     &pub_device=ios";
        assert_eq!(warnings(query), "");
    }

    #[test]
    fn a_name_leads_to_the_one_that_was_meant() {
        let cases = [
            ("pub_clickid", Some("pub_click_id")),
            ("pubMemberId", Some("pub_member_id")),
            ("PUB_CLICK_ID", Some("pub_click_id")),
            ("pub_clcik_id", Some("pub_click_id")),
            ("member_id", Some("pub_member_id")),
            ("sub_3", Some("pub_sub_3")),
            ("pub_sub1", Some("pub_sub_1")),
            ("pub_sub_16", None),
            ("utm_source", None),
            ("pub", None),
            ("", None),
        ];
        for (name, meant) in cases {
            assert_eq!(nearest(name).map(domain::visit::Param::code), meant, "{name}");
        }
    }

    #[test]
    fn what_passes_the_rules_and_is_odd_all_the_same_is_told() {
        let cases = [
            ("pub_click_id=a&pub_member_id=a", "are the same"),
            ("pub_sub_2={source}", "pub_sub_2 is `{source}`, which looks like a placeholder"),
            ("pub_age=young", "pub_age is `young`"),
            ("pub_age=200", "a whole number"),
            ("pub_geo_country=Germany", "an ISO 3166 code"),
            ("pub_device=Fridge", "IOS, Android"),
            ("pub_sub_16=x", "sub parameters are pub_sub_1 to pub_sub_15"),
            ("pub_clickid=x", "did you mean `pub_click_id`?"),
            ("a=1&b=2", "not read, and not passed on: `a`, `b`"),
        ];
        for (query, told) in cases {
            assert!(warnings(query).contains(told), "{query}: {}", warnings(query));
        }
        let told = all("", &Visit::default(), Some("click#")).join("");
        assert!(told.contains("`#click#` never arrives"), "{told}");
    }
}
