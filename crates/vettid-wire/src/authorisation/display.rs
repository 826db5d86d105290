//! What the owner is shown of a request: fixed lines, one value on each, made from the request alone. Two requests for different
//! things never look alike, and nothing that the service wrote can add a line or change what stands on another one.

use super::{Amount, AuthorisationRequest, Consent, Document, Payee, Proof, Wanted};
use crate::agreement::{hex, quoted};

/// Version of the lines; another wording is another version.
pub const TEMPLATE_VERSION: u32 = 1;

impl Wanted {
    /// Name and version of the template, such as `service-payment/1`: part of what is signed.
    #[must_use]
    pub fn template(&self) -> String {
        let name = match self {
            Self::Payment(_) => "payment",
            Self::Transaction(_) => "transaction",
            Self::Consent(_) => "consent",
            Self::Document(_) => "document",
            Self::Proof(_) => "proof",
        };
        format!("service-{name}/{TEMPLATE_VERSION}")
    }

    /// The first line: what is wanted, without a word of the service's.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Payment(_) => "Your payment",
            Self::Transaction(_) => "Your approval of a transaction",
            Self::Consent(_) => "Your consent",
            Self::Document(_) => "Your signature under a document",
            Self::Proof(_) => "A proof about you",
        }
    }
}

impl AuthorisationRequest {
    /// The lines that the owner is shown. A request that passes [`AuthorisationRequest::check`] is shown in full, but for its
    /// ids, its keys and the random bytes of a proof.
    #[must_use]
    pub fn display(&self) -> Vec<String> {
        let mut lines = vec![self.wanted.title().to_owned(), format!("Asked by: {}", self.service_id)];
        match &self.wanted {
            Wanted::Payment(wanted) => {
                lines.push(format!("Action: {}", quoted(&wanted.action)));
                money(Some(&wanted.amount), Some(&wanted.payee), &mut lines);
                lines.push(format!("Reference: {}", quoted(&wanted.reference)));
            }
            Wanted::Transaction(wanted) => {
                lines.push(format!("Action: {}", quoted(&wanted.action)));
                money(wanted.amount.as_ref(), wanted.payee.as_ref(), &mut lines);
                lines.push(format!("Reference: {}", quoted(&wanted.reference)));
            }
            Wanted::Consent(wanted) => consent(wanted, &mut lines),
            Wanted::Document(wanted) => document(wanted, &mut lines),
            Wanted::Proof(wanted) => proof(wanted, &mut lines),
        }
        lines.push(format!("Asked at: {}", self.issued_at));
        lines.push(format!("Answer before: {}", self.expires_at));
        lines
    }
}

fn money(amount: Option<&Amount>, payee: Option<&Payee>, lines: &mut Vec<String>) {
    lines.extend(amount.map(|amount| format!("Amount: {} {}", amount.value, amount.currency)));
    if let Some(payee) = payee {
        lines.push(format!("Paid to: {}", quoted(&payee.name)));
        lines.push(format!("Account: {}", quoted(&payee.account_masked)));
        lines.push(format!("Account SHA-256: {}", hex(&payee.account_hash)));
    }
}

fn consent(wanted: &Consent, lines: &mut Vec<String>) {
    lines.push(format!("Purpose: {}", quoted(&wanted.purpose)));
    lines.extend(wanted.what.iter().map(|line| format!("Allowed: {}", quoted(line))));
    lines.push(match wanted.until {
        Some(until) => format!("Until: {until}, or until you take it back"),
        None => "Until: you take it back".to_owned(),
    });
}

fn document(wanted: &Document, lines: &mut Vec<String>) {
    lines.push(format!("Document: {}", quoted(&wanted.name)));
    lines.push(format!("Type: {}", wanted.media_type));
    lines.push(format!("Size: {} bytes", wanted.size_bytes));
    lines.push(format!("SHA-256: {}", hex(&wanted.sha256)));
}

fn proof(wanted: &Proof, lines: &mut Vec<String>) {
    lines.push(format!("Site: {}", wanted.origin));
    lines.push(format!("Purpose: {}", quoted(&wanted.purpose)));
    lines.extend(wanted.claims.iter().map(|claim| match claim.years() {
        Some(years) => format!("Says: whether you are {years} or older, and not when you were born"),
        None => format!("Says: your {claim}"),
    }));
}

#[cfg(test)]
mod tests {
    use super::super::Claim;
    use super::*;
    use crate::agreement::is_visible;
    use crate::base64::{Base64, Base64Url};
    use crate::digest::Digest;
    use crate::id::{ConnectionId, RequestId};
    use crate::time::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    fn request(wanted: Wanted) -> AuthorisationRequest {
        let at = Timestamp::from_unix_ms;
        let key_record = crate::json::from_value(json!({
            "type": "vettid_key_record", "version": 1, "role": "service", "guid": "018f6b1e-7c1a-7000-8000-000000000001",
            "identity_key": key(), "signing_key": key(), "kem_keys": [], "suites": [], "sequence": 1,
            "prev": Base64::new([0; 32]), "issued_at": at(0), "expires_at": at(9), "key_id": key_id(), "signature": "",
        }));
        AuthorisationRequest {
            request_id: RequestId::from_bytes([1; 16]),
            service_id: "acme-bank".parse().unwrap(),
            connection_id: ConnectionId::from_bytes([2; 16]),
            contract_hash: None,
            wanted,
            issued_at: at(0),
            expires_at: at(1_000),
            key_record: key_record.unwrap(),
            key_id: key_id().parse().unwrap(),
            signature: Base64::default(),
        }
    }

