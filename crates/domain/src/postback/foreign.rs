//! Postback URLs as trackers write them, turned into ours: `{clickid}`, `[CLICK]`, `{{x}}`, `${x}`, `#x#`, `%x%`, or
//! only a parameter that waits for its value, `cid=REPLACE`.

use super::PostbackMacro;
use crate::placeholder;
use crate::template::{MAX_TEMPLATE_BYTES, MacroName as _};

/// Words that trackers write where a value is to be put in.
const BLANKS: [&str; 8] =
    ["", "replace", "replaceme", "optional", "tobereplaced", "value", "xxx", "yourvalue"];

/// What trackers and networks call what ours mean, without case and signs. The first that fits is taken.
const NAMES: [(PostbackMacro, &[&str]); 13] = [
    (
        PostbackMacro::PubClickId,
        &[
            "clickid",
            "click",
            "cid",
            "clkid",
            "clk",
            "subid",
            "cnvid",
            "tid",
            "affclickid",
            "externalid",
            "visitorid",
            "visitid",
            "affsub",
            "requestid",
            "leadid",
            "uclick",
            "extclickid",
            "pubclickid",
        ],
    ),
    (
        PostbackMacro::PubMemberId,
        &["userid", "user", "uid", "memberid", "member", "subscriberid", "playerid", "pubmemberid"],
    ),
    (
        PostbackMacro::Payout,
        &["payout", "sum", "revenue", "rev", "profit", "price", "reward", "cpa", "value"],
    ),
    (
        PostbackMacro::PayoutCurrency,
        &["currency", "cur", "payoutcurrency", "revenuecurrency", "currencycode"],
    ),
    (PostbackMacro::Amount, &["amount", "saleamount", "orderamount", "ordervalue", "cnvamount", "total"]),
    (PostbackMacro::Currency, &["salecurrency", "ordercurrency", "amountcurrency", "cnvcurrency"]),
    (PostbackMacro::Status, &["status", "cnvstatus", "conversionstatus", "leadstatus", "eventstatus"]),
    (
        PostbackMacro::EventCode,
        &[
            "event",
            "eventid",
            "eventname",
            "eventtype",
            "goal",
            "goalid",
            "et",
            "type",
            "cnvtype",
            "cnveventid",
        ],
    ),
    (PostbackMacro::OfferId, &["offerid", "offer", "oid", "gkofferid"]),
    (PostbackMacro::OfferName, &["offername", "gkoffername", "offertitle"]),
    (
        PostbackMacro::ConversionId,
        &[
            "conversionid",
            "convid",
            "transactionid",
            "txid",
            "txnid",
            "transid",
            "orderid",
            "cnvconversionid",
            "actionid",
            "adv1",
        ],
    ),
    (PostbackMacro::Timestamp, &["timestamp", "time", "ts", "unixtime", "date", "datetime"]),
    (PostbackMacro::ClickId, &["gkclickid", "networkclickid"]),
];

/// What stands before the number of a free parameter.
const SUBS: [&str; 8] = ["sub", "subid", "affsub", "pubsub", "s", "p", "var", "custom"];

/// A place of the URL that became one of our macros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The parameter that it stands in; empty in the path.
    pub parameter: String,
    /// As it was written.
    pub written: String,
    /// What it became.
    pub name: PostbackMacro,
}

/// A place of the URL that nothing of ours fits; it was left empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmapped {
    /// The parameter that it stands in; empty in the path.
    pub parameter: String,
    /// As it was written.
    pub written: String,
}

/// A tracker's URL in our words. It may still be wrong as a URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Translated {
    /// The URL with our macros.
    pub url: String,
    /// What was understood, in order.
    pub mapped: Vec<Mapped>,
    /// What was not, in order.
    pub unmapped: Vec<Unmapped>,
}

impl Translated {
    /// Whether nothing had to be changed or left out.
    pub fn is_ours(&self) -> bool {
        self.unmapped.is_empty()
            && self.mapped.iter().all(|mapped| mapped.written == format!("{{{}}}", mapped.name.code()))
    }

    /// Whether the partner's click id is told: without it no tracker knows what converted.
    pub fn tells_click(&self) -> bool {
        let tells = |mapped: &Mapped| mapped.name == PostbackMacro::PubClickId;
        self.mapped.iter().any(tells)
    }
}

/// Turns a tracker's postback URL into ours; of a text that is too long, only its beginning.
pub fn translate(text: &str) -> Translated {
    let text = text.trim();
    let text = &text[..text.floor_char_boundary(MAX_TEMPLATE_BYTES)];
    let (base, query) = text.split_once('?').map_or((text, None), |(base, query)| (base, Some(query)));
    let mut made = Translated::default();
    let base = made.embedded("", base);
    made.url.push_str(&base);
    let Some(query) = query else { return made };
    for (at, pair) in query.split('&').enumerate() {
        made.url.push(if at == 0 { '?' } else { '&' });
        let Some((name, value)) = pair.split_once('=') else {
            made.url.push_str(pair);
            continue;
        };
        let value = made.value(name, value);
        made.url.push_str(name);
        made.url.push('=');
        made.url.push_str(&value);
    }
    made
}

