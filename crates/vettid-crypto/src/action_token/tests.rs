//! Tokens and proofs against the answers of RFC 8037, and everything that is not one of them.

use super::*;
use crate::scripted::Scripted;
use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, MemberId, OperationId};

/// The key of RFC 8037, appendix A.1.
const RFC_KEY: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

fn rfc_key() -> SigningKey {
    SigningKey::from_seed(&Secret32::from_slice(&decode_url(RFC_KEY).unwrap()).unwrap())
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([byte; 32]))
}

fn claims() -> ActionClaims {
    ActionClaims {
        iss: "https://vettid.test".to_owned(),
        aud: "https://vettid.test".to_owned(),
        sub: MemberId::from_bytes([1; 16]),
        jti: EventId::from_bytes([2; 16]),
        iat: 1_800_000_000,
        nbf: 1_800_000_000,
        exp: 1_800_000_300,
        action: "credential.use".to_owned(),
        endpoint: "/v1/credentials/use".to_owned(),
        op_id: OperationId::from_bytes([3; 16]),
        req_hash: Digest::from_bytes([4; 32]),
        cnf: confirmation(&key(7).verifying_key()),
    }
}

fn proof_claims() -> ProofClaims {
    ProofClaims {
        htm: "POST".to_owned(),
        htu: "https://vettid.test/v1/credentials/use".to_owned(),
        iat: 1_800_000_000,
        jti: Base64Url::new([5; 16]),
        ath: token_hash("token"),
        nonce: Base64Url::new([6; 24]),
    }
}

#[test]
fn rfc_8037_signature() {
    let text = signed(br#"{"alg":"EdDSA"}"#, b"Example of Ed25519 signing", &rfc_key());
    let expected = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(text, expected);
}

#[test]
fn rfc_8037_thumbprint() {
    let thumbprint = confirmation(&rfc_key().verifying_key()).jkt;
    assert_eq!(thumbprint.to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn tokens_and_proofs_have_one_spelling() {
    let token = sign(&claims(), &rfc_key()).unwrap();
    let proof = prove(&proof_claims(), &rfc_key()).unwrap();
    let parts = |text: &str| {
        let parts: Vec<_> = text.split('.').take(2).map(|part| decode_url(part).unwrap()).collect();
        parts.iter().map(|part| String::from_utf8(part.clone()).unwrap()).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(format!("{}\n{token}\n\n{}\n{proof}", parts(&token), parts(&proof)));
}

#[test]
fn a_token_opens_for_its_issuer_only() {
    let token = sign(&claims(), &key(1)).unwrap();
    assert_eq!(open(&token, &key(1).verifying_key()), Ok(claims()));
    assert_eq!(open(&token, &key(2).verifying_key()), Err(NotGenuine));
}

#[test]
fn each_changed_character_is_refused() {
    let (token, proof) = (sign(&claims(), &key(1)).unwrap(), prove(&proof_claims(), &key(1)).unwrap());
    let others = |text: &str| -> Vec<String> {
        let changed = |at: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        };
        (0..text.len()).map(changed).chain((0..text.len()).map(|length| text[..length].to_owned())).collect()
    };
    for other in others(&token) {
        assert_eq!(open(&other, &key(1).verifying_key()), Err(NotGenuine), "{other}");
    }
    for other in others(&proof) {
        assert!(open_proof(&other).is_err(), "{other}");
    }
}

#[test]
fn no_other_header_is_taken() {
    let payload = json::canonical(&claims()).unwrap();
    for header in [
        r#"{"alg":"none","typ":"vettid-action+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"JWT"}"#,
        r#"{"typ":"vettid-action+jwt","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA"}"#,
    ] {
        let token = signed(header.as_bytes(), &payload, &key(1));
        assert_eq!(open(&token, &key(1).verifying_key()), Err(NotGenuine), "{header}");
    }
    let proof = json::canonical(&proof_claims()).unwrap();
    let genuine = ProofHeader { typ: PROOF_TYPE.into(), alg: ALGORITHM.into(), jwk: jwk(&key(1).verifying_key()) };
    let jwk = |change: fn(&mut Jwk)| {
        let mut header = genuine.clone();
        change(&mut header.jwk);
        header
    };
    let wrong = [
        ProofHeader { typ: "jwt".into(), ..genuine.clone() },
        ProofHeader { alg: "HS256".into(), ..genuine.clone() },
        jwk(|jwk| jwk.crv = "X25519".into()),
        jwk(|jwk| jwk.kty = "EC".into()),
        jwk(|jwk| jwk.x = Base64Url::new([0; 32])),
        jwk(|jwk| jwk.x = Base64Url::new([1; 31])),
    ];
    assert!(open_proof(&signed(&json::canonical(&genuine).unwrap(), &proof, &key(1))).is_ok());
    for header in wrong {
        assert!(open_proof(&signed(&json::canonical(&header).unwrap(), &proof, &key(1))).is_err(), "{header:?}");
    }
    let private = r#"{"alg":"EdDSA","jwk":{"crv":"Ed25519","d":"AA","kty":"OKP","x":"AA"},"typ":"dpop+jwt"}"#;
    assert!(open_proof(&signed(private.as_bytes(), &proof, &key(1))).is_err());
}

#[test]
fn a_token_is_no_proof_and_a_proof_is_no_token() {
    let (token, proof) = (sign(&claims(), &key(1)).unwrap(), prove(&proof_claims(), &key(1)).unwrap());
    assert!(open_proof(&token).is_err());
    assert!(open(&proof, &key(1).verifying_key()).is_err());
}

#[test]
fn a_proof_names_the_key_that_made_it() {
    let (claims, holder) = open_proof(&prove(&proof_claims(), &key(7)).unwrap()).unwrap();
    assert_eq!((claims, confirmation(&holder)), (proof_claims(), confirmation(&key(7).verifying_key())));
    assert_ne!(confirmation(&holder), confirmation(&key(8).verifying_key()));
}

#[test]
fn a_nonce_is_taken_from_its_maker_for_five_minutes() {
    let at = |ms: i64| Timestamp::from_unix_ms(1_800_000_000_000 + ms);
    let nonces = NonceKey::random(&mut Scripted::counting());
    let other = NonceKey::random(&mut Scripted::playing(&[&[9; 32]]));
    let nonce = nonces.issue(at(0));
    for (ms, taken) in [(-1, false), (0, true), (299_999, true), (300_000, false)] {
        assert_eq!(nonces.takes(&nonce, at(ms)), taken, "{ms}");
    }
    assert!(!other.takes(&nonce, at(0)));
    for length in 0..nonce.as_bytes().len() {
        assert!(!nonces.takes(&Base64Url::new(&nonce.as_bytes()[..length]), at(0)));
    }
    let mut later = nonce.as_bytes().to_vec();
    later[7] ^= 1;
    assert!(!nonces.takes(&Base64Url::new(later), at(1)));
    assert_eq!(format!("{nonces:?}"), "NonceKey");
}
