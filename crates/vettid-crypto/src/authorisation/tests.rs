//! A record holds as it is and in no other way: every byte, every field, every signer, every time.

use super::*;
use crate::key_record::{Draft, build, kem_key};
use crate::secret::Secret32;
use crate::suite::{KemSecretKey, Suite};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, MemberId, RequestId};

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

fn party(role: KeyRole, seed: u8) -> Party {
    let (identity, signing) = (key(seed), key(seed + 100));
    let kem = KemSecretKey::generate(Suite::X25519, &mut StdRng::from_seed([seed; 32])).unwrap();
    let draft = Draft {
        role,
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

fn bank() -> Party {
    party(KeyRole::Service, 1)
}

fn member() -> Party {
    party(KeyRole::Vault, 2)
}

/// The member's key on the connection.
fn pairwise() -> SigningKey {
    key(50)
}

fn wanted(kind: &str) -> Wanted {
    let (hash, nonce) = (Digest::from_bytes([7; 32]), Base64Url::new([1; 32]));
    let payee = json!({"name": "Bob Smith", "account_masked": "DE•• 1234", "account_hash": hash});
    let value = match kind {
        "payment" => json!({"kind": kind, "action": "transfer", "amount": {"value": "500.00", "currency": "EUR"},
            "payee": payee, "reference": "Rent"}),
        "consent" => {
            json!({"kind": kind, "purpose": "to treat you", "what": ["ask the laboratory"], "until": at(100_000)})
        }
        _ => json!({"kind": kind, "claims": ["age_over_18", "name"], "purpose": "to sell you wine",
            "origin": "https://shop.example", "nonce": nonce}),
    };
    json::from_value(value).unwrap()
}

fn draft(kind: &str) -> AuthorisationRequest {
    let wanted = wanted(kind);
    AuthorisationRequest {
        request_id: RequestId::from_bytes([7; 16]),
        service_id: "acme-bank".parse().unwrap(),
        connection_id: ConnectionId::from_bytes([8; 16]),
        contract_hash: Some(Base64Url::new([9; 32])),
        expires_at: at(10).plus_ms(wanted.max_life_ms()),
        wanted,
        issued_at: at(10),
        key_record: bank().record.record().clone(),
        key_id: key(0).key_id(),
        signature: Base64::default(),
    }
}

fn request(kind: &str) -> VerifiedRequest {
    sign_request(&bank().signing, draft(kind)).unwrap()
}

fn answering(kind: &str, decision: Decision) -> Answering {
    let claims = if kind == "proof" && decision == Decision::Approve {
        json::from_value(json!([{"claim": "age_over_18", "value": true}, {"claim": "name", "value": "Alice"}])).unwrap()
    } else {
        vec![]
    };
    Answering { decision, method: AnswerMethod::Password, answered_at: at(12), claims }
}

fn answer(kind: &str, decision: Decision) -> AuthorisationAnswer {
    let member = member();
    let vault = (&member.signing, &member.record);
    sign_answer(vault, &pairwise(), &request(kind), answering(kind, decision)).unwrap()
}

fn record(kind: &str, decision: Decision) -> AuthorisationRecord {
    let (request, answer) = (request(kind), answer(kind, decision));
    let taken_back = kind == "consent" && decision == Decision::Approve;
    let withdrawal = taken_back.then(|| sign_withdrawal(&pairwise(), &request, &answer, at(20)).unwrap());
    assemble(request.get().clone(), answer, withdrawal).unwrap()
}

/// One of each kind of answer, with all the parts that a record can have.
fn records() -> Vec<AuthorisationRecord> {
    let (yes, no) = (Decision::Approve, Decision::Deny);
    vec![record("payment", yes), record("payment", no), record("consent", yes), record("proof", yes)]
}

fn bytes(record: &impl serde::Serialize) -> Vec<u8> {
    json::canonical(record).unwrap()
}

fn holds(bytes: &[u8]) -> bool {
    verify_record(bytes, at(30), &[]).is_ok()
}

#[test]
fn a_record_holds_by_itself_for_ever() {
    for record in records() {
        // Long after the keys of both parties went out of use.
        for now in [at(20), at(1_000_000)] {
            let report = verify_record(&bytes(&record), now, &[]).unwrap();
            assert_eq!(report.is_approved(), record.answer.decision == Decision::Approve);
            assert_eq!(report.service, bank().record.fingerprint());
            assert_eq!(report.member, member().record.fingerprint());
        }
        assert!(matches!(verify_record(&bytes(&record), at(8), &[]), Err(RecordError::Future)));
    }
}

#[test]
fn the_reader_may_name_the_parties() {
    let bytes = bytes(&record("payment", Decision::Approve));
    let identity = |seed| key(seed).verifying_key().fingerprint();
    assert_eq!(verify_record(&bytes, at(20), &[identity(2), identity(1)]).unwrap().compared, 2);
    assert!(matches!(verify_record(&bytes, at(20), &[identity(3)]), Err(RecordError::OtherParty)));
}

#[test]
fn no_bit_of_a_record_can_be_changed_and_no_byte_left_out_or_put_in() {
    for record in records() {
        let whole = bytes(&record);
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
    let pairs = [
        (record("payment", Decision::Approve), record("proof", Decision::Approve)),
        (record("consent", Decision::Approve), record("payment", Decision::Deny)),
    ];
    for (one, other) in pairs {
        let (one, other) = (serde_json::to_value(one).unwrap(), serde_json::to_value(other).unwrap());
        let mut all = vec![];
        places(&one, "", &mut all);
        assert!(all.len() > 80, "{}", all.len());
        // What is not there any more was never said; that a consent was taken back is known to whoever has that notice.
        for place in all.iter().filter(|place| !place.is_empty() && *place != "/withdrawal") {
            let (parent, name) = place.rsplit_once('/').unwrap();
            let others = [Some(json!("")), Some(json!(0)), Some(Value::Null), other.pointer(place).cloned(), None];
            for replacement in others {
                let mut changed = one.clone();
                match (replacement, changed.pointer_mut(parent).unwrap()) {
                    (Some(new), _) => *changed.pointer_mut(place).unwrap() = new,
                    (None, Value::Object(fields)) => drop(fields.remove(name)),
                    (None, Value::Array(list)) => drop(list.remove(name.parse().unwrap())),
                    (None, _) => unreachable!(),
                }
                if changed != one {
                    assert!(!holds(&bytes(&changed)), "{place}");
                }
            }
        }
    }
}

/// What a signature alone does not make right, signed by the right keys all the same.
#[test]
fn requests_that_are_signed_and_wrong_are_not_taken() {
    type Change<'c> = &'c dyn Fn(&mut AuthorisationRequest);
    let payment = |change: &dyn Fn(&mut vettid_wire::authorisation::Payment)| {
        let mut request = draft("payment");
        if let Wanted::Payment(payment) = &mut request.wanted {
            change(payment);
        }
        sign_request(&bank().signing, request)
    };
    assert!(payment(&|_| ()).is_ok());
    assert!(payment(&|p| p.payee.name = "Bob\u{202e}".to_owned()).is_err());
    assert!(payment(&|p| p.payee.account_masked = "1\u{200b}2".to_owned()).is_err());
    assert!(payment(&|p| p.reference = "a\nAmount: 1 EUR".to_owned()).is_err());
    assert!(payment(&|p| p.action = String::new()).is_err());
    assert!(payment(&|p| p.amount.value = "0.00".parse().unwrap()).is_err());
    let wrong: [Change<'_>; 5] = [
        &|r| r.expires_at = r.issued_at,
        &|r| r.expires_at = r.issued_at.plus_ms(r.wanted.max_life_ms() + 1),
        &|r| (r.issued_at, r.expires_at) = (at(700), at(701)),
        &|r| r.key_record = member().record.record().clone(),
        &|r| r.key_record = party(KeyRole::Service, 3).record.record().clone(),
    ];
    for kind in ["payment", "consent", "proof"] {
        for (n, change) in wrong.iter().enumerate() {
            let mut request = draft(kind);
            change(&mut request);
            assert!(sign_request(&bank().signing, request).is_err(), "{kind} {n}");
        }
    }
    let mut ended = draft("consent");
    if let Wanted::Consent(consent) = &mut ended.wanted {
        consent.until = Some(at(11));
    }
    assert!(sign_request(&bank().signing, ended).is_err());
    assert!(sign_request(&key(1), draft("payment")).is_err(), "the identity key is not the signing key");
    let vault = AuthorisationRequest { key_record: member().record.record().clone(), ..draft("payment") };
    assert!(matches!(sign_request(&member().signing, vault), Err(AuthorisationError::Party)), "a vault asks nobody");
}

/// An answer as changed, with certificate and answer signed again by the right keys.
fn forged(kind: &str, certify: bool, change: impl Fn(&mut AuthorisationAnswer)) -> AuthorisationAnswer {
    let mut answer = answer(kind, Decision::Approve);
    change(&mut answer);
    if certify {
        answer.certificate.signature =
            signature::sign(Context::Pairwise, &member().signing, &answer.certificate).unwrap_or_default();
    }
    answer.signature = signature::sign(Context::TransactionResponse, &pairwise(), &answer).unwrap_or_default();
    answer
}

#[test]
fn answers_that_are_signed_and_wrong_are_not_taken() {
    type Change<'c> = &'c dyn Fn(&mut AuthorisationAnswer);
    let wrong: [Change<'_>; 10] = [
        &|a| a.kind_of_object = CERTIFICATE_KIND.to_owned(),
        &|a| a.version = 2,
        &|a| a.request_id = RequestId::from_bytes([9; 16]),
        &|a| a.request_hash = Digest::from_bytes([1; 32]),
        &|a| a.template = "service-payment/2".to_owned(),
        &|a| a.displayed_hash = Digest::from_bytes([1; 32]),
        &|a| a.answered_at = at(7),
        &|a| a.answered_at = at(15),
        &|a| a.method = AnswerMethod::Rule,
        &|a| a.claims.push(json::from_value(json!({"claim": "name", "value": "Alice"})).unwrap()),
    ];
    let request = request("payment");
    assert!(verify_answer(&request, &forged("payment", true, |_| ())).is_ok());
    for (n, change) in wrong.iter().enumerate() {
        assert!(verify_answer(&request, &forged("payment", true, change)).is_err(), "{n}");
    }
    let certificates: [Change<'_>; 7] = [
        &|a| a.certificate.kind_of_object = ANSWER_KIND.to_owned(),
        &|a| a.certificate.connection_id = ConnectionId::from_bytes([9; 16]),
        &|a| a.certificate.service_id = "other".parse().unwrap(),
        &|a| a.certificate.service_fp = key(9).verifying_key().fingerprint(),
        &|a| a.certificate.certified_at = at(13),
        &|a| a.certificate.pairwise_key = key(51).verifying_key().typed(),
        &|a| a.certificate.key_record = bank().record.record().clone(),
    ];
    for (n, change) in certificates.iter().enumerate() {
        assert!(verify_answer(&request, &forged("payment", true, change)).is_err(), "certificate {n}");
    }
    let other_key = forged("payment", false, |a| a.certificate.pairwise_key = key(50).verifying_key().typed());
    assert!(verify_answer(&request, &other_key).is_ok());
    assert!(verify_answer(&request, &answer("consent", Decision::Approve)).is_err());
}

#[test]
fn a_proof_says_all_that_was_asked_for_and_a_no_says_nothing() {
    let request = request("proof");
    let with = |value: Value| forged("proof", true, move |a| a.claims = json::from_value(value.clone()).unwrap());
    let (age, name) = (json!({"claim": "age_over_18", "value": false}), json!({"claim": "name", "value": "Alice"}));
    assert!(verify_answer(&request, &with(json!([age, name]))).is_ok());
    let born = json!({"claim": "age_over_18", "value": "2001-01-01"});
    for wrong in [json!([age]), json!([name, age]), json!([age, name, name]), json!([]), json!([born, name])] {
        assert!(verify_answer(&request, &with(wrong)).is_err());
    }
    let said = forged("proof", true, |a| a.decision = Decision::Deny);
    assert!(matches!(verify_answer(&request, &said), Err(AuthorisationError::Claims)));
}

#[test]
fn only_a_consent_that_was_given_can_be_taken_back_and_by_nobody_else() {
    let (request, yes) = (request("consent"), answer("consent", Decision::Approve));
    let no = answer("consent", Decision::Deny);
    assert!(sign_withdrawal(&pairwise(), &request, &yes, at(12)).is_ok());
    assert!(sign_withdrawal(&pairwise(), &request, &yes, at(11)).is_err());
    assert!(sign_withdrawal(&pairwise(), &request, &no, at(20)).is_err());
    assert!(sign_withdrawal(&key(51), &request, &yes, at(20)).is_err());
    let payment = self::request("payment");
    assert!(sign_withdrawal(&pairwise(), &payment, &answer("payment", Decision::Approve), at(20)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_change_of_several_bytes_holds(changes in proptest::collection::vec((0_usize..100_000, any::<u8>()), 1..6)) {
        let whole = bytes(&record("payment", Decision::Approve));
        let mut changed = whole.clone();
        for (place, byte) in changes {
            let place = place % whole.len();
            changed[place] = byte;
        }
        prop_assert_eq!(holds(&changed), changed == whole);
    }
}
