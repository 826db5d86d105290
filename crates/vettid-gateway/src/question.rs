//! Questions to members and what an answer must be to count: pure functions over given time and randomness. An answer
//! counts only for the question that it names by event id and body hash, on the connection it was asked on.

mod answered;
mod authorisation;
mod batch;
mod message;
mod stored;

pub use answered::Answer;
pub use authorisation::{Authorisation, name};
pub use batch::Batch;
pub use message::Message;
pub use stored::{OfStored, StoredAsked};

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_core::answer;
use vettid_core::channel::{Channel, ChannelError, body_hash};
use vettid_crypto::authorisation::Answerer;
use vettid_crypto::authorisation::AuthorisationError;
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_wire::answer::AnswerProof;
use vettid_wire::auth::{AuthChallenge, AuthResponse, Decision, Display, MAX_LIFE_MS};
use vettid_wire::authorisation::{AuthorisationRecord, AuthorisationRequest, InvalidRequest};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::contract::Retention;
use vettid_wire::data::batch::FieldAnswer;
use vettid_wire::data::{DataOutcome, DataRequest, DataResponse, Keep};
use vettid_wire::envelope::{Content, InReplyTo};
use vettid_wire::event::{self, Delivery, EventRow as _, Row};
use vettid_wire::id::{ConnectionId, EventId, MemberId, RequestId, ServiceId};
use vettid_wire::json::{self, JsonError};
use vettid_wire::key::TypedKey;
use vettid_wire::key_record::KeyRecord;
use vettid_wire::login::{LinkPart, LoginProof};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::stored::StoredOutcome;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;
use vettid_wire::webauthn::Assertion;

/// The clocks of both sides may differ by this much, in milliseconds (spec §3 R10).
pub const MAX_SKEW_MS: i64 = 120_000;
/// A member may take at most this long to decide a data request, in milliseconds (7 days).
const MAX_PENDING_MS: i64 = 7 * 24 * 3600 * 1000;

/// What a program of the service wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A field of personal data.
    Data {
        /// Name of the field.
        field: String,
        /// What for, shown to the member.
        purpose: String,
        /// How long the value is to be kept; `None`: as long as the contract allows.
        retention: Option<Retention>,
    },
    /// Several fields of personal data.
    Batch(Batch),
    /// A login.
    Login(LoginRequest),
    /// The member's word.
    Authorisation(Authorisation),
    /// Nothing: the member is told something.
    Message(Message),
    /// Something about what the service stores with the member.
    Stored(OfStored),
}

/// A browser that waits to be logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// Scheme and host of the site; one of the service's own.
    pub origin: String,
    /// SHA-256 of the browser session that waits.
    pub session_hash: [u8; 32],
    /// Shown to the member.
    pub display: Display,
    /// The request and its nonce, if a browser signed them; made here otherwise.
    pub prepared: Option<Prepared>,
    /// The link that the member's app opened.
    pub link: Option<LinkPart>,
    /// The key that the browser holds.
    pub browser: Option<BrowserProof>,
    /// The number that the waiting page shows.
    pub number: Option<u8>,
}

/// Names of a login that stand before it is asked, so that a browser can sign them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The request.
    pub request_id: RequestId,
    /// 32 random bytes.
    pub nonce: [u8; 32],
}

/// The key of a browser and its signature over [`browser_text`](vettid_wire::login::browser_text), or over an assertion for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserProof {
    /// The key.
    pub key: TypedKey,
    /// `r ‖ s`; DER for a WebAuthn key.
    pub signature: Vec<u8>,
    /// What the signature of a WebAuthn key is over.
    pub assertion: Option<Assertion>,
}

impl LoginRequest {
    /// A login that nothing ties to a browser yet. As it is, a member's vault refuses it.
    #[must_use]
    pub fn new(origin: &str, session_hash: [u8; 32], display: Display) -> Self {
        let origin = origin.to_owned();
        Self { origin, session_hash, display, prepared: None, link: None, browser: None, number: None }
    }
}

/// Where and as whom a question is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The service.
    pub service_id: &'a ServiceId,
    /// Its signing key.
    pub signing: &'a SigningKey,
    /// What certifies that key.
    pub key_record: &'a KeyRecord,
    /// The member.
    pub member: MemberId,
    /// The connection.
    pub connection_id: ConnectionId,
    /// The accepted contract.
    pub contract_hash: &'a Base64Url,
}

