//! What two members agree on: the terms of a request or a transaction, by template. Texts of other people stand in them, so a
//! text that could look like something else on a screen is none of the standard.

use crate::auth::Decision;
use crate::digest::Digest;
use crate::id::{AgreementId, ConnectionId};
use crate::rule::{Currency, Money};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

mod check;
mod display;
mod record;
mod visible;

pub use check::InvalidTerms;
pub use display::{TEMPLATE_VERSION, title};
pub(crate) use display::{hex, quoted};
pub use record::{
    ANSWER_KIND, AgreementRecord, AnswerMethod, OUTCOME_KIND, RECORD_KIND, SignedAnswer, SignedOutcome, SignedTerms,
    TERMS_KIND, VERSION,
};
pub use visible::is_visible;

/// Longest name or place, in bytes.
pub const MAX_NAME_BYTES: usize = 200;
/// Longest note or purpose, in bytes.
pub const MAX_NOTE_BYTES: usize = 500;
/// Most fields of data in one agreement.
pub const MAX_FIELDS: usize = 32;
/// Longest meeting, in minutes (two weeks).
pub const MAX_DURATION_MINUTES: u32 = 14 * 24 * 60;
/// Terms wait at most this long for an answer, in milliseconds (90 days).
pub const MAX_LIFE_MS: i64 = 90 * 24 * 3600 * 1000;
/// Most agreements in one list.
pub const MAX_LISTED: u32 = 100;

/// Whether terms may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreementKind {
    /// A proposal whose terms the other side may change.
    Request,
    /// Fixed terms: yes or no.
    Transaction,
}

/// One of the two. The proposer makes the odd rounds of terms, the other side the even ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreementSide {
    /// Who proposed first.
    Proposer,
    /// Who was asked.
    Asked,
}

impl AgreementSide {
    /// The side that makes the terms of a round.
    #[must_use]
    pub fn maker(round: u32) -> Self {
        if round.is_multiple_of(2) { Self::Asked } else { Self::Proposer }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreementOutcome {
    /// Both sides approved the same terms in time.
    Approved,
    /// The side that was to answer said no.
    Denied,
    /// No answer reached the maker of the terms in time.
    Expired,
    /// The maker took the terms back.
    Withdrawn,
}

/// Terms, by template. A template or a field that is not here is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Terms {
    /// A payment.
    Money(MoneyTerms),
    /// The signature under a document.
    Document(DocumentTerms),
    /// A meeting.
    Meeting(MeetingTerms),
    /// Fields of personal data for a purpose.
    Data(DataTerms),
}

/// A payment of one side to whom it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneyTerms {
    /// Who pays.
    pub payer: AgreementSide,
    /// How much.
    pub amount: Money,
    /// Of what.
    pub currency: Currency,
    /// Who gets it, in words.
    pub payee: String,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A document that is agreed to, by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentTerms {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// How many bytes it has.
    pub size_bytes: u64,
}

/// A meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeetingTerms {
    /// What it is about.
    pub subject: String,
    /// When it begins, on a full minute.
    pub starts_at: Timestamp,
    /// How long it takes.
    pub duration_minutes: u32,
    /// Where.
    pub place: String,
}

/// Fields of personal data that one side gives to the other for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataTerms {
    /// Who gives them.
    pub giver: AgreementSide,
    /// Names of the fields, in order and without repetition.
    pub fields: Vec<String>,
    /// What for.
    pub purpose: String,
}

/// Owner's command: propose terms to a connected member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Propose {
    /// Chosen by the app. The same id with the same content is one proposal; with other content it is refused.
    pub agreement_id: AgreementId,
    /// To whom.
    pub connection_id: ConnectionId,
    /// Whether the other side may change the terms.
    pub kind: AgreementKind,
    /// The terms.
    pub terms: Terms,
    /// From then on nobody can approve them.
    pub expires_at: Timestamp,
}

/// Owner's command: put other terms in the place of those that were shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounterTerms {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// Hash of the terms that were shown.
    pub shown: Digest,
    /// The terms instead.
    pub terms: Terms,
    /// From then on nobody can approve them.
    pub expires_at: Timestamp,
}

/// Owner's command: approve or deny the terms that were shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerTerms {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// Hash of the terms that were shown.
    pub shown: Digest,
    /// Yes or no.
    pub decision: Decision,
}

/// Names an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementRef {
    /// The agreement.
    pub agreement_id: AgreementId,
}

/// With the password: the owner agrees to these very terms. Good for one step within five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitTerms {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// The terms.
    pub terms: Terms,
}

/// The terms may be agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsPermitted {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// Until then.
    pub until: Timestamp,
}

/// With the password: payments up to this much need no password from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreePayments {
    /// In this currency.
    pub currency: Currency,
    /// At most this much each; absent: every payment needs the password again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Money>,
}

/// What became of a command about an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stepped {
    /// It was done; the agreement stands like this now.
    Done(Box<AgreementView>),
    /// It was not done: this is missing.
    Missing(Need),
}

/// What is missing before the owner may agree to terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// The connection has to be verified.
    Verification,
    /// The owner needs a Vault Credential.
    Credential,
    /// The password of the Vault Credential.
    Password,
}

/// Asks for agreements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAgreements {
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AgreementKind>,
    /// At most so many, up to [`MAX_LISTED`].
    pub limit: u32,
}

/// Agreements without their terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementList {
    /// Newest first.
    pub agreements: Vec<AgreementSummary>,
}

/// One agreement without its terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementSummary {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// With whom.
    pub connection_id: ConnectionId,
    /// The name of that connection.
    pub display_name: String,
    /// Request or transaction.
    pub kind: AgreementKind,
    /// What it is about, one line.
    pub title: String,
    /// Counts the terms, from 1.
    pub round: u32,
    /// How it stands.
    pub standing: Standing,
    /// The end of the latest terms.
    pub expires_at: Timestamp,
}

/// One agreement as the owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreementView {
    /// The agreement.
    pub agreement_id: AgreementId,
    /// With whom.
    pub connection_id: ConnectionId,
    /// The name of that connection.
    pub display_name: String,
    /// Request or transaction.
    pub kind: AgreementKind,
    /// Which side the owner is on.
    pub side: AgreementSide,
    /// Counts the terms, from 1.
    pub round: u32,
    /// The latest terms.
    pub terms: Terms,
    /// The same as the owner is to read them: exactly what is signed.
    pub displayed: Vec<String>,
    /// Names these terms in an answer.
    pub terms_hash: Digest,
    /// When these terms were made, by their maker's clock.
    pub made_at: Timestamp,
    /// From then on nobody can approve them.
    pub expires_at: Timestamp,
    /// How it stands.
    pub standing: Standing,
    /// What is missing before the owner may approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Whether there is a record of it.
    pub has_record: bool,
}

/// How an agreement stands for the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The owner is to answer.
    ToAnswer,
    /// The other side is to answer.
    Waits,
    /// The owner answered; the other side has to confirm that it came in time.
    Answered,
    /// The time of the terms is over; the other side has to say so.
    Over,
    /// Both sides approved.
    Approved,
    /// One side said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The maker took the terms back.
    Withdrawn,
}
