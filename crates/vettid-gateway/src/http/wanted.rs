//! What a program sends to want a member's word: the fields of all kinds in one body, described for programs of any language. What
//! belongs to which kind is decided by the published form ([`Wanted`]) alone.

use super::body::without_values;
use super::failure::ApiFailure;
use crate::random;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vettid_wire::authorisation::Wanted;
use vettid_wire::base64::Base64Url;
use vettid_wire::json;

/// A request for a member's word. Each kind has fields of its own; others are refused with it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorisationCall {
    /// What is wanted.
    kind: Kind,
    /// Payment, transaction: what is done, in a word or two, such as `transfer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Payment; transaction where it applies: how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<AmountCall>,
    /// Payment; transaction where it applies: who gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payee: Option<PayeeCall>,
    /// Payment, transaction: what it is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Consent, proof: what for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    /// Consent: what the service may do, 1 to 16 lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    what: Option<Vec<String>>,
    /// Consent: until when; absent: until the member takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    until: Option<String>,
    /// Document: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Document: SHA-256 of its bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Document: such as `application/pdf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    /// Document: how many bytes it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    /// Proof: fields of the contract or such as `age_over_18`, in alphabetical order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<Vec<String>>,
    /// Proof: scheme and host of the site that wants it, one of the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// Proof: 32 random bytes in base64url; made if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    /// A shorter time for the answer than the kind has, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<i64>,
    /// How long this call waits for the answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
}

/// A kind of request for a member's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuthorisationKind)]
enum Kind {
    /// The member pays.
    Payment,
    /// The service does something in the member's name.
    Transaction,
    /// The service may do something for a time.
    Consent,
    /// The member signs a document.
    Document,
    /// The vault says something about its member.
    Proof,
}

/// An amount of money.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Amount)]
struct AmountCall {
    /// In decimals, such as `500.00`.
    value: String,
    /// By ISO 4217, such as `EUR`.
    currency: String,
}

/// Who gets a payment.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Payee)]
struct PayeeCall {
    /// In words.
    name: String,
    /// The account, in part.
    account_masked: String,
    /// SHA-256 of the whole account as the service writes it, in base64.
    account_hash: String,
}

impl AuthorisationCall {
    /// How long the call waits.
    pub(super) fn wait_ms(&self) -> Option<u64> {
        self.wait_ms
    }

    /// A shorter time for the answer.
    pub(super) fn life_ms(&self) -> Option<i64> {
        self.expires_in_ms
    }

    /// In the published form. A program that has no nonce of its own gets a fresh one.
    pub(super) fn wanted(mut self) -> Result<Wanted, ApiFailure> {
        if self.kind == Kind::Proof {
            self.nonce.get_or_insert_with(fresh_nonce);
        }
        // These two are about the call, not about what is wanted.
        (self.expires_in_ms, self.wait_ms) = (None, None);
        let call = serde_json::to_value(self).map_err(|_| ApiFailure::Invalid)?;
        json::from_value(call).map_err(|error| ApiFailure::unsound(without_values(&error.to_string())))
    }
}

fn fresh_nonce() -> String {
    let mut nonce = [0; 32];
    rand_core::Rng::fill_bytes(&mut random::system(), &mut nonce);
    Base64Url::new(nonce).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wanted(call: Value) -> Result<Wanted, ApiFailure> {
        serde_json::from_value::<AuthorisationCall>(call).map_err(|_| ApiFailure::Invalid)?.wanted()
    }

    fn examples() -> [Value; 5] {
        let hash = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let amount = json!({"value": "500.00", "currency": "EUR"});
        let payee = json!({"name": "Bob Smith", "account_masked": "DE•• 1234", "account_hash": hash});
        [
            json!({"kind": "payment", "action": "transfer", "amount": amount, "payee": payee, "reference": "Rent"}),
            json!({"kind": "transaction", "action": "change of address", "reference": "17", "wait_ms": 5}),
            json!({"kind": "consent", "purpose": "offers", "what": ["write"], "until": "2027-01-01T00:00:00.000Z"}),
            json!({"kind": "document", "name": "a.pdf", "sha256": hash, "media_type": "application/pdf", "size_bytes": 9}),
            json!({"kind": "proof", "claims": ["age_over_18"], "purpose": "wine", "origin": "https://shop.example"}),
        ]
    }

    #[test]
    fn each_kind_is_taken_with_its_fields_and_no_others() {
        for call in examples() {
            assert!(wanted(call.clone()).is_ok(), "{call}");
            for other in examples() {
                let foreign = other.as_object().unwrap().keys().find(|key| call.get(*key).is_none());
                let Some(foreign) = foreign.filter(|key| *key != "wait_ms") else { continue };
                let mut call = call.clone();
                call[foreign] = other[foreign].clone();
                let optional = ["amount", "payee"].contains(&foreign.as_str()) && call["kind"] == "transaction";
                assert_eq!(wanted(call.clone()).is_ok(), optional, "{call}");
            }
        }
    }

    #[test]
    fn the_description_has_every_field_of_the_call() {
        let described = json!(crate::http::document());
        let described = &described["components"]["schemas"]["AuthorisationCall"]["properties"];
        let mut named: Vec<_> = examples().iter().flat_map(|call| call.as_object().unwrap().clone()).collect();
        named.extend(["expires_in_ms", "wait_ms", "nonce"].map(|name| (name.to_owned(), Value::Null)));
        for (name, _) in named {
            assert!(described.get(&name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_proof_gets_a_nonce_of_its_own_and_keeps_the_one_that_it_has() {
        let [.., proof] = examples();
        let nonce = |call: &Value| match wanted(call.clone()).unwrap() {
            Wanted::Proof(proof) => proof.nonce.to_string(),
            other => panic!("{other:?}"),
        };
        assert_ne!(nonce(&proof), nonce(&proof));
        let mut own = proof;
        own["nonce"] = Base64Url::new([3; 32]).to_string().into();
        assert_eq!(nonce(&own), own["nonce"].as_str().unwrap());
    }
}
