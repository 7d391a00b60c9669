//! What a postback's setting may say, whether a file, a form or a program gives it.

use super::{Scope, Wanted};
use crate::offer::{Offer, Results};

/// Why a scope cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScope {
    /// An event and no offer.
    #[error("needs `offer`, because an event belongs to one")]
    EventAlone,
    /// An event of an offer that has none.
    #[error("offer \"{0}\" is a SingleEvent offer and has no events")]
    SingleEvent(String),
    /// An event that the offer does not have.
    #[error("offer \"{offer}\" has no event \"{event}\"; its events are: {known}")]
    NoSuchEvent {
        /// The offer's slug.
        offer: String,
        /// The code that was given.
        event: String,
        /// The codes that there are.
        known: String,
    },
}

impl Scope {
    /// The scope of an offer and the code of one of its events, where they are given.
    pub fn of(offer: Option<&Offer>, event: Option<&str>) -> Result<Self, BadScope> {
        match (offer, event) {
            (None, None) => Ok(Self::Global),
            (None, Some(_)) => Err(BadScope::EventAlone),
            (Some(offer), None) => Ok(Self::Offer(offer.id)),
            (Some(offer), Some(event)) => match (offer.event(event), &offer.results) {
                (Some(found), _) => Ok(Self::Event(offer.id, found.id)),
                (None, Results::Single(_)) => Err(BadScope::SingleEvent(offer.slug.clone())),
                (None, Results::Multi(events)) => {
                    let known: Vec<&str> = events.iter().map(|event| event.code.as_str()).collect();
                    let (offer, event) = (offer.slug.clone(), event.to_owned());
                    Err(BadScope::NoSuchEvent { offer, event, known: known.join(", ") })
                }
            },
        }
    }

    /// The code of the scope's event, as its offer has it.
    pub fn event_code(self, offer: &Offer) -> Option<&str> {
        match (self, &offer.results) {
            (Self::Event(_, id), Results::Multi(events)) => {
                events.iter().find(|event| event.id == id).map(|event| event.code.as_str())
            }
            _ => None,
        }
    }
}

/// A postback that wants to hear of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is empty; name what the partner is told of, or switch the postback off")]
pub struct WantsNothing;

impl Wanted {
    /// What can be wanted, as settings name it.
    pub const NAMES: [&'static str; 4] = ["Success", "Pending", "Rejected", "changes"];

    /// What is wanted, by whether each of [`Self::NAMES`] is.
    pub fn of(named: impl Fn(&str) -> bool) -> Result<Self, WantsNothing> {
        let [success, pending, rejected, changes] = Self::NAMES.map(named);
        let wanted = Self { success, pending, rejected, changes };
        if wanted.names().is_empty() { Err(WantsNothing) } else { Ok(wanted) }
    }

    /// The names of what is wanted.
    pub fn names(self) -> Vec<&'static str> {
        let wanted = [self.success, self.pending, self.rejected, self.changes];
        Self::NAMES.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
    }
}
