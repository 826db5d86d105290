//! What does not belong is refused, and the handshake stays as it was or ends; it never succeeds.

use vettid_core::handshake::{
    HandshakeFailure, Initiator, MAX_ATTEMPTS, Phase, Reaction, Refusal, Target, invite, max_duration_ms,
};
use vettid_crypto::suite::Suite;
use vettid_wire::base64::Base64;
use vettid_wire::handshake::{HandshakeMessage, Invitation, InvitationKind, InvitationSecret, Role, Step};
use vettid_wire::id::HandshakeId;

use crate::parties::{Begun, DAY_MS, MINUTE_MS, begin, closing, opening, refusal, reload, terms};

/// The same message with one bit of its sealed part changed.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut message = HandshakeMessage::read(bytes).unwrap();
    let mut sealed = message.c.as_bytes().to_vec();
    sealed[30] ^= 1;
    message.c = Base64::new(sealed);
    message.to_bytes().unwrap()
}

fn edited(bytes: &[u8], edit: impl FnOnce(&mut HandshakeMessage)) -> Vec<u8> {
    let mut message = HandshakeMessage::read(bytes).unwrap();
    edit(&mut message);
    message.to_bytes().unwrap()
}

/// A first message of another initiator state for the same invitation.
fn another_hs1(begun: &mut Begun, change: impl FnOnce(&mut Invitation)) -> Vec<u8> {
    let mut invitation = begun.invitation.duplicate();
    change(&mut invitation);
    let target = Target::invitation(&invitation).unwrap();
    let party = begun.bob.party();
    let (_, reaction) = Initiator::start(begun.now, &mut begun.rng, &party, target, &opening(&begun.bob)).unwrap();
    reaction.send.unwrap()
}

#[test]
fn a_changed_message_is_refused_and_the_right_one_still_works() {
    let mut begun = begin(InvitationKind::Connect, 1);
    let reaction = begun.responder.receive(begun.now, &changed(&begun.hs1));
    assert_eq!((refusal(&reaction), reaction.alarm), (Refusal::Undecryptable, false));
    let hs2 = begun.hs2();
    let reaction = begun.initiator.receive(begun.now, &changed(&hs2));
    assert_eq!((refusal(&reaction), reaction.changed), (Refusal::Undecryptable, false));
    let hs3 = begun.hs3(&hs2);
    let reaction = begun.responder.receive(begun.now, &changed(&hs3));
    assert_eq!((refusal(&reaction), reaction.changed), (Refusal::Undecryptable, false));
    assert!(begun.responder.receive(begun.now, &hs3).changed);
    assert_eq!(begun.responder.phase(), Phase::Active);
}

#[test]
fn wrong_secret_prekey_role_and_suite_are_refused() {
    type Change = fn(&mut Invitation);
    let cases: [(Change, Refusal); 3] = [
        (|i| i.secret = InvitationSecret::from_bytes([9; 32]), Refusal::Undecryptable),
        (|i| i.invite_key = [9; 32], Refusal::NotDue),
        (|i| i.kind = InvitationKind::Service, Refusal::NotDue),
    ];
    for (change, wanted) in cases {
        let mut begun = begin(InvitationKind::Connect, 2);
        let hs1 = another_hs1(&mut begun, change);
        assert_eq!(refusal(&begun.responder.receive(begun.now, &hs1)), wanted);
        assert_eq!(begun.responder.phase(), Phase::Invited);
        begun.hs2();
    }
    for suite in [0, 2, 3, 4] {
        let mut begun = begin(InvitationKind::Connect, 2);
        let hs1 = edited(&begun.hs1, |message| message.suite = suite);
        assert_eq!(refusal(&begun.responder.receive(begun.now, &hs1)), Refusal::NotDue);
    }
    let begun = begin(InvitationKind::Connect, 2);
    let foreign = Invitation { suites: vec![Suite::XWing.id()], ..begun.invitation };
    assert!(matches!(Target::invitation(&foreign), Err(HandshakeFailure::Invitation(_))));
}

