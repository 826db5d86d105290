//! A token carries the one request that it names, and nothing that differs from it in any claim.

use super::*;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::secret::Secret32;
use vettid_wire::base64::Base64Url;

const ORIGIN: &str = "https://vettid.test";
const TOKEN: &str = "the text of a token";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms((1_800_000_000 + seconds) * 1000)
}

fn holder(byte: u8) -> VerifyingKey {
    SigningKey::from_seed(&Secret32::from_bytes([byte; 32])).verifying_key()
}

fn claims() -> ActionClaims {
    let grant = Grant {
        origin: ORIGIN,
        guid: MemberId::from_bytes([1; 16]),
        holder: &holder(7),
        action: Action::StoreBackup,
        op_id: OperationId::from_bytes([2; 16]),
        req_hash: Digest::from_bytes([3; 32]),
        jti: EventId::from_bytes([4; 16]),
    };
    grant.claims(at(0))
}

fn proof() -> ProofClaims {
    ProofClaims {
        htm: "POST".to_owned(),
        htu: format!("{ORIGIN}/v1/credentials/backup"),
        iat: at(0).unix_seconds(),
        jti: Base64Url::new([5; 16]),
        ath: token_hash(TOKEN),
        nonce: Base64Url::new([6; 24]),
    }
}

fn call() -> Call<'static> {
    Call { origin: ORIGIN, action: Action::StoreBackup, body_hash: Digest::from_bytes([3; 32]), token: TOKEN }
}

fn outcome(call: &Call<'_>, claims: &ActionClaims, proof: &ProofClaims, seconds: i64) -> Result<(), Refused> {
    check(call, claims, (proof, &holder(7)), at(seconds))
}

fn with_claim(change: impl FnOnce(&mut ActionClaims)) -> Result<(), Refused> {
    let mut claims = claims();
    change(&mut claims);
    outcome(&call(), &claims, &proof(), 0)
}

fn with_proof(change: impl FnOnce(&mut ProofClaims)) -> Result<(), Refused> {
    let mut proof = proof();
    change(&mut proof);
    outcome(&call(), &claims(), &proof, 0)
}

#[test]
fn the_right_request_is_carried() {
    assert_eq!(outcome(&call(), &claims(), &proof(), 0), Ok(()));
}

#[test]
fn a_token_lives_five_minutes() {
    let late = |seconds| ProofClaims { iat: at(seconds).unix_seconds(), ..proof() };
    for (seconds, expected) in [(-1, Err(Refused::Time)), (299, Ok(())), (300, Err(Refused::Time))] {
        assert_eq!(outcome(&call(), &claims(), &late(seconds), seconds), expected, "{seconds}");
    }
    assert_eq!(with_claim(|claims| claims.exp += 1), Err(Refused::Time), "a longer life");
    assert_eq!(with_claim(|claims| claims.nbf += 1), Err(Refused::Time));
    assert_eq!(with_claim(|claims| claims.iat = i64::MIN), Err(Refused::Time));
}

#[test]
fn a_proof_is_of_this_minute() {
    for (seconds, expected) in [(-61, Err(Refused::Time)), (-60, Ok(())), (60, Ok(())), (61, Err(Refused::Time))] {
        assert_eq!(with_proof(|proof| proof.iat += seconds), expected, "{seconds}");
    }
}

#[test]
fn another_place_action_or_body_is_refused() {
    assert_eq!(with_claim(|claims| claims.iss = "https://elsewhere.test".into()), Err(Refused::Place));
    assert_eq!(with_claim(|claims| claims.aud = "https://elsewhere.test".into()), Err(Refused::Place));
    assert_eq!(with_claim(|claims| claims.action = "credential.use".into()), Err(Refused::Action));
    assert_eq!(with_claim(|claims| claims.endpoint = "/v1/credentials/use".into()), Err(Refused::Action));
    let other = Call { action: Action::UseCredential, ..call() };
    assert_eq!(outcome(&other, &claims(), &proof(), 0), Err(Refused::Action));
    let other = Call { body_hash: Digest::from_bytes([9; 32]), ..call() };
    assert_eq!(outcome(&other, &claims(), &proof(), 0), Err(Refused::Request));
}

#[test]
fn a_proof_of_something_else_is_refused() {
    assert_eq!(check(&call(), &claims(), (&proof(), &holder(8)), at(0)), Err(Refused::Proof), "another key");
    assert_eq!(with_proof(|proof| proof.htm = "GET".into()), Err(Refused::Proof));
    assert_eq!(with_proof(|proof| proof.htu = format!("{ORIGIN}/v1/credentials/use")), Err(Refused::Proof));
    assert_eq!(with_proof(|proof| proof.htu.push('?')), Err(Refused::Proof));
    assert_eq!(with_proof(|proof| proof.ath = token_hash("another token")), Err(Refused::Proof));
    assert_eq!(with_proof(|proof| proof.jti = Base64Url::new([5; 15])), Err(Refused::Proof));
    assert_eq!(with_claim(|claims| claims.cnf = confirmation(&holder(8))), Err(Refused::Proof));
}

#[test]
fn names_and_endpoints_are_of_one_action_each() {
    for action in Action::ALL {
        assert_eq!(Action::named(action.name()), Some(*action));
        let sharing = Action::ALL.iter().filter(|other| other.endpoint() == action.endpoint()).count();
        assert_eq!(sharing, 1, "{action:?}");
    }
    assert_eq!(Action::named("credential.export"), None);
}
