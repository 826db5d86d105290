//! The invariants of spec 2.7 hold in every world the search reaches, and each forbidden variant breaks one of them.

use crate::search::{Found, budget, search};
use crate::world::{Bounds, Broken, Mutant};

/// One operation and one guess: searched to the end at each run.
const SMALL: Bounds = Bounds { ops: 1, versions: 5, guesses: 1, limit: 2, give_ups: 0 };
/// States that suffice for all of [`LIFE`].
const WHOLE_LIFE: usize = 200_000;
/// Two operations and a thief: searched to the end at each run, so that liveness is decided.
const LIFE: Bounds = Bounds { ops: 2, versions: 7, guesses: 2, limit: 2, give_ups: 0 };
/// Three operations, of which the member gives one up.
const GIVING_UP: Bounds = Bounds { ops: 3, versions: 8, guesses: 1, limit: 2, give_ups: 1 };
/// Three operations, none given up.
const LONG: Bounds = Bounds { ops: 3, versions: 10, guesses: 2, limit: 3, give_ups: 0 };
/// Many guesses.
const THIEF: Bounds = Bounds { ops: 1, versions: 4, guesses: 5, limit: 3, give_ups: 0 };

fn shipped(bounds: &Bounds, states: usize) -> Found {
    let found = search(bounds, Mutant::None, states, true);
    println!("{bounds:?}: {} states, complete: {}", found.states, found.complete);
    found.assert_whole();
    assert!(found.complete || found.states >= states);
    found
}

#[test]
fn nothing_breaks_in_a_small_life_searched_to_the_end() {
    assert!(shipped(&SMALL, budget()).complete);
}

#[test]
fn nothing_breaks_in_the_life_of_a_credential_searched_to_the_end() {
    assert!(shipped(&LIFE, budget().max(WHOLE_LIFE)).complete);
}

#[test]
fn nothing_breaks_in_a_longer_life() {
    let _ = shipped(&LONG, budget());
}

#[test]
fn nothing_breaks_when_the_member_gives_up() {
    let _ = shipped(&GIVING_UP, budget());
}

#[test]
fn nothing_breaks_under_a_thief() {
    let _ = shipped(&THIEF, budget());
}

/// The model allows this: one more round trip, and still the member finishes.
#[test]
fn implicit_confirmation_may_be_left_out() {
    let found = search(&LIFE, Mutant::NoImplicitPromote, budget(), true);
    found.assert_whole();
}

/// A mutant is searched until it breaks something, with room beyond what each needs.
fn mutated(bounds: &Bounds, mutant: Mutant) -> Found {
    let found = search(bounds, mutant, 400_000, true);
    println!("{mutant:?}: {:?} after {} states", found.rules(), found.states);
    found
}

#[track_caller]
fn breaks(bounds: &Bounds, mutant: Mutant, rule: Broken) {
    let found = mutated(bounds, mutant);
    assert!(found.rules().contains(&rule), "{mutant:?} breaks {:?} after {} states", found.rules(), found.states);
}

#[test]
fn one_slot_locks_out() {
    breaks(&LIFE, Mutant::SingleSlot, Broken::Lockout);
}

#[test]
fn writing_over_the_newest_slot_locks_out() {
    breaks(&LIFE, Mutant::OverwriteNewest, Broken::Lockout);
}

#[test]
fn forgetting_operations_repeats_effects() {
    breaks(&LIFE, Mutant::NoDedup, Broken::TwoEffects);
    breaks(&LIFE, Mutant::NoDedupNoBurn, Broken::TwoEffects);
}

#[test]
fn counting_after_the_compare_gives_free_guesses() {
    breaks(&THIEF, Mutant::CountAfter, Broken::Guesses);
}

#[test]
fn rotating_without_confirmation_locks_out() {
    breaks(&LIFE, Mutant::ActiveOnly, Broken::Lockout);
}

#[test]
fn taking_any_version_takes_stale_ones() {
    breaks(&LIFE, Mutant::AnyVersion, Broken::Stale);
}

#[test]
fn one_operation_id_for_many_guesses_gives_free_guesses() {
    breaks(&THIEF, Mutant::ProofNotCompared, Broken::Guesses);
}

#[test]
fn freeing_a_slot_before_the_confirmation_locks_out() {
    breaks(&GIVING_UP, Mutant::FreesEarly, Broken::Lockout);
}

#[test]
fn an_unnoticed_torn_slot_locks_out() {
    breaks(&LIFE, Mutant::TornUnnoticed, Broken::Lockout);
}

#[test]
fn an_answer_that_is_not_stored_leaves_the_member_stuck() {
    breaks(&SMALL, Mutant::AnswerNotStored, Broken::Stuck);
}