    fn key() -> String {
        format!("ed25519:{}", Base64::new([7; 32]))
    }

    fn key_id() -> &'static str {
        "k_utkd2ec6y33ntxd64zqbcj2x5a"
    }

    fn payee() -> Payee {
        Payee {
            name: "Bob \"B\\\"".to_owned(),
            account_masked: "DE•• •••• 1234".to_owned(),
            account_hash: Digest::from_bytes([7; 32]),
        }
    }

    fn wanted(value: serde_json::Value) -> Wanted {
        crate::json::from_value(value).unwrap()
    }

    #[test]
    fn each_template_shows_every_field() {
        let (hash, nonce) = (Digest::from_bytes([7; 32]), Base64Url::new([1; 32]));
        let all = [
            json!({"kind": "payment", "action": "transfer", "amount": {"value": "500.00", "currency": "EUR"}, "payee": payee(), "reference": "Rent"}),
            json!({"kind": "transaction", "action": "change of address", "reference": "case 12"}),
            json!({"kind": "consent", "purpose": "to treat you", "what": ["ask the laboratory", "keep the result"], "until": Timestamp::from_unix_ms(5_000)}),
            json!({"kind": "document", "name": "lease.pdf", "sha256": hash, "media_type": "application/pdf", "size_bytes": 12_345}),
            json!({"kind": "proof", "claims": ["age_over_18", "name"], "purpose": "to sell you wine", "origin": "https://shop.example", "nonce": nonce}),
        ];
        let shown = all.map(|value| {
            let request = request(wanted(value));
            request.check().unwrap();
            request.display().join("\n")
        });
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn what_is_not_in_a_template_is_refused() {
        for wrong in [
            json!({"kind": "transaction", "action": "a", "reference": "r", "extra": 1}),
            json!({"kind": "gift", "action": "a", "reference": "r"}),
            json!({"kind": "payment", "action": "a", "reference": "r"}),
        ] {
            assert!(crate::json::from_value::<Wanted>(wrong).is_err());
        }
        let mut value =
            serde_json::to_value(request(wanted(json!({"kind": "transaction", "action": "a", "reference": "r"}))))
                .unwrap();
        assert!(crate::json::from_value::<AuthorisationRequest>(value.clone()).is_ok());
        value["extra"] = 1.into();
        assert!(crate::json::from_value::<AuthorisationRequest>(value).is_err());
    }

    /// Texts that a careless rendering would mix up.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c\"\\\\: ]{1,6}",
            "[\\PC\\p{Cf}\\p{Cc}\\p{Zl}\\p{Zs}]{1,4}",
            Just("\"\nAmount: 1 EUR".to_owned()),
            Just("a\u{202e}b".to_owned()),
            Just("a\u{200b}b".to_owned())
        ]
    }

    fn amount() -> impl Strategy<Value = Amount> {
        (0_u32..300).prop_map(|cents| Amount {
            value: format!("{}.{:02}", cents / 100, cents % 100).parse().unwrap(),
            currency: "EUR".parse().unwrap(),
        })
    }

    fn any_wanted() -> impl Strategy<Value = Wanted> {
        let payee = || {
            (text(), text(), 0_u8..3).prop_map(|(name, account_masked, byte)| Payee {
                name,
                account_masked,
                account_hash: Digest::from_bytes([byte; 32]),
            })
        };
        let payment = (text(), amount(), payee(), text()).prop_map(|(action, amount, payee, reference)| {
            Wanted::Payment(super::super::Payment { action, amount, payee, reference })
        });
        let transaction = (text(), proptest::option::of(amount()), proptest::option::of(payee()), text()).prop_map(
            |(action, amount, payee, reference)| {
                Wanted::Transaction(super::super::Transaction { action, amount, payee, reference })
            },
        );
        let until = proptest::option::of((0_i64..3).prop_map(|n| Timestamp::from_unix_ms(2_000 + n)));
        let consent = (text(), proptest::collection::vec(text(), 0..3), until)
            .prop_map(|(purpose, what, until)| Wanted::Consent(Consent { purpose, what, until }));
        let document = (text(), 0_u8..3, "[a-b/]{1,4}", 0_u64..3).prop_map(|(name, byte, media_type, size_bytes)| {
            Wanted::Document(Document { name, sha256: Digest::from_bytes([byte; 32]), media_type, size_bytes })
        });
        let claims = proptest::collection::vec(
            prop_oneof![Just("name"), Just("age_over_18"), Just("age_over_21")]
                .prop_map(|c| c.parse::<Claim>().unwrap()),
            0..3,
        );
        let proof = (claims, text(), "https://[a-b]{1,2}").prop_map(|(claims, purpose, origin)| {
            Wanted::Proof(Proof { claims, purpose, origin, nonce: Base64Url::new([0; 32]) })
        });
        prop_oneof![payment, transaction, consent, document, proof]
    }

    proptest! {
        #[test]
        fn nothing_is_hidden_and_nothing_looks_like_something_else(one in any_wanted(), other in any_wanted()) {
            let shown = |wanted: &Wanted| wanted.check().ok().map(|()| request(wanted.clone()).display());
            let (first, second) = (shown(&one), shown(&other));
            for line in first.iter().flatten() {
                prop_assert!(is_visible(line, 4096), "{line:?}");
            }
            if let (Some(first), Some(second)) = (first, second) {
                prop_assert_eq!(first == second, one == other);
            }
        }
    }
}