/// A sealed question. `Serialize` is for the sealed state alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names it for the service's programs.
    pub request_id: RequestId,
    /// Names it for the member's vault; stays the same when it is sent again.
    pub event_id: EventId,
    /// Where it is asked.
    pub connection_id: ConnectionId,
    /// Whom.
    pub member: MemberId,
    /// SHA-256 of its body.
    pub body_hash: Base64Url,
    /// What an answer is held against.
    pub kind: Kind,
    /// The envelope; byte for byte the same when it is sent again.
    pub envelope: Base64,
    /// When it was made.
    pub asked_at: Timestamp,
    /// An answer after that does not count.
    pub expires_at: Timestamp,
}

/// What an answer is held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The field that was asked for.
    Data {
        /// Its name.
        field: String,
    },
    /// The fields that were asked for.
    DataBatch {
        /// Their names, in the order of the request.
        fields: Vec<String>,
    },
    /// The login that was asked for.
    Login(Box<AuthChallenge>),
    /// What the member's word was asked for.
    Authorisation(Box<AuthorisationRequest>),
    /// A receipt for the message.
    Message {
        /// How long it waits for the member's vault.
        life_ms: i64,
    },
    /// What was to be done with what is stored.
    Stored(Box<StoredAsked>),
}

/// Why a question could not be made.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// Larger than the row of the event allows.
    #[error("the request is too large")]
    TooLarge,
    /// No canonical form.
    #[error("the request has no canonical form")]
    Form(#[from] JsonError),
    /// Cannot be sealed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Cannot be signed.
    #[error("the login request cannot be signed")]
    Sign(#[from] SignatureError),
    /// A request for several fields names none, too many, or one twice.
    #[error("fields: 1 to 16, none twice")]
    UnsoundBatch,
    /// No vault would show the message to its member, or it waits longer than messages may.
    #[error(
        "subject: one line of 1 to 150 bytes; text: plain text of 1 to 4000 bytes in at most 60 lines; expires_in_ms: at most seven days"
    )]
    UnsoundMessage,
    /// No vault would show it to its member.
    #[error("the request is not sound: {0}")]
    Unsound(InvalidRequest),
    /// Cannot be signed.
    #[error("the request for the member's word cannot be made")]
    Authorisation(#[source] AuthorisationError),
}

/// What came of a question. `Serialize` is for the sealed state alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The value of the field.
    Served {
        /// Name of the field.
        field: String,
        /// Its value.
        value: Value,
        /// How long it may be kept.
        keep: Keep,
    },
    /// What came of each of several fields.
    Fields {
        /// Each with its value or the reason why there is none.
        fields: Vec<FieldAnswer>,
    },
    /// The member's signed decision about the login.
    Decided {
        /// Yes or no.
        decision: Decision,
        /// When the member decided.
        auth_time: Timestamp,
        /// How the member was recognised (RFC 8176 values).
        method: Vec<String>,
        /// What ties a yes to the waiting browser.
        proof: Option<LoginProof>,
    },
    /// The member's word, signed.
    Answered {
        /// Yes or no.
        decision: Decision,
        /// When the member decided.
        auth_time: Timestamp,
        /// How the member was recognised (RFC 8176 values).
        method: Vec<String>,
        /// Request and answer, for checking offline.
        record: Box<AuthorisationRecord>,
    },
    /// It was done with what the service stores.
    Stored {
        /// What came of it.
        result: Box<StoredOutcome>,
    },
    /// The member's vault refused.
    Refused {
        /// Why.
        code: RefusalCode,
        /// Not before then is there room again, where the vault can tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// The member's vault took the message.
    Accepted {
        /// When it was taken first.
        accepted_at: Timestamp,
    },
    /// No answer in time.
    Expired,
}

/// What an answer that counts says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The member is being asked until then.
    Pending(Timestamp),
    /// That is it.
    Done(Outcome),
}

