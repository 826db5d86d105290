//! The shipped steps keep every property, whatever leaked, as far as the property can survive it.

use crate::cast::{ALICE, BOB, Cast, Code, Leaks, MALLORY, secret_of};
use crate::parties::{DAY_MS, MINUTE_MS, start_of_day, terms};
use crate::search::{Found, budget, search};
use crate::session::{Mutant, Seat};
use crate::world::{Broken, Reached, Setting};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use vettid_core::handshake::{Invited, invite};
use vettid_crypto::suite::x25519;
use vettid_wire::handshake::InvitationKind;

/// How many handshakes there are at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Alice invites; Bob opens her code or one that Mallory put in its place.
    One,
    /// Alice invites twice, Bob opens two codes.
    Two,
    /// Alice and Bob invite each other at the same time.
    Crossed,
}

pub(crate) const NOTHING: Leaks = Leaks { codes: false, prekeys: false, keys: [false; 2] };
pub(crate) const CODES: Leaks = Leaks { codes: true, ..NOTHING };
pub(crate) const ALL_OF_CODES: Leaks = Leaks { codes: true, prekeys: true, ..NOTHING };

pub(crate) fn setting(size: Size, leaks: Leaks, cuts: bool) -> Setting {
    let cast = Cast::new();
    let (inviters, openers): (&[usize], &[usize]) = match size {
        Size::One => (&[ALICE], &[BOB]),
        Size::Two => (&[ALICE, ALICE], &[BOB, BOB]),
        Size::Crossed => (&[ALICE, BOB], &[BOB, ALICE]),
    };
    let (mut codes, mut seats) = (vec![], vec![]);
    for (number, &who) in inviters.iter().enumerate() {
        let (code, stored) = invitation(&cast, who, u64::try_from(number).unwrap());
        codes.push(code);
        seats.push(Seat { who, invited: Some(stored), codes: vec![] });
    }
    for (number, &who) in openers.iter().enumerate() {
        let swapped = Code::swapped(&cast, &codes[number], leaks);
        let mut shown: Vec<usize> = (0..inviters.len()).filter(|&code| inviters[code] != who).collect();
        shown.extend(codes.len()..codes.len() + swapped.len());
        codes.extend(swapped);
        seats.push(Seat { who, invited: None, codes: shown });
    }
    Setting { cast, codes, seats, leaks, cuts }
}

/// An invitation of a member, and what the member stores of it.
fn invitation(cast: &Cast, who: usize, number: u64) -> (Code, String) {
    let (mut rng, side) = (StdRng::seed_from_u64(100 + number), &cast.sides[who]);
    let terms = terms(InvitationKind::Connect, side, start_of_day().plus_ms(10 * MINUTE_MS));
    let Invited { responder, invitation } =
        invite(start_of_day(), &mut rng, &side.party(), InvitationKind::Connect, terms).unwrap();
    let stored = serde_json::to_string(&responder).unwrap();
    let state: Value = serde_json::from_str(&stored).unwrap();
    let prekey = x25519::SecretKey::from_secret(secret_of(state["state"]["invited"]["prekey"].as_str().unwrap()));
    (Code { invitation, prekey, genuine: true }, stored)
}

#[track_caller]
fn holds(size: Size, leaks: Leaks, given_up: &[Broken]) -> Found {
    let found = search(&setting(size, leaks, true), Mutant::None, budget(), None);
    println!("{size:?} {leaks:?}: {} states, complete: {}", found.states, found.complete);
    found.assert_whole(given_up);
    for rule in given_up {
        assert!(found.rules().contains(rule), "{rule:?} is given up and holds after all");
    }
    assert!(found.reached.contains(&Reached::Connected));
    assert!(found.complete || found.states >= budget());
    found
}

#[test]
fn nothing_breaks_when_nothing_leaked() {
    assert!(holds(Size::One, NOTHING, &[]).complete);
}

/// Whoever reads the message with the link can answer in her own name, and in no other.
#[test]
fn a_link_that_was_read_by_others_breaks_nothing() {
    let found = holds(Size::One, CODES, &[]);
    assert!(found.reached.contains(&Reached::Herself));
}

#[test]
fn a_link_and_its_prekey_give_the_profile_and_nothing_else() {
    holds(Size::One, ALL_OF_CODES, &[Broken::Profile]);
}

/// Whose key is stolen can be impersonated; nobody can be impersonated to the victim.
fn a_stolen_key(who: usize, leaks: Leaks) {
    let mut leaks = leaks;
    leaks.keys[who] = true;
    holds(Size::One, leaks, &[]);
}

#[test]
fn a_stolen_key_fools_its_owner_about_nobody() {
    a_stolen_key(ALICE, NOTHING);
    a_stolen_key(BOB, NOTHING);
}

#[test]
fn a_stolen_key_of_the_inviter_and_a_known_link_fool_nobody_about_others() {
    a_stolen_key(ALICE, CODES);
}

#[test]
fn a_stolen_key_of_the_initiator_and_a_known_link_fool_nobody_about_others() {
    a_stolen_key(BOB, CODES);
}

#[test]
fn two_handshakes_at_once_do_not_mix() {
    holds(Size::Two, NOTHING, &[]);
}

#[test]
fn two_handshakes_of_known_links_do_not_mix() {
    holds(Size::Two, CODES, &[]);
}

#[test]
fn invitations_that_cross_do_not_mix() {
    holds(Size::Crossed, NOTHING, &[]);
}

#[test]
fn known_invitations_that_cross_do_not_mix() {
    holds(Size::Crossed, CODES, &[]);
}

/// Mallory shows her code in place of Alice's and answers Alice herself. Both handshakes end well, and in every such world
/// the symbols of the two differ: else [`Broken::Symbols`] would be found.
#[test]
fn a_swapped_code_puts_somebody_between_and_the_symbols_show_it() {
    let found = search(&setting(Size::One, CODES, false), Mutant::None, budget(), None);
    found.assert_whole(&[]);
    assert!(found.reached.contains(&Reached::Between), "after {} states", found.states);
}

/// The cast is what it says: a test of the test.
#[test]
fn a_forged_record_is_refused_by_whoever_looks() {
    let cast = Cast::new();
    for (who, record) in cast.forged.iter().enumerate() {
        assert!(vettid_crypto::key_record::verify(record.clone(), start_of_day()).is_err());
        assert_eq!(record.identity_key, cast.sides[who].record.record().identity_key);
        assert_eq!(record.signing_key, cast.sides[MALLORY].record.record().signing_key);
    }
    assert!(cast.sides[ALICE].record.record().expires_at > start_of_day().plus_ms(DAY_MS));
}
