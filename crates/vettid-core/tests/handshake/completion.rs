//! What both sides have after a handshake that went well.

use vettid_core::handshake::{Phase, Target};
use vettid_crypto::identity::safety_number;
use vettid_wire::handshake::{Invitation, InvitationKind, Role, SYMBOLS};

use crate::parties::{begin, reload};

const KINDS: [(InvitationKind, Role); 3] = [
    (InvitationKind::Enroll, Role::Enroll),
    (InvitationKind::Connect, Role::Connect),
    (InvitationKind::Service, Role::Service),
];

#[test]
fn both_sides_have_the_same_keys_and_know_each_other() {
    for (kind, role) in KINDS {
        let mut begun = begin(kind, 1);
        let hs2 = begun.hs2();
        let hs3 = begun.hs3(&hs2);
        assert!(begun.responder.receive(begun.now, &hs3).changed);
        begun.initiator.confirm().unwrap();
        assert_eq!((begun.initiator.phase(), begun.responder.phase()), (Phase::Active, Phase::Active));
        assert_eq!(begun.responder.hs_id(), Some(begun.initiator.hs_id()));

        let shown = begun.initiator.symbols().unwrap();
        let (ours, theirs) = (begun.initiator.take_outcome().unwrap(), begun.responder.take_outcome().unwrap());
        assert!(begun.initiator.take_outcome().is_none() && begun.responder.take_outcome().is_none());
        assert_eq!((ours.role(), theirs.role()), (role, role));
        assert_eq!(ours.epoch_key(), theirs.epoch_key());
        assert_eq!(ours.resume(), theirs.resume());
        assert_ne!(ours.epoch_key(), ours.resume());
        assert_eq!(ours.key_id(), theirs.key_id());
        assert_eq!((ours.symbols(), theirs.symbols()), (shown, shown));
        assert!(shown.iter().all(|&symbol| usize::from(symbol) < SYMBOLS.len()));
        assert!(!ours.is_limited() && !theirs.is_limited());
        assert_eq!(ours.own_kem().public_key().typed(), theirs.peer().epoch_kem);
        assert_eq!(theirs.own_kem().public_key().typed(), ours.peer().epoch_kem);

        let (bob, alice) = (theirs.peer(), ours.peer());
        assert_eq!(bob.key_record, begun.bob.record);
        assert_eq!(alice.key_record, begun.alice.record);
        assert_eq!(alice.fingerprint(), begun.invitation.inviter_fp);
        assert_eq!(bob.profile.as_ref(), Some(&begun.bob.profile));
        assert_eq!(alice.profile.as_ref(), Some(&begun.alice.profile));
        assert_eq!((bob.nkey_pub.as_deref(), bob.jwt.as_deref()), (Some("UINITIATOR"), Some("jwt for URESPONDER")));
        assert_eq!((alice.nkey_pub.as_deref(), alice.jwt.as_deref()), (Some("URESPONDER"), Some("jwt for UINITIATOR")));
        assert_eq!(bob.pairwise_key, Some(begun.bob.identity.verifying_key().typed()));
        assert_eq!(bob.claim.as_ref().unwrap().messagespace_uri, begun.bob.space());
        assert_eq!((bob.incarnation, alice.incarnation), (1, 3));
        let digits = safety_number(&bob.fingerprint(), &alice.fingerprint());
        assert_eq!(digits, safety_number(&alice.fingerprint(), &bob.fingerprint()));
    }
}

#[test]
fn an_outcome_comes_back_from_the_sealed_store() {
    let mut begun = begin(InvitationKind::Connect, 2);
    let hs2 = begun.hs2();
    let hs3 = begun.hs3(&hs2);
    begun.responder.receive(begun.now, &hs3);
    let ours = reload(&begun.initiator).take_outcome().unwrap();
    let theirs = reload(&reload(&begun.responder).take_outcome().unwrap());
    assert_eq!(ours.epoch_key(), theirs.epoch_key());
    assert_eq!(ours.own_kem().public_key().typed(), theirs.peer().epoch_kem);
}