impl Translated {
    /// The value of a parameter.
    fn value(&mut self, parameter: &str, value: &str) -> String {
        if BLANKS.contains(&plain(value).as_str()) && !value.contains(['{', '[', '<', '%', '#']) {
            return match meaning(parameter) {
                Some(name) => self.map(parameter, value, name),
                // An empty value may be meant so; a word that asks to be replaced is not.
                None if value.is_empty() => String::new(),
                None => self.leave(parameter, value),
            };
        }
        match placeholder::name(value) {
            Some(inner) => match meaning(&inner).or_else(|| meaning(parameter)) {
                Some(name) => self.map(parameter, value, name),
                None => self.leave(parameter, value),
            },
            None => self.embedded(parameter, value),
        }
    }

    /// Text with placeholders in it.
    fn embedded(&mut self, parameter: &str, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, written, behind)) = placeholder::first_in(rest) {
            out.push_str(before);
            let inner = placeholder::name(written).unwrap_or_default();
            let put = match meaning(&inner) {
                Some(name) => self.map(parameter, written, name),
                None => self.leave(parameter, written),
            };
            out.push_str(&put);
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    fn map(&mut self, parameter: &str, written: &str, name: PostbackMacro) -> String {
        let (parameter, written) = (parameter.to_owned(), written.to_owned());
        self.mapped.push(Mapped { parameter, written, name });
        format!("{{{}}}", name.code())
    }

    fn leave(&mut self, parameter: &str, written: &str) -> String {
        let (parameter, written) = (parameter.to_owned(), written.to_owned());
        self.unmapped.push(Unmapped { parameter, written });
        String::new()
    }
}

/// Our macro for what somebody calls so.
fn meaning(name: &str) -> Option<PostbackMacro> {
    let own = PostbackMacro::ALL.iter().find(|own| own.name() == name);
    own.copied().or_else(|| {
        let plain = plain(name);
        let known = NAMES.iter().find(|(_, names)| names.contains(&plain.as_str()));
        known.map(|(macro_name, _)| *macro_name).or_else(|| sub(&plain))
    })
}

/// The free parameter of a name such as `aff_sub3`.
fn sub(plain: &str) -> Option<PostbackMacro> {
    let digits = plain.trim_start_matches(|char: char| !char.is_ascii_digit());
    let word = plain.strip_suffix(digits)?;
    let number: usize = digits.parse().ok().filter(|number| (1..=15).contains(number))?;
    let all = PostbackMacro::ALL;
    let first = all.iter().position(|own| *own == PostbackMacro::Sub1)?;
    SUBS.contains(&word).then(|| all.get(first + number - 1).copied()).flatten()
}

/// A name without case and signs.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Translated, translate};
    use crate::postback::PostbackUrl;

    fn unmapped(made: &Translated) -> Vec<&str> {
        made.unmapped.iter().map(|one| one.written.as_str()).collect()
    }

    #[test]
    fn every_style_of_macro_is_understood() {
        let ours = "https://t.example/pb?cid={pub_click_id}&payout={payout}";
        for (click, payout) in [
            ("{clickid}", "{payout}"),
            ("[CLICK]", "[PAYOUT]"),
            ("{{click_id}}", "{{revenue}}"),
            ("[[click.id]]", "[[sum]]"),
            ("${CLICK_ID}", "${PAYOUT}"),
            ("#clickid#", "#payout#"),
            ("%clickid%", "%price%"),
            ("<click-id>", "<payout>"),
            ("__CLICKID__", "__PAYOUT__"),
            ("%7Bclickid%7D", "%5Bpayout%5D"),
            ("REPLACE", "OPTIONAL"),
            ("", ""),
        ] {
            let made = translate(&format!(" https://t.example/pb?cid={click}&payout={payout} "));
            assert_eq!(made.url, ours, "{click}");
            assert!(made.tells_click() && made.unmapped.is_empty() && !made.is_ours(), "{made:?}");
        }
        assert!(translate(ours).is_ours());
    }

    #[test]
    fn what_fits_nothing_is_named_and_left_empty() {
        let made = translate("https://t.example/pb?subid={subid}&zone={zoneid}&k=7&site=REPLACE&empty=&flag");
        assert_eq!(made.url, "https://t.example/pb?subid={pub_click_id}&zone=&k=7&site=&empty=&flag");
        assert_eq!(unmapped(&made), ["{zoneid}", "REPLACE"]);
        assert!(PostbackUrl::parse(&made.url).is_ok());
    }

    #[test]
    fn macros_in_the_path_and_inside_a_value_are_found() {
        let made = translate("https://t.example/{{status}}/x?c=a-{click_id}-b&s={sub_id_3}&t=[goal]");
        let ours = "https://t.example/{cnv_status}/x?c=a-{pub_click_id}-b&s={pub_sub_3}&t={cnv_event_id}";
        assert_eq!(made.url, ours);
    }

    #[test]
    fn a_parameter_tells_what_an_odd_macro_means() {
        let made = translate("https://t.example/?cid={xyz}&status=%CAMPAIGN%");
        assert_eq!(made.url, "https://t.example/?cid={pub_click_id}&status={cnv_status}");
    }

    #[test]
    fn constants_stay_and_nothing_panics() {
        let plain = "https://t.example/pb?type=sale&n=100%25&u=a_b";
        assert_eq!(translate(plain).url, plain);
        for odd in ["", "?", "{", "https://t.example/?a={&b=}", "é{é}?é={é}", "{}", "?a={}"] {
            let _ = translate(odd);
        }
    }
}