/// Why an answer does not count. Nothing changes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAnswer {
    /// It names another question, or none.
    #[error("the answer names another question")]
    OtherQuestion,
    /// It does not have the shape of its event type.
    #[error("the answer is malformed")]
    Malformed,
    /// It says something else about request, field, service, connection, origin, nonce or session.
    #[error("the answer contradicts the question")]
    Contradiction,
    /// The pairwise key of the connection did not sign it.
    #[error("the answer is not signed by the key of the connection")]
    Signature,
    /// Its times do not fit.
    #[error("the answer is too late or its times do not fit")]
    Time,
}

impl Prepared {
    /// Fresh names.
    #[must_use]
    pub fn new(now: Timestamp, rng: &mut dyn CryptoRng) -> Self {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        Self { request_id: RequestId::v7(now, random(rng)), nonce }
    }
}

impl Kind {
    fn row(&self) -> Row {
        match self {
            Self::Data { .. } => event::DataRequest::ROW,
            Self::DataBatch { .. } => event::BatchAsked::ROW,
            Self::Login(_) => event::AuthChallenge::ROW,
            Self::Message { .. } => event::ServiceMessageSend::ROW,
            Self::Authorisation(request) => authorisation::row(request.wanted.kind()),
            Self::Stored(asked) => asked.row(),
        }
    }
}

impl Question {
    /// Makes and seals a question.
    ///
    /// # Errors
    /// See [`QuestionError`].
    pub fn seal(
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        asker: Asker<'_>,
        channel: &mut Channel,
        ask: Ask,
    ) -> Result<Self, QuestionError> {
        let prepared = match &ask {
            Ask::Login(LoginRequest { prepared: Some(prepared), .. }) => *prepared,
            _ => Prepared::new(now, rng),
        };
        let request_id = prepared.request_id;
        let (kind, body) = match ask {
            Ask::Data { field, purpose, retention } => data(asker, request_id, field, (purpose, retention))?,
            Ask::Batch(asked) => batch::request(asker, request_id, asked)?,
            Ask::Login(login) => login_challenge(now, asker, prepared, login)?,
            Ask::Authorisation(asked) => authorisation::request(now, asker, request_id, asked)?,
            Ask::Message(said) => message::request(asker, request_id, said)?,
            Ask::Stored(asked) => stored::request(asker, request_id, asked)?,
        };
        let row = kind.row();
        if json::canonical(&body)?.len() > row.cap_bytes {
            return Err(QuestionError::TooLarge);
        }
        let expires_at = match &kind {
            Kind::Data { .. } | Kind::DataBatch { .. } | Kind::Stored(_) => {
                now.plus_ms(row.within_ms.unwrap_or(MAX_LIFE_MS))
            }
            Kind::Login(challenge) => challenge.expires_at,
            Kind::Message { life_ms } => now.plus_ms(*life_ms),
            Kind::Authorisation(request) => request.expires_at,
        };
        let (event_id, body_hash) = (EventId::v7(now, random(rng)), body_hash(&body)?);
        let subject = Subject::FromService(asker.member, asker.service_id.clone(), row.event_type());
        let to_incarnation = channel.peer_incarnation();
        let content = Content { body, to_incarnation, in_reply_to: None, expires_at: Some(expires_at) };
        let envelope = channel.seal(now, rng, &subject, event_id, &row.event_type(), &content)?;
        Ok(Self {
            request_id,
            event_id,
            connection_id: asker.connection_id,
            member: asker.member,
            body_hash,
            envelope: Base64::new(envelope),
            asked_at: now,
            expires_at: if matches!(kind, Kind::Authorisation(_) | Kind::Message { .. }) {
                expires_at.plus_ms(authorisation::GRACE_MS)
            } else {
                expires_at
            },
            kind,
        })
    }

    /// Whether it reaches only a vault that listens now, and is sent again until it is answered.
    #[must_use]
    pub fn is_best_effort(&self) -> bool {
        self.kind.row().delivery == Delivery::BestEffort
    }

    /// Where it is sent.
    #[must_use]
    pub fn subject(&self, service_id: &ServiceId) -> Subject {
        Subject::FromService(self.member, service_id.clone(), self.kind.row().event_type())
    }

