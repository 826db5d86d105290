//! What an owner is shown of terms: fixed lines, one value on each, made from the terms alone. Two different terms never look
//! alike, and nothing that another party wrote can add a line or change what stands on another one.

use super::{AgreementKind, AgreementSide, DataTerms, DocumentTerms, MeetingTerms, MoneyTerms, Terms};
use crate::digest::Digest;
use crate::time::Timestamp;
use std::fmt::Write;

/// Version of the lines; another wording is another version.
pub const TEMPLATE_VERSION: u32 = 1;

impl Terms {
    /// Name and version of the template, such as `money/1`: part of what is signed.
    #[must_use]
    pub fn template(&self) -> String {
        let name = match self {
            Self::Money(_) => "money",
            Self::Document(_) => "document",
            Self::Meeting(_) => "meeting",
            Self::Data(_) => "data",
        };
        format!("{name}/{TEMPLATE_VERSION}")
    }

    /// The lines that both owners are shown. Terms that pass [`Terms::check`] are shown in full.
    #[must_use]
    pub fn display(&self, kind: AgreementKind, expires_at: Timestamp) -> Vec<String> {
        let mut lines = vec![title(kind, self)];
        match self {
            Self::Money(terms) => money(terms, &mut lines),
            Self::Document(terms) => document(terms, &mut lines),
            Self::Meeting(terms) => meeting(terms, &mut lines),
            Self::Data(terms) => data(terms, &mut lines),
        }
        lines.push(format!("Answer before: {expires_at}"));
        lines
    }
}

/// The first line: what it is about, without a word of another party's.
#[must_use]
pub fn title(kind: AgreementKind, terms: &Terms) -> String {
    let kind = match kind {
        AgreementKind::Request => "Request",
        AgreementKind::Transaction => "Transaction with fixed terms",
    };
    let about = match terms {
        Terms::Money(_) => "a payment",
        Terms::Document(_) => "the signature under a document",
        Terms::Meeting(_) => "a meeting",
        Terms::Data(_) => "personal data",
    };
    format!("{kind}: {about}")
}

fn money(terms: &MoneyTerms, lines: &mut Vec<String>) {
    lines.push(format!("Amount: {} {}", terms.amount, terms.currency));
    lines.push(format!("Paid by: {}", side(terms.payer)));
    lines.push(format!("Paid to: {}", quoted(&terms.payee)));
    lines.extend(terms.note.iter().map(|note| format!("Note: {}", quoted(note))));
}

fn document(terms: &DocumentTerms, lines: &mut Vec<String>) {
    lines.push(format!("Document: {}", quoted(&terms.name)));
    lines.push(format!("Size: {} bytes", terms.size_bytes));
    lines.push(format!("SHA-256: {}", hex(&terms.sha256)));
}

/// A digest as other programs print it.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.as_bytes().iter().fold(String::new(), |mut hex, byte| {
        // Writing into a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn meeting(terms: &MeetingTerms, lines: &mut Vec<String>) {
    lines.push(format!("Subject: {}", quoted(&terms.subject)));
    lines.push(format!("Begins: {}", terms.starts_at));
    lines.push(format!("Takes: {} min", terms.duration_minutes));
    lines.push(format!("Place: {}", quoted(&terms.place)));
}

fn data(terms: &DataTerms, lines: &mut Vec<String>) {
    lines.push(format!("Given by: {}", side(terms.giver)));
    lines.extend(terms.fields.iter().map(|field| format!("Field: {field}")));
    lines.push(format!("Purpose: {}", quoted(&terms.purpose)));
}

fn side(side: AgreementSide) -> &'static str {
    match side {
        AgreementSide::Proposer => "the member who proposed first",
        AgreementSide::Asked => "the member who was asked",
    }
}

