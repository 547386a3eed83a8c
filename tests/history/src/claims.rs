//! Whether every unique key had one holder.

use std::collections::{BTreeMap, BTreeSet};

use rookery_model::store::UniqueKey;

use crate::operation::{Answer, Claim};
use crate::report::{Violation, ViolationKind};

/// What is wrong with these claims.
pub fn check_claims(claims: &[Claim]) -> Vec<Violation> {
    let mut keys: BTreeMap<&UniqueKey, Vec<&Claim>> = BTreeMap::new();
    for claim in claims {
        keys.entry(&claim.key).or_default().push(claim);
    }
    let mut violations = Vec::new();
    for (key, claims) in keys {
        violations.extend(several_holders(key, &claims));
        violations.extend(claims.iter().filter_map(|claim| impossible_holder(key, claim, &claims)));
    }
    violations
}

/// Who holds the key, as far as an answer says so.
fn holder(claim: &Claim) -> Option<u64> {
    match claim.answer {
        Answer::Won => Some(claim.owner),
        Answer::Lost { holder } => Some(holder),
        Answer::Failed | Answer::Unknown => None,
    }
}

fn several_holders(key: &UniqueKey, claims: &[&Claim]) -> Option<Violation> {
    let holders: BTreeSet<u64> = claims.iter().filter_map(|claim| holder(claim)).collect();
    (holders.len() > 1).then(|| Violation {
        kind: ViolationKind::SeveralHolders,
        subject: format!("{key:?} is held by {holders:?}"),
        operations: claims.iter().filter(|claim| holder(claim).is_some()).map(ToString::to_string).collect(),
    })
}

/// A holder must have claimed the key, not in vain, before the loser was told.
fn impossible_holder(key: &UniqueKey, lost: &Claim, claims: &[&Claim]) -> Option<Violation> {
    let Answer::Lost { holder } = lost.answer else { return None };
    let may_hold = claims.iter().any(|claim| {
        let begun = lost.span.ended.is_none_or(|ended| claim.span.began < ended);
        claim.owner == holder && begun && matches!(claim.answer, Answer::Won | Answer::Unknown)
    });
    // The holder's own claim does not lose.
    (!may_hold || holder == lost.owner).then(|| Violation {
        kind: ViolationKind::ImpossibleHolder,
        subject: format!("{key:?} of {holder}"),
        operations: claims.iter().map(ToString::to_string).collect(),
    })
}