    /// Decides what an answer that came in time says. `answerer` is the member of the connection.
    ///
    /// # Errors
    /// [`NotAnAnswer`] if it does not count.
    pub fn judge(
        &self,
        now: Timestamp,
        answer: Answer,
        in_reply_to: Option<&InReplyTo>,
        answerer: &Answerer,
    ) -> Result<Judgement, NotAnAnswer> {
        let pairwise = &answerer.pairwise;
        if !self.is_named_by(&answer, in_reply_to) {
            return Err(NotAnAnswer::OtherQuestion);
        }
        match (answer, &self.kind) {
            (Answer::Data(response), Kind::Data { field }) => {
                let proof = (response.proof.clone(), serde_json::to_value(&response).unwrap_or_default());
                match self.judge_data(now, field, response)? {
                    Judgement::Done(outcome) => self.prove(pairwise, proof).map(|()| Judgement::Done(outcome)),
                    pending => Ok(pending),
                }
            }
            (Answer::Batch(response), Kind::DataBatch { fields }) => {
                let proof = (response.proof.clone(), serde_json::to_value(&response).unwrap_or_default());
                match batch::judge(self, now, fields, response)? {
                    Judgement::Done(outcome) => self.prove(pairwise, proof).map(|()| Judgement::Done(outcome)),
                    pending => Ok(pending),
                }
            }
            (Answer::Message(accepted), Kind::Message { .. }) => {
                let proof = (accepted.proof.clone(), serde_json::to_value(&accepted).unwrap_or_default());
                self.prove(pairwise, proof)?;
                message::judge(self.request_id, &accepted)
            }
            (Answer::Login(response), Kind::Login(challenge)) => judge_login(now, challenge, *response, pairwise),
            (Answer::Authorisation(answer), Kind::Authorisation(request)) => {
                authorisation::judge(request, *answer, answerer)
            }
            (Answer::Stored(response), Kind::Stored(asked)) => {
                let proof = (response.proof.clone(), serde_json::to_value(&response).unwrap_or_default());
                let result = Box::new(asked.judge(self.request_id, *response)?);
                self.prove(pairwise, proof).map(|()| Judgement::Done(Outcome::Stored { result }))
            }
            (Answer::Refused(refused), kind) if refused.event_type == kind.row().event_type() => {
                // A refusal gives nothing, so it counts without a proof, but never with a wrong one.
                if refused.proof.is_some() {
                    let answer = serde_json::to_value(&refused).unwrap_or_default();
                    self.prove(pairwise, (refused.proof, answer))?;
                }
                Ok(Judgement::Done(Outcome::Refused { code: refused.code, retry_at: refused.retry_at }))
            }
            _ => Err(NotAnAnswer::Contradiction),
        }
    }

    /// Event and body hash name the question (spec §3 R12). A refusal names the event in its body; the vault may not have
    /// been able to read the body that it refused, so the hash may be missing there.
    fn is_named_by(&self, answer: &Answer, in_reply_to: Option<&InReplyTo>) -> bool {
        match (answer, in_reply_to) {
            (Answer::Refused(refused), None) => refused.event_id == self.event_id,
            (Answer::Refused(refused), Some(_)) if refused.event_id != self.event_id => false,
            (_, Some(to)) => to.event_id == self.event_id && to.body_hash == self.body_hash,
            (_, None) => false,
        }
    }

    /// The proof in an answer must be for this question and signed by the member's key of the connection.
    fn prove(&self, pairwise: &VerifyingKey, (proof, answer): (Option<AnswerProof>, Value)) -> Result<(), NotAnAnswer> {
        let own = proof.is_some_and(|proof| {
            proof.question.event_id == self.event_id && proof.question.body_hash == self.body_hash
        });
        let is_signed = answer::verify(pairwise, self.connection_id, &answer).is_ok();
        if own && is_signed { Ok(()) } else { Err(NotAnAnswer::Signature) }
    }

    fn judge_data(&self, now: Timestamp, asked: &str, response: DataResponse) -> Result<Judgement, NotAnAnswer> {
        if response.request_id != self.request_id {
            return Err(NotAnAnswer::Contradiction);
        }
        match response.outcome {
            DataOutcome::Served { field, .. } if field != asked => Err(NotAnAnswer::Contradiction),
            DataOutcome::Served { field, value, keep } => {
                // Whatever does not say how long it may be kept is not kept at all.
                let keep = keep.unwrap_or(Keep::Session { until: now });
                Ok(Judgement::Done(Outcome::Served { field, value, keep }))
            }
            DataOutcome::Refused { code } => Ok(Judgement::Done(Outcome::Refused { code, retry_at: None })),
            DataOutcome::Pending { expires_at } => {
                let latest = self.asked_at.plus_ms(MAX_PENDING_MS);
                if expires_at <= now { Err(NotAnAnswer::Time) } else { Ok(Judgement::Pending(expires_at.min(latest))) }
            }
        }
    }
}

