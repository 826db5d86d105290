//! Each check that is left out is found by the search, by the property that it is there for.

use crate::cast::Leaks;
use crate::scenarios::{ALL_OF_CODES, CODES, NOTHING, Size, setting};
use crate::search::{budget, search};
use crate::session::Mutant;
use crate::world::Broken;

/// Worlds that suffice for each mutant.
const STATES: usize = 60_000;

#[track_caller]
fn breaks(size: Size, leaks: Leaks, mutant: Mutant, rule: Broken) {
    let found = search(&setting(size, leaks, false), mutant, STATES, Some(rule));
    println!("{mutant:?}: {:?} after {} states", found.rules(), found.states);
    assert!(found.rules().contains(&rule), "{mutant:?} breaks {:?} after {} states", found.rules(), found.states);
    let unbroken = search(&setting(size, leaks, false), Mutant::None, found.states, None);
    assert!(!unbroken.rules().contains(&rule));
}

#[test]
fn without_the_fingerprint_somebody_else_answers() {
    breaks(Size::One, ALL_OF_CODES, Mutant::AnyFingerprint, Broken::Secrecy);
}

#[test]
fn without_the_responders_signature_somebody_answers_in_its_name() {
    breaks(Size::One, ALL_OF_CODES, Mutant::AnyResponderKey, Broken::Agreement);
}

#[test]
fn without_the_initiators_signature_somebody_asks_in_its_name() {
    breaks(Size::One, CODES, Mutant::AnyInitiatorKey, Broken::AgreementBack);
}

/// As in the symbolic model: the signature of the first message names the initiator already, and the nonce its holder.
#[test]
fn the_last_signature_may_be_left_out() {
    let found = search(&setting(Size::One, ALL_OF_CODES, false), Mutant::NoLastSignature, budget(), None);
    found.assert_whole(&[Broken::Profile]);
}

#[test]
fn without_the_commitment_symbols_can_be_chosen() {
    breaks(Size::One, CODES, Mutant::AnyNonce, Broken::Symbols);
}

#[test]
fn without_ephemeral_keys_recorded_messages_are_read_later() {
    breaks(Size::One, NOTHING, Mutant::KnownEphemeral, Broken::Secrecy);
}

#[test]
fn an_invitation_that_is_forgotten_is_answered_twice() {
    breaks(Size::One, NOTHING, Mutant::ForgetsCommit, Broken::TwoAnswers);
}

#[test]
fn a_second_message_that_is_passed_over_is_found() {
    breaks(Size::One, CODES, Mutant::IgnoresConflict, Broken::ConflictSurvives);
}
