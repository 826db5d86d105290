//! A side that crashes after a commit and before it sends comes back and sends the same bytes.

use vettid_core::handshake::{Phase, Reaction};
use vettid_wire::handshake::InvitationKind;

use crate::parties::{begin, reload};
use crate::simulation::{Simulation, Who};

#[test]
fn a_crash_at_any_commit_does_no_harm() {
    for kind in [InvitationKind::Enroll, InvitationKind::Connect, InvitationKind::Service] {
        let mut smooth = Simulation::new(kind, 1, None);
        smooth.settle();
        let commits = smooth.commits;
        assert!(commits >= 8, "{commits}");
        for crash_after in 0..commits {
            let mut simulation = Simulation::new(kind, 1, Some(crash_after));
            simulation.settle();
            assert_eq!(simulation.phases(), (Phase::Active, Phase::Active), "crash after commit {crash_after}");
            assert_eq!(simulation.alarms, 0);
            simulation.assert_channel_works();
        }
    }
}

#[test]
fn what_is_sent_again_is_the_same_to_the_byte() {
    let mut begun = begin(InvitationKind::Connect, 1);
    assert_eq!(reload(&begun.initiator).unanswered(), Some(begun.hs1.as_slice()));
    let hs2 = begun.hs2();
    assert_eq!(reload(&begun.responder).unanswered(), Some(hs2.as_slice()));
    let hs3 = begun.hs3(&hs2);
    assert_eq!(reload(&begun.initiator).unanswered(), Some(hs3.as_slice()));
    begun.responder.receive(begun.now, &hs3);
    begun.initiator.confirm().unwrap();
    assert_eq!((begun.initiator.unanswered(), begun.responder.unanswered()), (None, None));
}

#[test]
fn a_message_that_comes_again_gets_the_same_answer() {
    let mut begun = begin(InvitationKind::Connect, 2);
    let answer = |bytes: &[u8]| Reaction { send: Some(bytes.to_vec()), ..Reaction::default() };
    begun.responder.receive(begun.now, &begun.hs1);
    assert_eq!(begun.responder.receive(begun.now, &begun.hs1), Reaction::default());
    let hs2 = begun.answer();
    assert_eq!(begun.responder.receive(begun.now, &begun.hs1), answer(&hs2));
    begun.initiator.receive(begun.now, &hs2);
    assert_eq!(begun.initiator.receive(begun.now, &hs2), Reaction::default());
    begun.initiator.accept(begun.now).unwrap();
    assert_eq!(begun.initiator.receive(begun.now, &hs2), Reaction::default());
    let party = begun.bob.party();
    let made = begun.initiator.finish(begun.now, &mut begun.rng, &party, &crate::parties::closing()).unwrap();
    let hs3 = made.send.unwrap();
    assert_eq!(begun.initiator.receive(begun.now, &hs2), answer(&hs3));
    assert!(begun.responder.receive(begun.now, &hs3).changed);
    assert_eq!(begun.responder.receive(begun.now, &hs3), Reaction::default());
    assert_eq!(begun.responder.receive(begun.now, &begun.hs1), answer(&hs2));
    begun.initiator.confirm().unwrap();
    begun.initiator.confirm().unwrap();
    assert_eq!(begun.initiator.receive(begun.now, &hs2), answer(&hs3));
}

#[test]
fn everything_twice_and_backwards_ends_well() {
    let mut simulation = Simulation::new(InvitationKind::Connect, 3, None);
    for _ in 0..8 {
        let mut messages = std::mem::take(&mut simulation.network);
        messages.extend(messages.clone());
        messages.reverse();
        for message in messages {
            simulation.deliver(&message);
        }
        for who in [Who::Responder, Who::Initiator] {
            simulation.decide(who);
            simulation.resend(who);
        }
    }
    assert_eq!(simulation.phases(), (Phase::Active, Phase::Active));
    assert_eq!(simulation.alarms, 0);
}
