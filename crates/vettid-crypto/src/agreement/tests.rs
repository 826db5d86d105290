//! A record holds as it is and in no other way: every byte, every field, every signer, every time.

use super::*;
use crate::identity::VerifyingKey;
use crate::key_record::{Draft, VerifiedKeyRecord, build, kem_key};
use crate::secret::Secret32;
use crate::suite::{KemSecretKey, Suite};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use vettid_wire::agreement::{AgreementKind, AnswerMethod, Terms};
use vettid_wire::base64::Base64;
use vettid_wire::id::{AgreementId, KeyId, MemberId};

const MINUTE: i64 = 60_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + minutes * MINUTE)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
}

/// A party whose identity certifies another signing key, in force for the minutes 0 to 600.
struct Party {
    signing: SigningKey,
    record: VerifiedKeyRecord,
}

fn party(seed: u8) -> Party {
    let (identity, signing) = (key(seed), key(seed + 100));
    let kem = KemSecretKey::generate(Suite::X25519, &mut StdRng::from_seed([seed; 32])).unwrap();
    let draft = Draft {
        role: KeyRole::Vault,
        guid: MemberId::from_bytes([seed; 16]),
        signing_key: signing.verifying_key(),
        device_key: None,
        kem_keys: vec![kem_key(&kem.public_key(), at(0), at(600))],
        suites: vec![Suite::X25519],
        issued_at: at(0),
        expires_at: at(600),
    };
    Party { record: build(draft, &identity, None).unwrap(), signing }
}

fn blank() -> (KeyId, Base64) {
    (key(0).key_id(), Base64::default())
}

fn payment() -> Terms {
    let value =
        json!({"money": {"payer": "proposer", "amount": "19.90", "currency": "EUR", "payee": "Bob", "note": "lunch"}});
    json::from_value(value).unwrap()
}

fn draft_terms(maker: &Party, other: &Party) -> SignedTerms {
    let (terms, (key_id, signature)) = (payment(), blank());
    SignedTerms {
        kind_of_object: TERMS_KIND.to_owned(),
        version: VERSION,
        agreement_id: AgreementId::from_bytes([7; 16]),
        kind: AgreementKind::Transaction,
        round: 1,
        replaces: None,
        proposer: maker.record.fingerprint(),
        asked: other.record.fingerprint(),
        template: terms.template(),
        displayed: terms.display(AgreementKind::Transaction, at(30)),
        terms,
        made_at: at(10),
        expires_at: at(30),
        key_record: maker.record.record().clone(),
        key_id,
        signature,
    }
}

fn draft_answer(by: &Party, terms: &VerifiedTerms, decision: Decision) -> SignedAnswer {
    let (key_id, signature) = blank();
    SignedAnswer {
        kind_of_object: ANSWER_KIND.to_owned(),
        version: VERSION,
        agreement_id: terms.get().agreement_id,
        round: terms.get().round,
        terms_hash: terms.hash(),
        template: terms.get().template.clone(),
        displayed_hash: displayed_hash(&terms.get().displayed).unwrap(),
        decision,
        method: AnswerMethod::Password,
        answered_at: at(15),
        key_record: by.record.record().clone(),
        key_id,
        signature,
    }
}

fn draft_outcome(by: &Party, terms: &VerifiedTerms, answer: Option<&SignedAnswer>) -> SignedOutcome {
    let (key_id, signature) = blank();
    SignedOutcome {
        kind_of_object: OUTCOME_KIND.to_owned(),
        version: VERSION,
        agreement_id: terms.get().agreement_id,
        round: terms.get().round,
        terms_hash: terms.hash(),
        answer_hash: answer.map(|answer| answer_hash(answer).unwrap()),
        outcome: match answer.map(|answer| answer.decision) {
            Some(Decision::Approve) => AgreementOutcome::Approved,
            Some(Decision::Deny) => AgreementOutcome::Denied,
            None => AgreementOutcome::Expired,
        },
        ended_at: at(16),
        key_record: by.record.record().clone(),
        key_id,
        signature,
    }
}

fn record(decision: Decision) -> AgreementRecord {
    let (alice, bob) = (party(1), party(2));
    let terms = sign_terms(&alice.signing, draft_terms(&alice, &bob)).unwrap();
    let answer = sign_answer(&bob.signing, &terms, draft_answer(&bob, &terms, decision)).unwrap();
    let outcome = draft_outcome(&alice, &terms, Some(&answer));
    let outcome = sign_outcome(&alice.signing, &terms, Some(&answer), outcome).unwrap();
    assemble(terms.get().clone(), answer, outcome).unwrap()
}

