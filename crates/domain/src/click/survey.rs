//! Every rule over one hit, also those behind the one that decides: for whoever mends a link and wants to hear of all
//! that is wrong at once.

use super::{
    Decision, Standing, Step, check_contract, check_member, check_offer, check_parameters, check_room,
    decide, look_at,
};
use crate::link::Link;
use crate::visitor::Visitor;

/// A decision with every rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The decision, as a visit gets it.
    pub decision: Decision,
    /// Each rule, in order.
    pub steps: Vec<Step>,
    /// How many of the steps a visit goes through; of the others it is said what they would have done.
    pub decided_by: usize,
}

/// Decides about one hit, and looks on. Rules about the ids are left out when the parameters cannot be read.
pub fn survey(link: &Link, visitor: &Visitor<'_>, standing: &impl Standing) -> Survey {
    let mut decisive = Vec::new();
    let decision = decide(link, visitor, standing, &mut decisive);
    let mut steps = Vec::new();
    let readable = check_parameters(visitor.visit, &mut steps).is_none();
    if readable {
        check_contract(link, visitor.visit, standing, &mut steps);
    }
    check_offer(link, visitor.now, &mut steps);
    check_room(link, standing, visitor.now, &mut steps);
    for rule in &link.offer.rules.targeting {
        look_at(rule, visitor, &mut steps);
    }
    if readable {
        check_member(link, visitor.visit, standing, &mut steps);
    }
    // The rules come in the order in which a visit meets them, so what decided is how it begins.
    Survey { decision, decided_by: decisive.len().min(steps.len()), steps }
}
