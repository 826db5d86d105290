//! The invitation: what a QR code, a link or a screen carries out of band (spec 2.4).
//!
//! Whoever holds it can answer it once. As an object it is JSON; as text it is base64url of the packed form below,
//! at most 900 bytes; in a link the text stands in the fragment, which browsers never send to a server.
//!
//! Packed form: `"VI" ‖ u8 1 ‖ u8 kind ‖ L8(endpoint) ‖ guid[16] ‖ token ‖ u64 expires_at ms ‖ L8(hint) ‖
//! inviter_fp[32] ‖ invite_key[32] ‖ invite_id[16] ‖ secret[32] ‖ L8(suites as u16)`, and for enrolment
//! `‖ L8(services_url) ‖ session_id[16]`; `L8`, `L16` = length in one or two bytes, then the bytes. `token` =
//! `0 ‖ L16(text)`, or, for a JWT with the usual NATS header, `1 ‖ L16(claims) ‖ L8(signature)` without base64.

use crate::base64::{Base64Url, decode_url, encode_url};
use crate::id::{EventId, Fingerprint, InviteId, MemberId};
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Longest text form in bytes: what a QR code still shows well.
pub const MAX_TEXT_BYTES: usize = 900;
/// Longest endpoint, hint or address of services in bytes.
const MAX_FIELD_BYTES: usize = 120;
/// Longest token in bytes.
const MAX_TOKEN_BYTES: usize = 2048;
const VERSION: &str = "1.0";
const MAGIC: [u8; 3] = *b"VI\x01";
const JWT_HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// The text or the object is not an invitation, or an invitation does not fit into a QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInvitation {
    /// Not the form of an invitation.
    #[error("not an invitation")]
    Malformed,
    /// The text form would be longer than [`MAX_TEXT_BYTES`].
    #[error("the invitation does not fit into {MAX_TEXT_BYTES} bytes")]
    TooLong,
}

/// What an invitation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvitationKind {
    /// A new app.
    #[serde(rename = "vettid_enroll")]
    Enroll,
    /// A connection between members.
    #[serde(rename = "vettid_connection_invite")]
    Connect,
    /// A connection with a service.
    #[serde(rename = "vettid_service_invite")]
    Service,
}

/// A space and the server on which it lives: `{endpoint}/{guid}`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpaceUri {
    endpoint: String,
    guid: MemberId,
}

impl SpaceUri {
    /// An endpoint is 1 to 120 visible ASCII characters.
    pub fn new(endpoint: impl Into<String>, guid: MemberId) -> Result<Self, InvalidInvitation> {
        let endpoint = endpoint.into();
        let fits = (1..=MAX_FIELD_BYTES).contains(&endpoint.len()) && endpoint.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self { endpoint, guid }) } else { Err(InvalidInvitation::Malformed) }
    }

    /// The address of the server.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whose space.
    #[must_use]
    pub fn guid(&self) -> MemberId {
        self.guid
    }
}

impl fmt::Display for SpaceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.endpoint, self.guid)
    }
}

impl fmt::Debug for SpaceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for SpaceUri {
    type Err = InvalidInvitation;
    fn from_str(text: &str) -> Result<Self, InvalidInvitation> {
        let (endpoint, guid) = text.rsplit_once('/').ok_or(InvalidInvitation::Malformed)?;
        Self::new(endpoint, guid.parse().map_err(|_| InvalidInvitation::Malformed)?)
    }
}

impl Serialize for SpaceUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SpaceUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// The 32 bytes that are mixed into the handshake. Wiped when it is dropped; never shown by `Debug`.
#[derive(ZeroizeOnDrop)]
pub struct InvitationSecret([u8; 32]);

impl InvitationSecret {
    /// Wraps 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. Never log them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A second copy, on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0)
    }
}

/// Looks at every byte, whatever differs.
impl PartialEq for InvitationSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differs, (one, another)| differs | (one ^ another)) == 0
    }
}

impl Eq for InvitationSecret {}

impl fmt::Debug for InvitationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationSecret")
    }
}

