//! What a token must be to be genuine.

use super::*;
use serde_json::json;
use vettid_wire::base64::{decode_url, encode_url};

fn with_header(token: &str, header: &Value) -> String {
    let mut parts = token.split('.');
    parts.next();
    format!("{}.{}.{}", encode_url(header.to_string().as_bytes()), parts.next().unwrap(), parts.next().unwrap())
}

fn header_of(token: &str) -> Value {
    serde_json::from_slice(&decode_url(token.split('.').next().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_token_opens_with_the_key_that_signed_it_and_no_other() {
    let (key, other) = (TokenKey::generate().unwrap(), TokenKey::generate().unwrap());
    let token = key.sign("JWT", &json!({"sub": "a"})).unwrap();
    assert_eq!(header_of(&token), json!({"alg": "RS256", "typ": "JWT", "kid": key.key_id()}));
    assert_eq!(key.open("JWT", &token).unwrap()["sub"], "a");
    assert_eq!(key.open("logout+jwt", &token), Err(NotGenuine), "a token of another kind");
    assert_eq!(other.open("JWT", &token), Err(NotGenuine));
    assert_eq!(key.open("JWT", &token.replace('.', "..")), Err(NotGenuine));
}

#[test]
fn a_retired_key_opens_what_it_signed_and_holds_no_secret() {
    let (key, other) = (TokenKey::generate().unwrap(), TokenKey::generate().unwrap());
    let token = key.sign("JWT", &json!({"sub": "a"})).unwrap();
    let text = serde_json::to_value(key.retired()).unwrap();
    assert_eq!(text, key.public_jwk().unwrap());
    let retired: RetiredKey = serde_json::from_value(text).unwrap();
    assert_eq!(retired.open("JWT", &token).unwrap()["sub"], "a");
    assert_eq!(retired.open("logout+jwt", &token), Err(NotGenuine), "a token of another kind");
    assert_eq!(other.retired().open("JWT", &token), Err(NotGenuine));
}

#[test]
fn no_algorithm_of_the_tokens_choice() {
    let key = TokenKey::generate().unwrap();
    let token = key.sign("JWT", &json!({"sub": "a"})).unwrap();
    for algorithm in ["none", "None", "HS256", "PS256", "ES256", "EdDSA", "RS384"] {
        let wrong = with_header(&token, &json!({"alg": algorithm, "typ": "JWT", "kid": key.key_id()}));
        assert_eq!(key.open("JWT", &wrong), Err(NotGenuine), "{algorithm}");
    }
    let unsigned =
        format!("{}.", with_header(&token, &json!({"alg": "none", "typ": "JWT"})).rsplit_once('.').unwrap().0);
    assert_eq!(key.open("JWT", &unsigned), Err(NotGenuine));
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let key = TokenKey::generate().unwrap();
    let public = key.public_jwk().unwrap();
    assert_eq!((&public["kty"], &public["use"], &public["alg"]), (&json!("RSA"), &json!("sig"), &json!("RS256")));
    assert!(public.get("d").is_none() && public.get("p").is_none(), "{public}");
    let (modulus, text) = (decode_url(public["n"].as_str().unwrap()).unwrap(), public.to_string());
    for secret in [modulus.as_slice(), text.as_bytes()] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.key_id().to_owned());
        let forged = jsonwebtoken::encode(&header, &json!({"sub": "a"}), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(key.open("JWT", &forged), Err(NotGenuine));
        let keys = ClientKeys::read(&json!({"keys": [public]}).to_string()).unwrap();
        assert!(keys.open(&forged).is_err());
    }
}

#[test]
fn assertions_of_a_client_open_with_its_registered_keys() {
    let (key, other) = (TokenKey::generate().unwrap(), TokenKey::generate().unwrap());
    let set = json!({"keys": [other.public_jwk().unwrap(), key.public_jwk().unwrap()]});
    let keys = ClientKeys::read(&set.to_string()).unwrap();
    let token = key.sign("JWT", &json!({"iss": "c"})).unwrap();
    assert_eq!(keys.open(&token).unwrap()["iss"], "c");
    let stranger = TokenKey::generate().unwrap().sign("JWT", &json!({"iss": "c"})).unwrap();
    assert!(keys.open(&stranger).is_err());
    let critical = with_header(&token, &json!({"alg": "RS256", "kid": key.key_id(), "crit": ["b64"], "b64": false}));
    assert!(keys.open(&critical).is_err());
    assert!(keys.open(&"a".repeat(MAX_TOKEN_BYTES + 1)).is_err());
}

#[test]
fn a_set_with_a_secret_in_it_is_refused() {
    let public = TokenKey::generate().unwrap().public_jwk().unwrap();
    let mut private = public.clone();
    private["d"] = json!("AQAB");
    for wrong in [
        json!({"keys": []}),
        json!({"keys": [private]}),
        json!({"keys": [{"kty": "oct", "k": "AAAA"}]}),
        json!({"keys": [public, {"kty": "oct", "k": "AAAA"}]}),
        json!([]),
    ] {
        assert!(ClientKeys::read(&wrong.to_string()).is_err(), "{wrong}");
    }
}

#[test]
fn a_stored_key_is_the_same_key() {
    let key = TokenKey::generate().unwrap();
    let back = TokenKey::from_form(key.to_form()).unwrap();
    assert_eq!(back.key_id(), key.key_id());
    assert_eq!(key.open("JWT", &back.sign("JWT", &json!({})).unwrap()).unwrap().len(), 0);
}
