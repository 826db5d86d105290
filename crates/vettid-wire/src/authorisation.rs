//! What a service may want its member's word for (spec 2.14): a payment, a transaction, consent, a signature under a document, a
//! proof of claims. The request is all that is shown, so a text that could look like something else is none of the standard.

use crate::agreement::{AnswerMethod, Need};
use crate::auth::Decision;
use crate::base64::{Base64, Base64Url};
use crate::digest::Digest;
use crate::id::{ConnectionId, KeyId, RequestId, ServiceId};
use crate::key_record::KeyRecord;
use crate::rule::{Currency, Money};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

mod check;
mod claim;
mod display;
mod record;

pub use check::InvalidRequest;
pub use claim::{Claim, DATE_OF_BIRTH, Date, InvalidClaim, ProvenClaim};
pub use display::TEMPLATE_VERSION;
pub use record::{
    ANSWER_KIND, AuthorisationAnswer, AuthorisationRecord, CERTIFICATE_KIND, ConsentWithdrawal, PairwiseCertificate,
    RECORD_KIND, VERSION, WITHDRAWAL_KIND,
};

/// Payments, transactions and proofs wait at most this long for an answer, in milliseconds (spec 2.14).
pub const MAX_LIFE_MS: i64 = 300_000;
/// Consent and documents, which want to be read, wait at most this long, in milliseconds (seven days).
pub const MAX_READING_MS: i64 = 7 * 24 * 3600 * 1000;
/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 200;
/// Longest word for what is done, in bytes.
pub const MAX_ACTION_BYTES: usize = 80;
/// Longest masked account or media type, in bytes.
pub const MAX_SHORT_BYTES: usize = 80;
/// Longest reference, purpose or line of a consent, in bytes.
pub const MAX_TEXT_BYTES: usize = 300;
/// Longest origin, in bytes.
pub const MAX_ORIGIN_BYTES: usize = 120;
/// Most lines of a consent, and most claims of a proof.
pub const MAX_LINES: usize = 16;
/// Most answered requests in one list.
pub const MAX_LISTED: u32 = 100;

/// A service wants its member's word. Signed by the service (ctx `vettid/service-request/1`); what is wanted stands beside the
/// other fields, with its name in `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorisationRequest {
    /// Stays the same over retries; the same id with other content is refused.
    pub request_id: RequestId,
    /// The asking service.
    pub service_id: ServiceId,
    /// The connection it asks on.
    pub connection_id: ConnectionId,
    /// The contract it asks under. Absent only in records of requests that were made before they named it; a vault takes none
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_hash: Option<Base64Url>,
    /// What it wants.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// When it was made.
    pub issued_at: Timestamp,
    /// From then on nobody can answer it: at most [`Wanted::max_life_ms`] later.
    pub expires_at: Timestamp,
    /// The service's keys.
    pub key_record: KeyRecord,
    /// The signing key.
    pub key_id: KeyId,
    /// Over everything else.
    pub signature: Base64,
}

/// What a service wants its member's word for. A kind or a field that is not here is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Wanted {
    /// The member pays.
    Payment(Payment),
    /// The service does something in the member's name.
    Transaction(Transaction),
    /// The service may do something for a time.
    Consent(Consent),
    /// The member signs a document.
    Document(Document),
    /// The vault says something about its member.
    Proof(Proof),
}

/// The name of a kind of [`Wanted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WantedKind {
    /// A payment.
    Payment,
    /// A transaction.
    Transaction,
    /// Consent.
    Consent,
    /// A signature under a document.
    Document,
    /// A proof of claims.
    Proof,
}

/// A payment of the member's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// What is done, in a word or two, such as `transfer`.
    pub action: String,
    /// How much.
    pub amount: Amount,
    /// Who gets it.
    pub payee: Payee,
    /// What it is known by.
    pub reference: String,
}

/// Something that the service does in the member's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What is done, in a word or two, such as `change of address`.
    pub action: String,
    /// What it costs or moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Who gets that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payee: Option<Payee>,
    /// What it is known by.
    pub reference: String,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// How much.
    pub value: Money,
    /// Of what.
    pub currency: Currency,
}

/// Who gets a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payee {
    /// In words.
    pub name: String,
    /// The account, in part.
    pub account_masked: String,
    /// SHA-256 of the whole account, as the service writes it.
    pub account_hash: Digest,
}

/// What the service may do, for what and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// What for.
    pub purpose: String,
    /// What it may do, one thing a line.
    pub what: Vec<String>,
    /// Until when; absent: until the member takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A document that the member signs, by its hash. The document itself stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Such as `application/pdf`.
    pub media_type: String,
    /// How many bytes it has.
    pub size_bytes: u64,
}

/// What the vault is to say about its member, to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// In order and without repetition.
    pub claims: Vec<Claim>,
    /// What for.
    pub purpose: String,
    /// Scheme and host of the site that wants it; one of the service's own.
    pub origin: String,
    /// 32 random bytes.
    pub nonce: Base64Url,
}

impl Wanted {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> WantedKind {
        match self {
            Self::Payment(_) => WantedKind::Payment,
            Self::Transaction(_) => WantedKind::Transaction,
            Self::Consent(_) => WantedKind::Consent,
            Self::Document(_) => WantedKind::Document,
            Self::Proof(_) => WantedKind::Proof,
        }
    }

    /// Longest time for an answer, in milliseconds.
    #[must_use]
    pub fn max_life_ms(&self) -> i64 {
        match self {
            Self::Payment(_) | Self::Transaction(_) | Self::Proof(_) => MAX_LIFE_MS,
            Self::Consent(_) | Self::Document(_) => MAX_READING_MS,
        }
    }

    /// What it costs or moves.
    #[must_use]
    pub fn amount(&self) -> Option<&Amount> {
        match self {
            Self::Payment(payment) => Some(&payment.amount),
            Self::Transaction(transaction) => transaction.amount.as_ref(),
            Self::Consent(_) | Self::Document(_) | Self::Proof(_) => None,
        }
    }

    /// Whether the owner's password is wanted for it, unless the owner set its amount free.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Payment(_) | Self::Transaction(_))
    }
}

/// A request as the owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorisationView {
    /// What is wanted.
    pub kind: WantedKind,
    /// Exactly what is signed: made from the request alone.
    pub displayed: Vec<String>,
    /// Names the request in an answer.
    pub request_hash: Digest,
    /// The document that is to be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// What is missing before the owner may approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
}

/// With the password: the owner approves this very request. Good for one answer within five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitRequest {
    /// The request, as the owner knows it.
    pub request_id: RequestId,
    /// Its hash.
    pub shown: Digest,
}

/// The request may be approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestPermitted {
    /// The request.
    pub request_id: RequestId,
    /// Until then.
    pub until: Timestamp,
}

/// Asks for requests that were answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAnswered {
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<WantedKind>,
    /// At most so many, up to [`MAX_LISTED`].
    pub limit: u32,
}

/// Requests that were answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweredList {
    /// Newest first.
    pub answered: Vec<Answered>,
}

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// The request.
    pub request_id: RequestId,
    /// Who asked.
    pub connection_id: ConnectionId,
    /// The name of that connection.
    pub display_name: String,
    /// What was wanted.
    pub kind: WantedKind,
    /// What it was about, one line.
    pub title: String,
    /// Yes or no.
    pub decision: Decision,
    /// Who decided.
    pub method: AnswerMethod,
    /// When.
    pub answered_at: Timestamp,
    /// The end of a consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When a consent was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
    /// Whether it is a consent that the service may go by now.
    pub in_force: bool,
}

/// Names an answered request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweredRef {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The request.
    pub request_id: RequestId,
}