#[test]
fn noise_and_messages_out_of_turn_are_refused() {
    let mut begun = begin(InvitationKind::Connect, 3);
    for noise in [&b""[..], b"{}", b"[1]", b"\xff", &vec![b' '; 70_000]] {
        assert_eq!(refusal(&begun.responder.receive(begun.now, noise)), Refusal::Malformed);
        assert_eq!(refusal(&begun.initiator.receive(begun.now, noise)), Refusal::Malformed);
    }
    let hs1 = begun.hs1.clone();
    assert_eq!(refusal(&begun.initiator.receive(begun.now, &hs1)), Refusal::NotDue);
    let hs2 = begun.hs2();
    assert_eq!(refusal(&begun.responder.receive(begun.now, &hs2)), Refusal::NotDue);
    let hs3 = begun.hs3(&hs2);
    assert_eq!(refusal(&begun.initiator.receive(begun.now, &hs3)), Refusal::NotDue);
    let mut fresh = begin(InvitationKind::Connect, 3);
    assert_eq!(refusal(&fresh.responder.receive(fresh.now, &hs3)), Refusal::NotDue);
    fresh.responder.receive(fresh.now, &hs1);
    assert_eq!(refusal(&fresh.responder.receive(fresh.now, &hs3)), Refusal::NotDue);
}

#[test]
fn another_message_for_the_same_handshake_ends_it_with_an_alarm() {
    for decided in [false, true] {
        let mut begun = begin(InvitationKind::Connect, 4);
        begun.responder.receive(begun.now, &begun.hs1);
        if decided {
            begun.answer();
        }
        let reaction = begun.responder.receive(begun.now, &changed(&begun.hs1));
        assert_eq!((refusal(&reaction), reaction.alarm, reaction.changed), (Refusal::Conflict, true, true));
        assert_eq!(begun.responder.phase(), Phase::Aborted);
        assert_eq!(begun.responder.unanswered(), None);
        assert_eq!(refusal(&begun.responder.receive(begun.now, &begun.hs1)), Refusal::Ended);
    }
    let mut begun = begin(InvitationKind::Connect, 4);
    let hs2 = begun.hs2();
    begun.initiator.receive(begun.now, &hs2);
    let reaction = begun.initiator.receive(begun.now, &changed(&hs2));
    assert_eq!((refusal(&reaction), reaction.alarm), (Refusal::Conflict, true));
    assert_eq!(begun.initiator.phase(), Phase::Aborted);
}

#[test]
fn keys_in_use_survive_a_conflict_with_an_alarm() {
    let mut begun = begin(InvitationKind::Connect, 5);
    let hs2 = begun.hs2();
    let hs3 = begun.hs3(&hs2);
    begun.responder.receive(begun.now, &hs3);
    for (late, side) in [(changed(&begun.hs1), Phase::Active), (changed(&hs3), Phase::Active)] {
        let reaction = begun.responder.receive(begun.now, &late);
        assert_eq!((refusal(&reaction), reaction.alarm, reaction.changed), (Refusal::Conflict, true, false));
        assert_eq!(begun.responder.phase(), side);
    }
    let reaction = begun.initiator.receive(begun.now, &changed(&hs2));
    assert_eq!((refusal(&reaction), reaction.alarm), (Refusal::Conflict, true));
    assert_eq!(begun.initiator.phase(), Phase::Hs3Sent);
}

#[test]
fn an_invitation_belongs_to_the_first_valid_answer() {
    let mut begun = begin(InvitationKind::Connect, 6);
    let second = another_hs1(&mut begun, |_| ());
    begun.responder.receive(begun.now, &begun.hs1);
    let reaction = begun.responder.receive(begun.now, &second);
    assert_eq!((refusal(&reaction), reaction.changed), (Refusal::Used, false));
    let hs2 = begun.answer();
    assert_eq!(refusal(&begun.responder.receive(begun.now, &second)), Refusal::Used);
    let hs3 = begun.hs3(&hs2);
    let foreign = edited(&hs3, |message| message.hs_id = HandshakeId::from_bytes([0; 16]));
    assert_eq!(refusal(&begun.responder.receive(begun.now, &foreign)), Refusal::Used);
    assert!(begun.responder.receive(begun.now, &hs3).changed);
}

#[test]
fn five_wrong_answers_end_an_invitation() {
    let mut begun = begin(InvitationKind::Connect, 7);
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(begun.responder.phase(), Phase::Invited);
        let wrong =
            another_hs1(&mut begun, |invitation| invitation.secret = InvitationSecret::from_bytes([attempt; 32]));
        let reaction = reload_and_receive(&mut begun, &wrong);
        assert_eq!(reaction.alarm, attempt == MAX_ATTEMPTS);
        assert!(reaction.changed);
    }
    assert_eq!(begun.responder.phase(), Phase::Aborted);
    let hs1 = begun.hs1.clone();
    assert_eq!(refusal(&begun.responder.receive(begun.now, &hs1)), Refusal::Ended);
}

/// A crash does not give the attempts back.
fn reload_and_receive(begun: &mut Begun, bytes: &[u8]) -> Reaction {
    let reaction = begun.responder.receive(begun.now, bytes);
    begun.responder = reload(&begun.responder);
    reaction
}