fn bytes(record: &impl serde::Serialize) -> Vec<u8> {
    json::canonical(record).unwrap()
}

#[test]
fn a_record_holds_by_itself_for_ever() {
    for decision in [Decision::Approve, Decision::Deny] {
        let bytes = bytes(&record(decision));
        // Long after the keys of both parties went out of use.
        for now in [at(16), at(1_000_000)] {
            let report = verify_record(&bytes, now, &[]).unwrap();
            assert_eq!(report.is_approved(), decision == Decision::Approve);
        }
        assert!(matches!(verify_record(&bytes, at(10), &[]), Err(RecordError::Future)));
    }
}

#[test]
fn the_reader_may_name_the_parties() {
    let bytes = bytes(&record(Decision::Approve));
    let identity = |seed| key(seed).verifying_key().fingerprint();
    assert_eq!(verify_record(&bytes, at(20), &[identity(2), identity(1)]).unwrap().compared, 2);
    assert!(matches!(verify_record(&bytes, at(20), &[identity(3)]), Err(RecordError::OtherParty)));
}

#[test]
fn no_bit_of_a_record_can_be_changed_and_no_byte_left_out_or_put_in() {
    let whole = bytes(&record(Decision::Approve));
    let holds = |bytes: &[u8]| verify_record(bytes, at(20), &[]).is_ok();
    assert!(holds(&whole));
    for place in 0..whole.len() {
        // The bits of a byte in turn: each place gets another one, and each letter gets all in some place.
        let mut changed = whole.clone();
        changed[place] ^= 1 << (place % 7);
        assert!(!holds(&changed), "{place}");
        changed.clone_from(&whole);
        changed.remove(place);
        assert!(!holds(&changed), "without {place}");
    }
    for place in [0, 1, whole.len() / 2, whole.len()] {
        let mut changed = whole.clone();
        changed.insert(place, b' ');
        assert!(!holds(&changed), "space at {place}");
    }
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| places(inner, &format!("{at}/{name}"), found)),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, inner)| places(inner, &format!("{at}/{n}"), found)),
        _ => {}
    }
}

#[test]
fn no_field_can_be_left_out_emptied_or_taken_from_another_record() {
    let (one, other) = (record(Decision::Approve), record(Decision::Deny));
    let (one, other) = (serde_json::to_value(one).unwrap(), serde_json::to_value(other).unwrap());
    let mut all = vec![];
    places(&one, "", &mut all);
    assert!(all.len() > 100);
    for place in all.iter().filter(|place| !place.is_empty()) {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let replacements = [Some(json!("")), Some(json!(0)), Some(Value::Null), other.pointer(place).cloned(), None];
        for replacement in replacements {
            let mut changed = one.clone();
            match (replacement, changed.pointer_mut(parent).unwrap()) {
                (Some(new), _) => *changed.pointer_mut(place).unwrap() = new,
                (None, Value::Object(fields)) => drop(fields.remove(name)),
                (None, Value::Array(list)) => drop(list.remove(name.parse().unwrap())),
                (None, _) => unreachable!(),
            }
            if changed != one {
                assert!(verify_record(&bytes(&changed), at(20), &[]).is_err(), "{place}");
            }
        }
    }
}

/// What a signature alone does not make right, signed by the right keys all the same.
#[test]
fn terms_that_are_signed_and_wrong_are_not_taken() {
    let (alice, bob) = (party(1), party(2));
    let wrong: [&dyn Fn(&mut SignedTerms); 14] = [
        &|t| t.kind_of_object = ANSWER_KIND.to_owned(),
        &|t| t.version = 2,
        &|t| t.round = 0,
        &|t| t.round = 2,
        &|t| t.replaces = Some(Digest::from_bytes([1; 32])),
        &|t| t.asked = t.proposer,
        &|t| std::mem::swap(&mut t.asked, &mut t.proposer),
        &|t| t.template = "money/2".to_owned(),
        &|t| t.displayed[1] = "Amount: 1.00 EUR".to_owned(),
        &|t| t.displayed.push("More".to_owned()),
        &|t| t.kind = AgreementKind::Request,
        &|t| t.made_at = t.expires_at,
        &|t| t.expires_at = at(1_000_000),
        &|t| (t.made_at, t.expires_at) = (at(700), at(710)),
    ];
    for (n, change) in wrong.iter().enumerate() {
        let mut terms = draft_terms(&alice, &bob);
        change(&mut terms);
        if n >= 12 {
            terms.displayed = terms.terms.display(terms.kind, terms.expires_at);
        }
        assert!(sign_terms(&alice.signing, terms).is_err(), "{n}");
    }
    assert!(sign_terms(&bob.signing, draft_terms(&alice, &bob)).is_err());
    assert!(sign_terms(&key(1), draft_terms(&alice, &bob)).is_err(), "the identity key is not the signing key");
}

