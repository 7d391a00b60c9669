//! What an error page says to the visitor, who did nothing wrong, and how it names the details below.

use domain::click::Verdict;

/// The words of one page.
pub(super) struct Words {
    /// The heading.
    pub(super) title: &'static str,
    /// What happened and what the visitor can do.
    pub(super) visitor: &'static str,
    /// Whom the details are for.
    pub(super) details: &'static str,
    /// Whether the same request may succeed when it is sent again.
    pub(super) retry: bool,
}

const FOR_THE_LINK_S_OWNER: &str = "If you set this link up";
const FOR_SUPPORT: &str = "If you ask for help, say this";

/// For a request that is no click.
pub(super) const REQUEST: Words = Words {
    title: "There is nothing here",
    visitor: "This address does not lead anywhere. Check it for a missing or extra character.",
    details: FOR_SUPPORT,
    retry: false,
};

/// The words for a click with this verdict.
pub(super) fn of(verdict: Verdict) -> Words {
    let (title, visitor, details) = match verdict {
        Verdict::MemberIdEmpty
        | Verdict::ClickIdEmpty
        | Verdict::MemberIdMacro
        | Verdict::ClickIdMacro
        | Verdict::ParameterMalformed
        | Verdict::MemberIdStatic
        | Verdict::ClickIdReused => (
            "This link is not complete",
            "The link that brought you here lacks something it needs, so we cannot send you on. You did nothing \
             wrong. Go back to the app or page that you came from and try again, or tell them about it.",
            FOR_THE_LINK_S_OWNER,
        ),
        Verdict::MemberAlreadyCompleted => (
            "You have already completed this offer",
            "It can be completed once. Go back to the app or page that you came from to find another one.",
            FOR_SUPPORT,
        ),
        Verdict::OfferNotActive | Verdict::OfferCapped | Verdict::OfferOverBudget => (
            "This offer is not available right now",
            "Go back to the app or page that you came from to find another one.",
            FOR_SUPPORT,
        ),
        Verdict::OfferNotStarted => {
            ("This offer has not started yet", "Please come back when it has started.", FOR_SUPPORT)
        }
        Verdict::OfferExpired => (
            "This offer has ended",
            "Go back to the app or page that you came from to find another one.",
            FOR_SUPPORT,
        ),
        Verdict::PartnerNotApproved => (
            "This link does not work yet",
            "The app or page that you came from has not been approved for this offer. You did nothing wrong.",
            FOR_THE_LINK_S_OWNER,
        ),
        Verdict::TargetMismatch => (
            "This offer is not available to you",
            "It is meant for another country, device or group. Go back to the app or page that you came from to find \
             another one.",
            FOR_SUPPORT,
        ),
        Verdict::LinkUnknown => (
            "We do not know this link",
            "It may have been cut off or mistyped. Go back to the app or page that you came from and try again.",
            FOR_THE_LINK_S_OWNER,
        ),
        Verdict::Ok | Verdict::NotRecorded => {
            ("Please try again in a moment", "We could not take your visit down just now.", FOR_SUPPORT)
        }
    };
    Words { title, visitor, details, retry: matches!(verdict, Verdict::Ok | Verdict::NotRecorded) }
}