/// What would open old messages is gone as soon as it is not needed (spec 2.4, crash rule).
#[test]
fn used_secrets_leave_the_stored_state() {
    let stored = |state: &dyn erased::Stored| state.text();
    let mut begun = begin(InvitationKind::Connect, 3);
    let secret = vettid_wire::base64::encode(begun.invitation.secret.expose());
    let invited = stored(&begun.responder);
    let asking = stored(&begun.initiator);
    assert!(invited.contains(&secret));
    assert!(!asking.contains(&secret));
    let prekey = secret_named(&invited, "prekey");
    let ephemeral = secret_named(&asking, "ephemeral");

    let hs2 = begun.hs2();
    let answered = stored(&begun.responder);
    assert!(!answered.contains(&secret) && !answered.contains(&prekey));
    assert!(!answered.contains("\"ephemeral\""));
    let hs3 = begun.hs3(&hs2);
    assert!(!stored(&begun.initiator).contains(&ephemeral));
    begun.responder.receive(begun.now, &hs3);

    let keys = begun.initiator.take_outcome().unwrap();
    let epoch_key = vettid_wire::base64::encode(keys.epoch_key().expose());
    assert!(!stored(&begun.initiator).contains(&epoch_key));
    assert!(stored(&begun.responder).contains(&epoch_key));
    let _ = begun.responder.take_outcome();
    assert!(!stored(&begun.responder).contains(&epoch_key));
}

mod erased {
    /// Anything that can be written into the sealed store.
    pub(super) trait Stored {
        fn text(&self) -> String;
    }

    impl<T: serde::Serialize> Stored for T {
        fn text(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}

/// The text after `"name":"` in a stored state.
fn secret_named(stored: &str, name: &str) -> String {
    let (_, rest) = stored.split_once(&format!("\"{name}\":\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Mallory shows Bob her own code in place of Alice's and talks to both. The handshakes succeed, the comparison does not.
#[test]
fn a_swapped_code_shows_in_symbols_and_safety_number() {
    let mut with_alice = begin(InvitationKind::Connect, 4);
    let mut with_bob = begin(InvitationKind::Connect, 5);
    // In the first world the initiator is Mallory, in the second one the responder is.
    for world in [&mut with_alice, &mut with_bob] {
        let hs2 = world.hs2();
        let hs3 = world.hs3(&hs2);
        assert!(world.responder.receive(world.now, &hs3).changed);
    }
    let (alice, bob) = (with_alice.responder.take_outcome().unwrap(), with_bob.initiator.take_outcome().unwrap());
    assert_ne!(alice.symbols(), bob.symbols());
    assert_ne!(alice.epoch_key(), bob.epoch_key());
    let alice_sees = safety_number(&with_alice.alice.record.fingerprint(), &alice.peer().fingerprint());
    let bob_sees = safety_number(&with_bob.bob.record.fingerprint(), &bob.peer().fingerprint());
    assert_ne!(alice_sees, bob_sees);
    assert_ne!(bob.peer().fingerprint(), with_alice.alice.record.fingerprint());
}

/// Only the fingerprint is swapped: prekey and secret are Alice's, so the first message does not open for her.
#[test]
fn a_swapped_fingerprint_makes_the_first_message_unreadable() {
    let begun = begin(InvitationKind::Connect, 6);
    let swapped = Invitation { inviter_fp: begun.bob.record.fingerprint(), ..begun.invitation };
    assert!(Target::invitation(&swapped).is_ok());
    let mut rng = begun.rng;
    let target = Target::invitation(&swapped).unwrap();
    let content = crate::parties::opening(&begun.bob);
    let (_, reaction) =
        vettid_core::handshake::Initiator::start(begun.now, &mut rng, &begun.bob.party(), target, &content).unwrap();
    let mut responder = begun.responder;
    let refused = responder.receive(begun.now, &reaction.send.unwrap());
    assert_eq!(refused.refusal, Some(vettid_core::handshake::Refusal::Undecryptable));
    assert_eq!(responder.phase(), Phase::Invited);
}
