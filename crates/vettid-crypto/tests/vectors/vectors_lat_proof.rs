//! Section `lat_proof`; the request is the one of section `utk_payload`.

use vettid_crypto::lat::{LatProof, LatRequest, LedgerAuthToken};
use vettid_wire::id::Fingerprint;

use crate::loader::{array, secret, text, vectors};

#[test]
fn proof() {
    let token = LedgerAuthToken::from_secret(secret("/lat_proof/lat_token"));
    let request = LatRequest {
        issuer: &Fingerprint::from_bytes(array("/lat_proof/issuer_fp")),
        host: text("/lat_proof/host"),
        action: text("/utk_payload/request/action"),
        endpoint: text("/lat_proof/endpoint"),
        lat_id: &text("/utk_payload/request/lat/lat_id").parse().unwrap(),
        version: vectors()["utk_payload"]["request"]["lat"]["version"].as_u64().unwrap(),
        client_nonce: &array("/lat_proof/client_nonce"),
        server_nonce: &array("/lat_proof/server_nonce"),
        key_id: &text("/utk_payload/request/key_id").parse().unwrap(),
        transaction_key: &array("/utk_payload/utk_public"),
    };
    assert_eq!(token.prove(&request).as_bytes(), &array("/lat_proof/proof"));
    assert!(token.verifies(&request, &LatProof::from_bytes(array("/lat_proof/proof"))));
}
