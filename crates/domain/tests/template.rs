//! URL templates: what may be saved, and that no value can leave its place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use domain::click::DestinationMacro;
use domain::postback::PostbackMacro;
use domain::template::{MacroName, Template, TemplateError};
use proptest::prelude::*;
use url::Url;

type Destination = Template<DestinationMacro>;

fn refused(text: &str) -> TemplateError {
    Destination::parse(text).expect_err(text)
}

#[test]
fn macros_may_stand_anywhere_behind_the_host() {
    for (text, expanded) in [
        ("https://shop.example/{gk_click_id}", "https://shop.example/v"),
        ("https://shop.example?c={gk_click_id}", "https://shop.example/?c=v"),
        (
            "https://shop.example/a/{gk_click_id}/b?x={pub_sub_15}#{random}",
            "https://shop.example/a/v/b?x=v#v",
        ),
        ("https://shop.example/a/../{gk_click_id}?up=/../{random}", "https://shop.example/v?up=/../v"),
        ("HTTPS://Shop.Example:443/ö?c={gk_click_id}", "https://shop.example/%C3%B6?c=v"),
        ("http://[::1]:8080/?{gk_click_id}={ip}", "http://[::1]:8080/?v=v"),
    ] {
        let template = Destination::parse(text).unwrap();
        assert_eq!(template.expand(|_, to| to.text("v")), expanded);
        assert_eq!(template.text(), text);
    }
}

#[test]
fn a_wrong_template_is_refused_with_its_reason() {
    assert!(
        matches!(refused("https://{country}.example/"), TemplateError::InHost(name) if name == "country")
    );
    assert!(matches!(refused("https://shop.example:{random}/"), TemplateError::InHost(_)));
    assert!(matches!(refused("https://shop.example{gk_click_id}"), TemplateError::InHost(_)));
    assert!(matches!(refused("https://shop.example{gk_click_id}/"), TemplateError::InHost(_)));
    assert!(matches!(refused("{gk_network}://shop.example/"), TemplateError::NotHttp(_)));
    assert!(matches!(refused("https://a:b@shop.example/?{gk_click_id}"), TemplateError::Credentials));
    assert!(matches!(refused("https://{gk_click_id}@shop.example/"), TemplateError::InHost(_)));
    assert!(matches!(
        refused("https:///?c={gk_click_id}"),
        TemplateError::NotHttp(_) | TemplateError::InHost(_)
    ));
    assert!(matches!(refused("ftp://shop.example/{gk_click_id}"), TemplateError::NotHttp(_)));
    assert!(matches!(refused("javascript:alert({gk_click_id})"), TemplateError::NotHttp(_)));
    assert!(matches!(refused("/relative?{gk_click_id}"), TemplateError::NotHttp(_)));
    assert!(matches!(refused("https://shop.example/?c={gk_click_id"), TemplateError::Unclosed(24)));
    assert!(
        matches!(refused("https://shop.example/?c={cid}"), TemplateError::Unknown { name, .. } if name == "cid")
    );
    assert!(matches!(refused("https://shop.example/?c={}"), TemplateError::Unknown { .. }));
    for gone in [
        "a/{gk_click_id}/../b",
        "{gk_click_id}/%2e%2E?c={gk_click_id}",
        "a/{gk_click_id}/./..",
        "{random}\\..",
    ] {
        let text = format!("https://shop.example/{gone}");
        assert_eq!(refused(&text), TemplateError::Swallowed, "{text}");
        assert!(refused(&text).to_string().contains("write the path as it is to be sent"));
        let kept = Destination::stored(&text).unwrap().expand(|_, to| to.text("v"));
        assert_eq!(kept.matches('v').count(), text.matches('{').count(), "{kept}");
    }
    assert!(matches!(refused(&format!("https://shop.example/{}", "a".repeat(5000))), TemplateError::TooLong));
    let without = Destination::parse("https://shop.example/").unwrap().require(DestinationMacro::ClickId);
    assert_eq!(without.unwrap_err(), TemplateError::Missing("gk_click_id"));
}

#[test]
fn every_macro_of_both_kinds_is_found_by_its_name() {
    fn all<M: MacroName + std::fmt::Debug>() {
        for name in M::ALL {
            let template =
                Template::<M>::parse(&format!("https://p.example/?x={{{}}}", name.name())).unwrap();
            assert!(template.uses(*name), "{name:?}");
        }
    }
    all::<DestinationMacro>();
    all::<PostbackMacro>();
}

fn templates() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec![
        "https://shop.example",
        "http://a.b.example:8443",
        "https://[2001:db8::1]:9",
    ]);
    let names: Vec<&str> = DestinationMacro::ALL.iter().map(|name| name.code()).collect();
    let part = (
        prop::sample::select(vec!["/", "/p/", "?q=", "&x=", "#f", "/../", ";", "=", "//", "/%2e%2e/"]),
        prop::sample::select(names),
    );
    (host, prop::collection::vec(part, 1..6)).prop_map(|(host, parts)| {
        let tail = parts.iter().map(|(text, name)| format!("{text}{{{name}}}")).collect::<Vec<_>>().concat();
        format!("{host}/{tail}")
    })
}

proptest! {
    #[test]
    fn a_value_never_changes_scheme_host_port_or_the_parameters(
        template in templates(),
        value in "\\PC{0,40}|[\\x00-\\x7f]{0,40}",
    ) {
        // A path that goes up again over a macro is refused; in such a template nothing else is wrong.
        let template = match Destination::parse(&template) {
            Err(why) => {
                prop_assert_eq!(why, TemplateError::Swallowed);
                return Ok(());
            }
            Ok(kept) => kept,
        };
        let plain = Url::parse(&template.expand(|_, to| to.text("x"))).unwrap();
        let filled = template.expand(|_, to| to.text(&value));
        let url = Url::parse(&filled).unwrap();
        let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
        prop_assert_eq!(origin(&url), origin(&plain));
        prop_assert_eq!(url.username(), "");
        prop_assert_eq!(url.query_pairs().count(), plain.query_pairs().count());
        prop_assert!(!filled.contains(['\r', '\n', ' ', '\0']));
    }

    #[test]
    fn what_is_encoded_decodes_to_itself(value in "\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
        let template = Destination::parse("https://shop.example/?v={pub_sub_1}").unwrap();
        let url = Url::parse(&template.expand(|_, to| to.text(&value))).unwrap();
        let (_, decoded) = url.query_pairs().next().unwrap();
        prop_assert_eq!(decoded, value);
    }

    #[test]
    fn no_text_makes_a_template_panic(text in "\\PC{0,80}|https?://[a-z{}@:/?#\\\\\\[\\]%]{0,40}") {
        if let Ok(template) = Destination::parse(&text) {
            let filled = template.expand(|_, to| to.text("a b&c=d/../#?@:"));
            let was = Url::parse(&template.expand(|_, to| to.text("x"))).unwrap();
            let is = Url::parse(&filled).unwrap();
            prop_assert_eq!(was.host_str(), is.host_str());
        }
    }
}
