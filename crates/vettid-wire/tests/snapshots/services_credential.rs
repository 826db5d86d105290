//! Samples of the Vault Services Credential.

use crate::credential::transaction_key;
use crate::sample::Samples;
use crate::value;
use vettid_wire::services_credential::{CreateServicesCredential, ServicesKeys, ServicesTerms};

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("services_credential");
    let terms = ServicesTerms { password_salt: value::bytes(16), secrets: value::bytes(48) };
    let create = CreateServicesCredential {
        op_id: value::operation(),
        key_id: value::transaction_key_id(),
        encrypted_password_hash: value::bytes(136),
        terms: terms.clone(),
    };
    samples.object("CreateServicesCredential", create);
    samples.object("ServicesTerms", terms);
    let keys = ServicesKeys {
        issuer: value::fingerprint(),
        new_transaction_keys: vec![transaction_key()],
        live_key_ids: vec![value::transaction_key_id()],
    };
    samples.object("ServicesKeys", keys);
    samples
}