/// What only an enrolment code carries: how services know the app that scanned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentPointer {
    /// Address of services.
    pub services_url: String,
    /// The enrolment.
    pub session_id: EventId,
}

/// An invitation. `Debug` shows neither the secret nor the token.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(try_from = "Form")]
pub struct Invitation {
    /// What it is for.
    pub kind: InvitationKind,
    /// The inviter's MessageSpace; for enrolment the member's OwnerSpace.
    pub space: SpaceUri,
    /// Bearer JWT for one subject; for enrolment the one-time token of services.
    pub token: String,
    /// When it dies.
    pub expires_at: Timestamp,
    /// A name for the eye; proves nothing.
    pub inviter_hint: String,
    /// The inviter's identity.
    pub inviter_fp: Fingerprint,
    /// One-time X25519 prekey.
    pub invite_key: [u8; 32],
    /// Names the invitation.
    pub invite_id: InviteId,
    /// Mixed into the handshake.
    pub secret: InvitationSecret,
    /// Suites that the inviter takes, best first.
    pub suites: Vec<u16>,
    /// Present exactly in enrolment codes.
    pub enrolment: Option<EnrolmentPointer>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("kind", &self.kind)
            .field("invite_id", &self.invite_id)
            .finish_non_exhaustive()
    }
}

impl Serialize for Invitation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::of(self.duplicate()).serialize(serializer)
    }
}

impl Invitation {
    /// A second copy with the secret in it, on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            space: self.space.clone(),
            token: self.token.clone(),
            expires_at: self.expires_at,
            inviter_hint: self.inviter_hint.clone(),
            inviter_fp: self.inviter_fp,
            invite_key: self.invite_key,
            invite_id: self.invite_id,
            secret: self.secret.duplicate(),
            suites: self.suites.clone(),
            enrolment: self.enrolment.clone(),
        }
    }

    /// The text of the QR code.
    pub fn to_text(&self) -> Result<String, InvalidInvitation> {
        let text = encode_url(&self.pack()?);
        if text.len() > MAX_TEXT_BYTES { Err(InvalidInvitation::TooLong) } else { Ok(text) }
    }

    /// The same as a link: the text stands in the fragment of `page`.
    pub fn to_link(&self, page: &str) -> Result<String, InvalidInvitation> {
        let link = format!("{page}#{}", self.to_text()?);
        if link.len() > MAX_TEXT_BYTES { Err(InvalidInvitation::TooLong) } else { Ok(link) }
    }

    /// Reads the text of a QR code, or a link that carries it in its fragment.
    pub fn read(text_or_link: &str) -> Result<Self, InvalidInvitation> {
        let text = text_or_link.rsplit_once('#').map_or(text_or_link, |(_, fragment)| fragment);
        if text.len() > MAX_TEXT_BYTES {
            return Err(InvalidInvitation::TooLong);
        }
        let packed = Zeroizing::new(decode_url(text).map_err(|_| InvalidInvitation::Malformed)?);
        let mut reader = Reader(&packed);
        let invitation = reader.invitation().ok_or(InvalidInvitation::Malformed)?;
        // One invitation has one text, so a text can be compared and counted.
        if reader.0.is_empty() && invitation.pack()? == packed {
            Ok(invitation)
        } else {
            Err(InvalidInvitation::Malformed)
        }
    }

    fn pack(&self) -> Result<Zeroizing<Vec<u8>>, InvalidInvitation> {
        self.check()?;
        // Large enough from the beginning: a vector that grows leaves copies behind.
        let mut out = Zeroizing::new(Vec::with_capacity(MAX_TEXT_BYTES + MAX_TOKEN_BYTES));
        out.extend_from_slice(&MAGIC);
        out.push(self.kind.code());
        push8(&mut out, self.space.endpoint.as_bytes())?;
        out.extend_from_slice(&self.space.guid.to_bytes());
        push_token(&mut out, &self.token)?;
        out.extend_from_slice(&self.expires_at.unix_ms().to_be_bytes());
        push8(&mut out, self.inviter_hint.as_bytes())?;
        out.extend_from_slice(self.inviter_fp.as_bytes());
        out.extend_from_slice(&self.invite_key);
        out.extend_from_slice(&self.invite_id.to_bytes());
        out.extend_from_slice(&self.secret.0);
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        push8(&mut out, &suites)?;
        if let Some(enrolment) = &self.enrolment {
            push8(&mut out, enrolment.services_url.as_bytes())?;
            out.extend_from_slice(&enrolment.session_id.to_bytes());
        }
        Ok(out)
    }

    fn check(&self) -> Result<(), InvalidInvitation> {
        let services_url = self.enrolment.as_ref().map_or("", |enrolment| &enrolment.services_url);
        let fits = (1..=8).contains(&self.suites.len())
            && self.inviter_hint.len() <= MAX_FIELD_BYTES
            && services_url.len() <= MAX_FIELD_BYTES
            && self.token.len() <= MAX_TOKEN_BYTES
            && self.enrolment.is_some() == (self.kind == InvitationKind::Enroll);
        if fits { Ok(()) } else { Err(InvalidInvitation::Malformed) }
    }
}

