//! The sealed envelope, version 1 (spec 2.3): a fresh key encapsulation for each message, the epoch key mixed in, and
//! everything that the message is bound to in one header.
//!
//! Must never tell a sender why an envelope does not open, and never negotiate a suite. Whether a message was seen
//! before is decided elsewhere.

use rand_core::CryptoRng;
use serde_json::{Map, Value};
use vettid_wire::base64::Base64;
use vettid_wire::envelope::{Encryption, Envelope, MAX_PLAINTEXT_BYTES, Mode, VERSION};
use vettid_wire::event::EventType;
use vettid_wire::id::{EventId, Fingerprint, SessionKeyId};
use vettid_wire::json;
use vettid_wire::time::Timestamp;

use crate::committed::{OVERHEAD_BYTES, Padding, Schedule, Undecryptable, padded_len};
use crate::identity::{SigningKey, VerifyingKey};
use crate::kdf::Lp;
use crate::secret::{Secret32, SecretBytes};
use crate::signature::{self, Context, SignatureError};
use crate::suite::{KemPublicKey, KemSecretKey, Suite, SuiteError};

const LABEL: &str = "vettid-env-v1";
const MAX_PAYLOAD_BYTES: usize = OVERHEAD_BYTES + padded_len(MAX_PLAINTEXT_BYTES);

/// What both sides know without being told: a sender cannot claim it, so it is not on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The logical subject on which the message is delivered, import prefixes removed.
    pub subject: &'a str,
    /// The sender's fingerprint.
    pub sender: &'a Fingerprint,
    /// The recipient's fingerprint.
    pub recipient: &'a Fingerprint,
}

/// The fields that the sender chooses for one message.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Unique for the sender; stays the same over retries.
    pub event_id: EventId,
    /// The event type.
    pub event_type: EventType,
    /// When it is sealed.
    pub timestamp: Timestamp,
    /// Names the epoch key for the receiver; absent in mode `signed`.
    pub connection_key_id: Option<SessionKeyId>,
    /// The sender's incarnation.
    pub incarnation: u64,
    /// The epoch of the connection or session; 0 in mode `signed`.
    pub epoch: u64,
    /// Counts up within the epoch.
    pub sequence: u64,
}

/// Why an envelope cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// More than 700 KiB: such content goes through the object store.
    #[error("the content is larger than {MAX_PLAINTEXT_BYTES} bytes")]
    TooLarge,
    /// The recipient's key cannot be used.
    #[error("the recipient's key cannot be used")]
    Recipient(#[from] SuiteError),
    /// The body already says something else about event or recipient.
    #[error("the body names another event or recipient")]
    Body,
    /// The body cannot be signed.
    #[error("the body cannot be signed")]
    Signature(#[from] SignatureError),
}

/// Seals in mode `psk`: the only mode for app, connection and service traffic.
///
/// # Errors
/// [`SealError::TooLarge`], [`SealError::Recipient`].
pub fn seal(
    rng: &mut dyn CryptoRng,
    recipient: &KemPublicKey,
    epoch_key: &Secret32,
    binding: &Binding<'_>,
    outgoing: Outgoing,
    plaintext: &[u8],
) -> Result<Envelope, SealError> {
    seal_in_mode(rng, recipient, (Mode::Psk, epoch_key.expose()), binding, outgoing, plaintext)
}

/// Opens an envelope of mode `psk`.
///
/// # Errors
/// [`Undecryptable`], whatever is wrong.
pub fn open(
    recipient: &KemSecretKey,
    epoch_key: &Secret32,
    binding: &Binding<'_>,
    envelope: &Envelope,
) -> Result<SecretBytes, Undecryptable> {
    open_in_mode(recipient, (Mode::Psk, epoch_key.expose()), binding, envelope)
}

/// Seals in mode `signed`: control plane, broadcast, vault to services. `event_id` and `recipient_fp` are put into the
/// body, which is signed together with the signer's key id.
///
/// # Errors
/// [`SealError`].
pub fn seal_signed(
    rng: &mut dyn CryptoRng,
    recipient: &KemPublicKey,
    signer: &SigningKey,
    binding: &Binding<'_>,
    outgoing: Outgoing,
    mut body: Map<String, Value>,
) -> Result<Envelope, SealError> {
    for (name, value) in repeated(&outgoing.event_id, binding.recipient) {
        if body.get(name).is_some_and(|present| *present != value) {
            return Err(SealError::Body);
        }
        body.insert(name.to_owned(), value);
    }
    let content = Map::from_iter([("body".to_owned(), Value::Object(body))]);
    let signed = signature::sign_object(Context::SignedEnvelope, signer, &content)?;
    let plaintext = json::canonical(&signed).map_err(SignatureError::NotSignable)?;
    seal_in_mode(rng, recipient, (Mode::Signed, &[]), binding, outgoing, &plaintext)
}

/// Opens an envelope of mode `signed` and gives its body, `event_id` and `recipient_fp` included.
///
/// # Errors
/// [`Undecryptable`], whatever is wrong.
pub fn open_signed(
    recipient: &KemSecretKey,
    signer: &VerifyingKey,
    binding: &Binding<'_>,
    envelope: &Envelope,
) -> Result<Map<String, Value>, Undecryptable> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Content {
        body: Map<String, Value>,
        #[serde(rename = "key_id")]
        _key_id: String,
        #[serde(rename = "signature")]
        _signature: String,
    }
    let plaintext = open_in_mode(recipient, (Mode::Signed, &[]), binding, envelope)?;
    let received = json::parse_large(plaintext.expose()).map_err(|_| Undecryptable)?;
    let content = signature::open::<Content>(Context::SignedEnvelope, signer, received).map_err(|_| Undecryptable)?;
    let body = content.into_inner().body;
    let repeats = repeated(&envelope.event_id, binding.recipient);
    let is_meant = repeats.into_iter().all(|(name, value)| body.get(name) == Some(&value));
    if is_meant { Ok(body) } else { Err(Undecryptable) }
}

