//! Verdicts in a partner's words.

use domain::click::{Click, Marks, Verdict};

/// A verdict as partners read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    /// The kind of its pill.
    pub(crate) kind: &'static str,
    /// In a word or three.
    pub(crate) word: &'static str,
    /// What it means and what to do.
    pub(crate) meaning: &'static str,
}

/// What a verdict says to the partner.
pub(crate) const fn verdict(verdict: Verdict) -> Words {
    let (kind, word, meaning) = match verdict {
        Verdict::Ok => ("good", "Sent on", "The visitor went to the offer."),
        Verdict::MemberIdEmpty => (
            "bad",
            "Member id missing",
            "pub_member_id was empty. Fill in your user's id; the visitor was turned away.",
        ),
        Verdict::ClickIdEmpty => (
            "bad",
            "Click id missing",
            "pub_click_id was empty. Fill in your click id; the visitor was turned away.",
        ),
        Verdict::MemberIdMacro => (
            "bad",
            "Member id not replaced",
            "pub_member_id was a placeholder that your tracker did not replace; the visitor was turned away.",
        ),
        Verdict::ClickIdMacro => (
            "bad",
            "Click id not replaced",
            "pub_click_id was a placeholder that your tracker did not replace; the visitor was turned away.",
        ),
        Verdict::ParameterMalformed => {
            ("bad", "Unreadable parameter", "Percent-encode every value, and give each parameter once.")
        }
        Verdict::MemberIdStatic => (
            "attention",
            "Constant member id",
            "Most of this link's clicks carry the same pub_member_id; only its first conversion counts.",
        ),
        Verdict::ClickIdReused => {
            ("attention", "Click id reused", "This pub_click_id came before. Send a new one with each click.")
        }
        Verdict::MemberAlreadyCompleted => {
            ("attention", "Already completed", "This member completed the offer before, and it counts once.")
        }
        Verdict::OfferNotActive => ("attention", "Offer not active", "The offer could not be run then."),
        Verdict::OfferNotStarted => ("attention", "Offer not started", "The offer had not begun."),
        Verdict::OfferExpired => ("attention", "Offer expired", "The offer is over. Take its link down."),
        Verdict::OfferCapped => ("attention", "Offer capped", "The offer had reached its cap."),
        Verdict::OfferOverBudget => ("attention", "Budget spent", "The offer had spent its budget."),
        Verdict::PartnerNotApproved => {
            ("bad", "Not approved", "You were not approved for this offer. Ask the network.")
        }
        Verdict::TargetMismatch => (
            "attention",
            "Outside targeting",
            "The visitor's country, device or another fact is outside the offer's targeting.",
        ),
        Verdict::LinkUnknown => ("bad", "No such link", "The link does not exist."),
        Verdict::NotRecorded => {
            ("bad", "Not recorded", "The click could not be recorded, so nobody was sent on.")
        }
    };
    Words { kind, word, meaning }
}

/// What happened to one click: a flagged one may have been refused, and some are in no count.
pub(crate) fn click(click: &Click) -> Words {
    let words = verdict(click.verdict);
    match click.marks {
        marks if marks.has(Marks::REFUSED) => Words { kind: "bad", ..words },
        _ => words,
    }
}

/// What a click's marks say, beside its verdict.
pub(crate) fn marks(marks: Marks) -> Vec<&'static str> {
    let all = [
        (Marks::TEST, "a test"),
        (Marks::BOT, "a bot, not counted"),
        (Marks::PREFETCH, "fetched ahead, not counted"),
        (Marks::FELL_BACK, "sent to the fallback"),
        (Marks::REFUSED, "refused"),
        (Marks::REPEAT, "came again, not unique"),
    ];
    all.iter().filter(|(mark, _)| marks.has(*mark)).map(|(_, words)| *words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_words_of_its_own() {
        let mut seen: Vec<&str> = Verdict::ALL.iter().map(|own| verdict(*own).word).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), Verdict::ALL.len());
        assert!(Verdict::ALL.iter().all(|own| verdict(*own).meaning.ends_with('.')));
    }
}