impl InvitationKind {
    fn code(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::Service => 2,
            Self::Enroll => 3,
        }
    }
}

fn push8(out: &mut Vec<u8>, field: &[u8]) -> Result<(), InvalidInvitation> {
    out.push(u8::try_from(field.len()).map_err(|_| InvalidInvitation::TooLong)?);
    out.extend_from_slice(field);
    Ok(())
}

fn push16(out: &mut Vec<u8>, field: &[u8]) -> Result<(), InvalidInvitation> {
    let length = u16::try_from(field.len()).map_err(|_| InvalidInvitation::TooLong)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(field);
    Ok(())
}

fn push_token(out: &mut Vec<u8>, token: &str) -> Result<(), InvalidInvitation> {
    match jwt_parts(token) {
        Some((claims, signature)) => {
            out.push(1);
            push16(out, &claims)?;
            push8(out, &signature)
        }
        None => {
            out.push(0);
            push16(out, token.as_bytes())
        }
    }
}

/// Claims and signature of a JWT with the usual header whose parts are canonical base64url.
fn jwt_parts(token: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = token.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let usual = parts.next().is_none() && decode_url(header).ok()? == JWT_HEADER.as_bytes();
    usual.then_some((decode_url(claims).ok()?, decode_url(signature).ok()?))
}

/// Reads the packed form from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn bytes8(&mut self) -> Option<&'a [u8]> {
        let [length] = self.array()?;
        self.take(usize::from(length))
    }

    fn bytes16(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn text8(&mut self) -> Option<String> {
        Some(str::from_utf8(self.bytes8()?).ok()?.to_owned())
    }

    fn token(&mut self) -> Option<String> {
        match self.array()? {
            [0] => Some(str::from_utf8(self.bytes16()?).ok()?.to_owned()),
            [1] => {
                let (claims, signature) = (self.bytes16()?, self.bytes8()?);
                let [header, claims, signature] = [JWT_HEADER.as_bytes(), claims, signature].map(encode_url);
                Some(format!("{header}.{claims}.{signature}"))
            }
            _ => None,
        }
    }

    fn kind(&mut self) -> Option<InvitationKind> {
        let [code] = self.array()?;
        [InvitationKind::Connect, InvitationKind::Service, InvitationKind::Enroll]
            .into_iter()
            .find(|k| k.code() == code)
    }

    fn invitation(&mut self) -> Option<Invitation> {
        if self.array()? != MAGIC {
            return None;
        }
        let kind = self.kind()?;
        Some(Invitation {
            kind,
            space: SpaceUri::new(self.text8()?, MemberId::from_bytes(self.array()?)).ok()?,
            token: self.token()?,
            expires_at: Timestamp::from_unix_ms(i64::from_be_bytes(self.array()?)),
            inviter_hint: self.text8()?,
            inviter_fp: Fingerprint::from_bytes(self.array()?),
            invite_key: self.array()?,
            invite_id: InviteId::from_bytes(self.array()?),
            secret: InvitationSecret(self.array()?),
            suites: self.suites()?,
            enrolment: if kind == InvitationKind::Enroll { Some(self.enrolment()?) } else { None },
        })
    }

    fn suites(&mut self) -> Option<Vec<u16>> {
        let (pairs, rest) = self.bytes8()?.as_chunks::<2>();
        rest.is_empty().then(|| pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
    }

    fn enrolment(&mut self) -> Option<EnrolmentPointer> {
        Some(EnrolmentPointer { services_url: self.text8()?, session_id: EventId::from_bytes(self.array()?) })
    }
}

/// The object as JSON (spec 2.4).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(rename = "type")]
    kind: InvitationKind,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messagespace_uri: Option<SpaceUri>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ownerspace_uri: Option<SpaceUri>,
    token: String,
    expires_at: Timestamp,
    inviter_hint: String,
    inviter_fp: Fingerprint,
    invite_key: Base64Url,
    invite_id: InviteId,
    #[serde(with = "secret_text")]
    secret: InvitationSecret,
    suites: Vec<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    services_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<EventId>,
}