fn data(
    asker: Asker<'_>,
    request_id: RequestId,
    field: String,
    (purpose, retention): (String, Option<Retention>),
) -> Result<(Kind, Value), QuestionError> {
    let body = DataRequest {
        request_id,
        service_id: asker.service_id.clone(),
        connection_id: asker.connection_id,
        contract_hash: asker.contract_hash.clone(),
        field: field.clone(),
        purpose,
        retention,
    };
    Ok((Kind::Data { field }, serde_json::to_value(body).map_err(JsonError::Shape)?))
}

fn login_challenge(
    now: Timestamp,
    asker: Asker<'_>,
    prepared: Prepared,
    login: LoginRequest,
) -> Result<(Kind, Value), QuestionError> {
    let (shown, browser_assertion) =
        login.browser.map(|proof| ((proof.key, Base64::new(proof.signature)), proof.assertion)).unzip();
    let (browser_key, browser_sig) = shown.unzip();
    let challenge = AuthChallenge {
        request_id: prepared.request_id,
        service_id: asker.service_id.clone(),
        connection_id: asker.connection_id,
        contract_hash: asker.contract_hash.clone(),
        origin: login.origin,
        nonce: Base64Url::new(prepared.nonce),
        session_hash: Base64Url::new(login.session_hash),
        display: login.display,
        link: login.link,
        browser_key,
        browser_sig,
        browser_assertion: browser_assertion.flatten(),
        number: login.number,
        issued_at: now,
        expires_at: now.plus_ms(MAX_LIFE_MS),
        key_id: asker.signing.key_id(),
        signature: Base64::default(),
    };
    let body = signature::sign_object(Context::ServiceRequest, asker.signing, &challenge)?;
    Ok((Kind::Login(Box::new(json::from_value(body.clone())?)), body))
}

fn judge_login(
    now: Timestamp,
    challenge: &AuthChallenge,
    response: AuthResponse,
    pairwise: &VerifyingKey,
) -> Result<Judgement, NotAnAnswer> {
    let verified = signature::check(Context::AuthResponse, pairwise, response).map_err(|_| NotAnAnswer::Signature)?;
    let response = verified.into_inner();
    let same = response.request_id == challenge.request_id
        && response.service_id == challenge.service_id
        && response.connection_id == challenge.connection_id
        && response.origin == challenge.origin
        && response.nonce == challenge.nonce
        && response.session_hash == challenge.session_hash;
    if !same || !is_tied(challenge, &response) {
        return Err(NotAnAnswer::Contradiction);
    }
    let (earliest, latest) = (challenge.issued_at.plus_ms(-MAX_SKEW_MS), now.plus_ms(MAX_SKEW_MS));
    let made_between = [response.auth_time, response.issued_at].iter().all(|at| (earliest..=latest).contains(at));
    let in_time =
        (now..=challenge.expires_at).contains(&response.expires_at) && response.expires_at > response.issued_at;
    if !made_between || !in_time {
        return Err(NotAnAnswer::Time);
    }
    let AuthResponse { decision, auth_time, method, proof, .. } = response;
    Ok(Judgement::Done(Outcome::Decided { decision, auth_time, method, proof }))
}

/// A yes counts only with a proof of a kind that was asked for; a no counts without any.
fn is_tied(challenge: &AuthChallenge, response: &AuthResponse) -> bool {
    match (response.decision, &response.proof) {
        (Decision::Deny, proof) => proof.is_none(),
        (Decision::Approve, None) => false,
        (Decision::Approve, Some(LoginProof::SameDevice { .. })) => challenge.link.is_some(),
        (Decision::Approve, Some(LoginProof::KnownBrowser { browser_key })) => {
            challenge.browser_key.as_ref() == Some(browser_key)
        }
        (Decision::Approve, Some(LoginProof::Number { .. })) => challenge.number.is_some(),
    }
}

fn random(rng: &mut dyn CryptoRng) -> [u8; 10] {
    let mut bytes = [0; 10];
    rng.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