#[test]
fn an_invitation_dies_in_time() {
    let mut begun = begin(InvitationKind::Connect, 8);
    let late = begun.now.plus_ms(10 * MINUTE_MS + 1);
    let reaction = begun.responder.receive(late, &begun.hs1);
    assert_eq!((refusal(&reaction), reaction.changed), (Refusal::Expired, true));
    assert_eq!(begun.responder.phase(), Phase::Expired);
    assert_eq!(refusal(&begun.responder.receive(begun.now, &begun.hs1)), Refusal::Ended);
    let target = Target::invitation(&begun.invitation).unwrap();
    let refused = Initiator::start(late, &mut begun.rng, &begun.bob.party(), target, &opening(&begun.bob));
    assert!(matches!(refused, Err(HandshakeFailure::Expired)));
    for life_ms in [0, -1, DAY_MS + 1] {
        let terms = terms(InvitationKind::Connect, &begun.alice, begun.now.plus_ms(life_ms));
        let refused = invite(begun.now, &mut begun.rng, &begun.alice.party(), InvitationKind::Connect, terms);
        assert!(matches!(refused, Err(HandshakeFailure::Invitation(_))));
    }
}

#[test]
fn nobody_waits_for_ever() {
    let mut begun = begin(InvitationKind::Connect, 9);
    let hs2 = begun.hs2();
    let late = begun.now.plus_ms(max_duration_ms(Role::Connect) + 1);
    assert_eq!(refusal(&begun.initiator.receive(late, &hs2)), Refusal::Expired);
    assert!(begun.responder.expire(late) && !begun.responder.expire(late));
    assert_eq!((begun.initiator.phase(), begun.responder.phase()), (Phase::Expired, Phase::Expired));

    let mut begun = begin(InvitationKind::Connect, 9);
    let hs2 = begun.hs2();
    let hs3 = begun.hs3(&hs2);
    begun.responder.receive(begun.now, &hs3);
    assert!(!begun.responder.expire(late) && !begun.initiator.expire(late));
}

#[test]
fn the_owner_may_say_no_until_the_last_own_message() {
    let mut begun = begin(InvitationKind::Connect, 10);
    begun.responder.receive(begun.now, &begun.hs1);
    begun.responder.reject().unwrap();
    assert_eq!(begun.responder.phase(), Phase::Rejected);
    assert_eq!(refusal(&begun.responder.receive(begun.now, &begun.hs1)), Refusal::Ended);

    let mut begun = begin(InvitationKind::Connect, 10);
    let hs2 = begun.hs2();
    assert!(matches!(begun.responder.reject(), Err(HandshakeFailure::NotDue(Phase::Hs2Sent))));
    begun.initiator.receive(begun.now, &hs2);
    begun.initiator.reject().unwrap();
    assert_eq!(begun.initiator.phase(), Phase::Rejected);
    assert!(begun.initiator.take_outcome().is_none());
}

#[test]
fn no_step_can_be_left_out() {
    let mut begun = begin(InvitationKind::Connect, 11);
    let not_due = |result: Result<(), HandshakeFailure>, phase: Phase| {
        assert!(matches!(result, Err(HandshakeFailure::NotDue(found)) if found == phase), "{result:?}");
    };
    not_due(begun.responder.accept(begun.now), Phase::Invited);
    not_due(begun.initiator.accept(begun.now), Phase::Hs1Sent);
    not_due(begun.initiator.confirm(), Phase::Hs1Sent);
    begun.responder.receive(begun.now, &begun.hs1);
    let content = crate::parties::answer(&begun.alice);
    let early = begun.responder.answer(begun.now, &mut begun.rng, &begun.alice.party(), &content);
    not_due(early.map(|_| ()), Phase::Hs1Received);
    let hs2 = begun.answer();
    begun.initiator.receive(begun.now, &hs2);
    let early = begun.initiator.finish(begun.now, &mut begun.rng, &begun.bob.party(), &closing());
    not_due(early.map(|_| ()), Phase::Hs2Received);
}

#[test]
fn an_hs1_that_names_the_secret_of_a_session_does_not_help() {
    let mut begun = begin(InvitationKind::Connect, 16);
    let hs1 = edited(&begun.hs1, |message| {
        if let Step::Hs1(h) = &mut message.step {
            h.psk_id = Some(vettid_wire::base64::Base64Url::new([1; 8]));
        }
    });
    // The name is not part of the transcript; the secret of the invitation is what counts.
    assert!(begun.responder.receive(begun.now, &hs1).changed);
    assert_eq!(begun.responder.phase(), Phase::Hs1Received);
}