/// What a signed body repeats of its envelope.
fn repeated(event_id: &EventId, recipient: &Fingerprint) -> [(&'static str, Value); 2] {
    [("event_id", event_id.to_string().into()), ("recipient_fp", recipient.to_string().into())]
}

fn seal_in_mode(
    rng: &mut dyn CryptoRng,
    recipient: &KemPublicKey,
    (mode, psk): (Mode, &[u8]),
    binding: &Binding<'_>,
    outgoing: Outgoing,
    plaintext: &[u8],
) -> Result<Envelope, SealError> {
    if plaintext.len() > MAX_PLAINTEXT_BYTES {
        return Err(SealError::TooLarge);
    }
    let (shared, enc) = recipient.encapsulate(rng)?;
    let mut envelope = Envelope {
        event_id: outgoing.event_id,
        event_type: outgoing.event_type,
        timestamp: outgoing.timestamp,
        sequence: outgoing.sequence,
        encrypted_payload: Base64::default(),
        encryption: Encryption {
            v: VERSION,
            algorithm: recipient.suite().name().to_owned(),
            mode,
            key_id: recipient.key_id(),
            connection_key_id: outgoing.connection_key_id,
            ephemeral_public_key: Base64::new(enc),
            incarnation: outgoing.incarnation,
            epoch: outgoing.epoch,
        },
    };
    let header = header(recipient.suite(), binding, &envelope);
    let schedule = Schedule { label: LABEL, header: &header, shared: &shared, psk };
    envelope.encrypted_payload = Base64::new(schedule.seal(rng, Padding::Bucket, plaintext));
    Ok(envelope)
}

fn open_in_mode(
    recipient: &KemSecretKey,
    (mode, psk): (Mode, &[u8]),
    binding: &Binding<'_>,
    envelope: &Envelope,
) -> Result<SecretBytes, Undecryptable> {
    let (encryption, sealed) = (&envelope.encryption, envelope.encrypted_payload.as_bytes());
    let as_agreed = encryption.v == VERSION
        && encryption.mode == mode
        && encryption.algorithm == recipient.suite().name()
        && sealed.len() <= MAX_PAYLOAD_BYTES;
    if !as_agreed {
        return Err(Undecryptable);
    }
    let shared = recipient.decapsulate(encryption.ephemeral_public_key.as_bytes())?;
    let header = header(recipient.suite(), binding, envelope);
    Schedule { label: LABEL, header: &header, shared: &shared, psk }.open(Padding::Bucket, sealed)
}

/// `H` of spec 2.3, from the fields of the envelope and one's own knowledge.
fn header(suite: Suite, binding: &Binding<'_>, envelope: &Envelope) -> Vec<u8> {
    let encryption = &envelope.encryption;
    let enc = encryption.ephemeral_public_key.as_bytes();
    Lp::labelled_with_capacity(LABEL, 320 + enc.len() + binding.subject.len())
        .u16(suite.id())
        .u8(mode_number(encryption.mode))
        .lp_str(encryption.key_id.as_str())
        .lp(enc)
        .lp(binding.sender.as_bytes())
        .lp(binding.recipient.as_bytes())
        .lp_str(binding.subject)
        .lp_str(&envelope.event_id.to_string())
        .lp_str(envelope.event_type.as_str())
        .lp_str(&envelope.timestamp.to_string())
        .u64(encryption.incarnation)
        .u64(encryption.epoch)
        .u64(envelope.sequence)
        .finish()
}

fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Psk => 1,
        Mode::Signed => 2,
    }
}

#[cfg(test)]
mod tests;