/// The secret as base64url, for the form alone.
mod secret_text {
    use super::{Base64Url, InvitationSecret};
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::{Zeroize, Zeroizing};

    pub(super) fn serialize<S: Serializer>(secret: &InvitationSecret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(crate::base64::encode_url(secret.expose())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InvitationSecret, D::Error> {
        let text = Base64Url::deserialize(deserializer)?;
        let mut bytes: [u8; 32] = text.to_array().map_err(serde::de::Error::custom)?;
        let secret = InvitationSecret::from_bytes(bytes);
        bytes.zeroize();
        text.into_bytes().zeroize();
        Ok(secret)
    }
}

impl Form {
    fn of(from: Invitation) -> Self {
        let owner = from.kind == InvitationKind::Enroll;
        let (messagespace_uri, ownerspace_uri) =
            if owner { (None, Some(from.space)) } else { (Some(from.space), None) };
        let (services_url, session_id) = from.enrolment.map(|e| (e.services_url, e.session_id)).unzip();
        Self {
            kind: from.kind,
            version: VERSION.to_owned(),
            messagespace_uri,
            ownerspace_uri,
            token: from.token,
            expires_at: from.expires_at,
            inviter_hint: from.inviter_hint,
            inviter_fp: from.inviter_fp,
            invite_key: Base64Url::new(from.invite_key),
            invite_id: from.invite_id,
            secret: from.secret,
            suites: from.suites,
            services_url,
            session_id,
        }
    }
}

impl TryFrom<Form> for Invitation {
    type Error = InvalidInvitation;
    fn try_from(form: Form) -> Result<Self, InvalidInvitation> {
        let malformed = InvalidInvitation::Malformed;
        let space = match (form.kind, form.messagespace_uri, form.ownerspace_uri) {
            (InvitationKind::Enroll, None, Some(space)) => space,
            (InvitationKind::Connect | InvitationKind::Service, Some(space), None) => space,
            _ => return Err(malformed),
        };
        let enrolment = match (form.services_url, form.session_id) {
            (Some(services_url), Some(session_id)) => Some(EnrolmentPointer { services_url, session_id }),
            (None, None) => None,
            _ => return Err(malformed),
        };
        let invitation = Self {
            kind: form.kind,
            space,
            token: form.token,
            expires_at: form.expires_at,
            inviter_hint: form.inviter_hint,
            inviter_fp: form.inviter_fp,
            invite_key: form.invite_key.to_array().map_err(|_| malformed)?,
            invite_id: form.invite_id,
            secret: form.secret,
            suites: form.suites,
            enrolment,
        };
        invitation.check()?;
        if form.version == VERSION { Ok(invitation) } else { Err(malformed) }
    }
}

#[cfg(test)]
mod tests;