#[test]
fn answers_and_outcomes_that_are_signed_and_wrong_are_not_taken() {
    let (alice, bob) = (party(1), party(2));
    let terms = sign_terms(&alice.signing, draft_terms(&alice, &bob)).unwrap();
    let answers: [&dyn Fn(&mut SignedAnswer); 8] = [
        &|a| a.kind_of_object = TERMS_KIND.to_owned(),
        &|a| a.agreement_id = AgreementId::from_bytes([8; 16]),
        &|a| a.round = 2,
        &|a| a.terms_hash = Digest::from_bytes([1; 32]),
        &|a| a.template = "data/1".to_owned(),
        &|a| a.displayed_hash = Digest::from_bytes([1; 32]),
        &|a| a.answered_at = at(7),
        &|a| a.answered_at = at(33),
    ];
    for (n, change) in answers.iter().enumerate() {
        let mut answer = draft_answer(&bob, &terms, Decision::Approve);
        change(&mut answer);
        assert!(sign_answer(&bob.signing, &terms, answer).is_err(), "{n}");
    }
    assert!(sign_answer(&alice.signing, &terms, draft_answer(&alice, &terms, Decision::Approve)).is_err());

    let answer = sign_answer(&bob.signing, &terms, draft_answer(&bob, &terms, Decision::Deny)).unwrap();
    let outcomes: [&dyn Fn(&mut SignedOutcome); 7] = [
        &|o| o.kind_of_object = TERMS_KIND.to_owned(),
        &|o| o.outcome = AgreementOutcome::Approved,
        &|o| o.outcome = AgreementOutcome::Expired,
        &|o| o.answer_hash = None,
        &|o| o.terms_hash = Digest::from_bytes([1; 32]),
        &|o| o.ended_at = at(30),
        &|o| o.ended_at = at(9),
    ];
    for (n, change) in outcomes.iter().enumerate() {
        let mut outcome = draft_outcome(&alice, &terms, Some(&answer));
        change(&mut outcome);
        assert!(sign_outcome(&alice.signing, &terms, Some(&answer), outcome).is_err(), "{n}");
    }
    let late = SignedOutcome { ended_at: at(31), ..draft_outcome(&alice, &terms, None) };
    assert!(sign_outcome(&alice.signing, &terms, None, late).is_ok(), "terms expire after their time");
    let by_bob = draft_outcome(&bob, &terms, Some(&answer));
    assert!(sign_outcome(&bob.signing, &terms, Some(&answer), by_bob).is_err());
}

/// Keys that were never certified, or by somebody else, sign nothing, whatever the record says.
#[test]
fn a_certificate_of_another_identity_is_not_taken() {
    let (alice, bob, mallory) = (party(1), party(2), party(3));
    let mut terms = draft_terms(&alice, &bob);
    terms.key_record = mallory.record.record().clone();
    assert!(matches!(sign_terms(&mallory.signing, terms), Err(AgreementError::Party)));
    let mut terms = draft_terms(&alice, &bob);
    terms.key_record.signing_key = mallory.signing.verifying_key().typed();
    assert!(matches!(sign_terms(&mallory.signing, terms), Err(AgreementError::Keys(_))));
    assert!(VerifyingKey::from_typed(&alice.record.record().signing_key).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_change_of_several_bytes_holds(changes in proptest::collection::vec((0_usize..100_000, any::<u8>()), 1..6)) {
        let whole = bytes(&record(Decision::Approve));
        let mut changed = whole.clone();
        for (place, byte) in changes {
            let place = place % whole.len();
            changed[place] = byte;
        }
        prop_assert_eq!(verify_record(&changed, at(20), &[]).is_ok(), changed == whole);
    }
}