/// A text of somebody's, told apart from the words around it.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::is_visible;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn terms(value: serde_json::Value) -> Terms {
        crate::json::from_value(value).unwrap()
    }

    fn lines(value: serde_json::Value) -> Vec<String> {
        let terms = terms(value);
        terms.check().unwrap();
        terms.display(AgreementKind::Request, Timestamp::from_unix_ms(0))
    }

    #[test]
    fn each_template_shows_every_field() {
        let hash = crate::digest::Digest::from_bytes([7; 32]);
        insta::assert_snapshot!([
            lines(json!({"money": {"payer": "asked", "amount": "500.00", "currency": "EUR", "payee": "Bob \"B\\\"", "note": "rent"}})),
            lines(json!({"document": {"name": "lease.pdf", "sha256": hash, "size_bytes": 12_345}})),
            lines(json!({"meeting": {"subject": "Lease", "starts_at": "2026-11-24T09:30:00.000Z", "duration_minutes": 45, "place": "Café"}})),
            lines(json!({"data": {"giver": "proposer", "fields": ["address", "email"], "purpose": "to send the lease"}})),
        ].map(|lines| lines.join("\n")).join("\n\n"));
    }

    #[test]
    fn a_transaction_says_that_its_terms_are_fixed() {
        let terms = terms(
            json!({"document": {"name": "a", "sha256": crate::digest::Digest::from_bytes([7; 32]), "size_bytes": 0}}),
        );
        let lines = terms.display(AgreementKind::Transaction, Timestamp::from_unix_ms(0));
        assert_eq!(lines.first().unwrap(), "Transaction with fixed terms: the signature under a document");
    }

    /// Texts that a careless rendering would mix up.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c\"\\\\: ]{1,6}",
            "[\\PC\\p{Cf}\\p{Cc}\\p{Zl}\\p{Zs}]{1,4}",
            Just("\"\nAmount: 1 EUR".to_owned()),
            Just("a\u{202e}b".to_owned())
        ]
    }

    fn any_terms() -> impl Strategy<Value = Terms> {
        let side = || prop_oneof![Just(AgreementSide::Proposer), Just(AgreementSide::Asked)];
        let money =
            (side(), 0_u32..300, text(), proptest::option::of(text())).prop_map(|(payer, cents, payee, note)| {
                let amount = format!("{}.{:02}", cents / 100, cents % 100).parse().unwrap();
                Terms::Money(MoneyTerms { payer, amount, currency: "EUR".parse().unwrap(), payee, note })
            });
        let document = (text(), 0_u8..3, 0_u64..3).prop_map(|(name, byte, size_bytes)| {
            let sha256 = crate::digest::Digest::from_bytes([byte; 32]);
            Terms::Document(DocumentTerms { name, sha256, size_bytes })
        });
        let meeting =
            (text(), 0_i64..3, 0_u32..4, text()).prop_map(|(subject, half_minutes, duration_minutes, place)| {
                let starts_at = Timestamp::from_unix_ms(half_minutes * 30_000);
                Terms::Meeting(MeetingTerms { subject, starts_at, duration_minutes, place })
            });
        let fields = proptest::collection::vec("[a-b]{1,2}", 0..3);
        let data = (side(), fields, text())
            .prop_map(|(giver, fields, purpose)| Terms::Data(DataTerms { giver, fields, purpose }));
        prop_oneof![money, document, meeting, data]
    }

    proptest! {
        #[test]
        fn nothing_is_hidden_and_nothing_looks_like_something_else(one in any_terms(), other in any_terms()) {
            let shown = |terms: &Terms| terms.check().ok().map(|()| terms.display(AgreementKind::Request, Timestamp::from_unix_ms(0)));
            let (first, second) = (shown(&one), shown(&other));
            for line in first.iter().flatten() {
                prop_assert!(is_visible(line, 4096), "{line:?}");
            }
            if let (Some(first), Some(second)) = (first, second) {
                prop_assert_eq!(first == second, one == other);
            }
        }

        #[test]
        fn what_somebody_wrote_can_be_told_from_the_words_around_it(
            text in "[a-b\"\\\\: ]{0,8}",
            after in "[a-b\"\\\\: ]{0,8}",
        ) {
            let line = format!("{}{after}", quoted(&text));
            let mut read = String::new();
            let mut rest = line.strip_prefix('"').unwrap().chars();
            while let Some(character) = rest.next().filter(|character| *character != '"') {
                read.push(if character == '\\' { rest.next().unwrap() } else { character });
            }
            prop_assert_eq!((read, rest.as_str()), (text, after.as_str()));
        }
    }
}
