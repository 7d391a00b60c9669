//! Where conversions stand, in a partner's words.

use domain::conversion::{Reason, Status};

/// The kind of pill and the word of a status.
pub(crate) const fn status(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Success => ("good", "Success"),
        Status::Pending => ("info", "Pending"),
        Status::Rejected => ("bad", "Rejected"),
    }
}

/// Why a conversion does not count: in a few words, and what it means.
pub(crate) const fn reason(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::IpNotAllowed => {
            ("Sender not allowed", "It was reported from an address that the advertiser does not use.")
        }
        Reason::AdvertiserRejected => ("Advertiser rejected", "The advertiser took it back or refused it."),
        Reason::MemberAlreadyCompleted => {
            ("Already completed", "Another conversion of this member counts, and the offer counts once.")
        }
        Reason::ClickRefused => {
            ("Click refused", "The click had been refused, so it led nobody to the offer.")
        }
        Reason::TooLate => ("Too late", "It came later than the offer's attribution window allows."),
        Reason::TooFast => ("Too fast", "It came sooner after the click than the offer allows."),
        Reason::Capped => ("Cap reached", "The offer's cap was full."),
        Reason::OverBudget => ("Budget spent", "The offer's budget was spent."),
        Reason::OutOfSequence => ("Out of sequence", "The event before it never came."),
        Reason::PubClickIdReused => {
            ("Click id reused", "Its click carried a pub_click_id that had come before.")
        }
        Reason::OfferEnded => ("Offer ended", "The offer was over."),
        Reason::StaffRejected => {
            ("Network rejected", "The network's staff refused it. Ask your contact there.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words_of_its_own() {
        let mut seen: Vec<&str> = Reason::ALL.iter().map(|own| reason(*own).0).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|own| reason(*own).1.ends_with('.')));
    }
}
