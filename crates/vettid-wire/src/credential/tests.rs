//! What stays out of sight, and the one form of ids and bindings.

use super::*;
use crate::json;

#[test]
fn secrets_stay_out_of_debug() {
    let token = LedgerToken {
        lat_id: LatId::from_random([0x7f; 16]),
        token: SecretField::new(b"top secret".to_vec()),
        version: 1,
    };
    let text = format!("{token:?}");
    assert!(text.contains("SecretField") && !text.contains("116") && !text.contains("top"), "{text}");
}

#[test]
fn token_ids_have_one_form() {
    let text = "lat_7f9c215483cbf7b655dace141ddb6041";
    assert_eq!(text.parse::<LatId>().unwrap().to_string(), text);
    assert_eq!(LatId::from_random([0; 16]).as_str(), "lat_00000000000000000000000000000000");
    for wrong in ["lat_", "7f9c215483cbf7b655dace141ddb6041", "lat_7F9C215483CBF7B655DACE141DDB6041", ""] {
        assert!(wrong.parse::<LatId>().is_err(), "{wrong}");
    }
}

#[test]
fn a_binding_takes_exactly_its_fields() {
    let text = r#"{"op_id":"018f6b1e-7c1a-7000-8000-000000000002","action":"retrieve_secret","params":{},"cek_version":42,
        "blob_hash":"4lKSKHVmTlZYE8hCEpb/gxE7tVpklCqOceUv7XSeYys=","key_id":"tk_97c8bc6f53a8bbeb91fc6a2ef187dd41",
        "lat":{"lat_id":"lat_7f9c215483cbf7b655dace141ddb6041","version":42}}"#;
    assert!(json::read::<RequestBinding>(text.as_bytes()).is_ok());
    assert!(json::read::<RequestBinding>(text.replacen('{', r#"{"x":1,"#, 1).as_bytes()).is_err());
    assert!(
        json::read::<RequestBinding>(text.replace(r#""version":42}"#, r#""version":42,"x":1}"#).as_bytes()).is_err()
    );
}
