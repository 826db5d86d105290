//! The values that samples are made of: the same member, service and keys in each, so that samples fit together.

use serde_json::{Value, json};
use std::fmt::Debug;
use std::str::FromStr;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::digest::Digest;
use vettid_wire::event::EventType;
use vettid_wire::id::{
    ConnectionId, DeviceId, EventId, Fingerprint, HandshakeId, HostId, InviteId, KeyId, LoginId, MemberId, OperationId,
    RequestId, ServiceId, SessionKeyId,
};
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::time::Timestamp;

fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn member() -> MemberId {
    parsed("550e8400-e29b-41d4-a716-446655440000")
}

pub(crate) fn peer() -> MemberId {
    parsed("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
}

pub(crate) fn event() -> EventId {
    parsed("018f6b1e-7c1a-7000-8000-000000000001")
}

pub(crate) fn message() -> EventId {
    parsed("018f6b1e-7c1a-7000-8000-000000000002")
}

pub(crate) fn connection() -> ConnectionId {
    ConnectionId::from_bytes(handshake().to_bytes())
}

pub(crate) fn handshake() -> HandshakeId {
    let id: EventId = parsed("018f6b1e-7c1a-7000-8000-000000000003");
    HandshakeId::from_bytes(id.to_bytes())
}

pub(crate) fn request() -> RequestId {
    parsed("018f6b1e-7c1a-7000-8000-000000000004")
}

pub(crate) fn operation() -> OperationId {
    parsed("018f6b1e-7c1a-7000-8000-000000000005")
}

pub(crate) fn enrolment() -> EventId {
    parsed("018f6b1e-7c1a-7000-8000-000000000006")
}

pub(crate) fn invite() -> InviteId {
    InviteId::from_bytes([0x1a; 16])
}

pub(crate) fn login() -> LoginId {
    LoginId::from_bytes([0x3c; 16])
}

pub(crate) fn session_key() -> SessionKeyId {
    SessionKeyId::from_bytes([0x2b; 16])
}

pub(crate) fn service() -> ServiceId {
    parsed("demo-shop")
}

pub(crate) fn host() -> HostId {
    parsed("host-1")
}

pub(crate) fn device() -> DeviceId {
    parsed("pixel-9")
}

pub(crate) fn event_type(name: &str) -> EventType {
    parsed(name)
}

pub(crate) fn fingerprint() -> Fingerprint {
    Fingerprint::from_bytes([0xf1; 32])
}

pub(crate) fn peer_fingerprint() -> Fingerprint {
    Fingerprint::from_bytes([0xf2; 32])
}

/// Names the signing key.
pub(crate) fn key_id() -> KeyId {
    parsed("k_utkd2ec6y33ntxd64zqbcj2x5a")
}

/// Names a KEM key.
pub(crate) fn kem_key_id() -> KeyId {
    parsed("k_aaaqeayeaudaocajbifqydiob4")
}

pub(crate) fn transaction_key_id() -> KeyId {
    parsed("tk_97c8bc6f53a8bbeb91fc6a2ef187dd41")
}

/// A time `minutes` after the start of the story.
pub(crate) fn at(minutes: i64) -> Timestamp {
    parsed::<Timestamp>("2026-11-21T00:00:00.000Z").plus_ms(minutes * 60_000)
}

pub(crate) fn ed25519() -> TypedKey {
    TypedKey::new(KeyAlgorithm::Ed25519, [0xe1; 32]).unwrap()
}

pub(crate) fn x25519() -> TypedKey {
    TypedKey::new(KeyAlgorithm::X25519, [0xe2; 32]).unwrap()
}

pub(crate) fn p256() -> TypedKey {
    let mut point = [0xe3; 65];
    point[0] = 4;
    TypedKey::new(KeyAlgorithm::P256, point).unwrap()
}

/// 64 bytes that stand for a signature.
pub(crate) fn signature() -> Base64 {
    Base64::new([0x51; 64])
}

pub(crate) fn bytes(length: usize) -> Base64 {
    Base64::new(vec![0xb0; length])
}

pub(crate) fn bytes_url(length: usize) -> Base64Url {
    Base64Url::new(vec![0xb1; length])
}

pub(crate) fn digest() -> Digest {
    Digest::from_bytes([0xd1; 32])
}

pub(crate) fn previous_digest() -> Digest {
    Digest::from_bytes([0xd0; 32])
}

/// Text that stands for a user JWT, with the usual header.
pub(crate) fn jwt() -> String {
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJzdWIiOiJVIn0.c2lnbmF0dXJl".to_owned()
}

/// A public user or account NKey, by its first letter.
pub(crate) fn nkey(kind: char) -> String {
    format!("{kind}{}", "A".repeat(55))
}

/// An address: a value with a shape of its own.
pub(crate) fn address() -> Value {
    json!({ "street": "12 Main Street", "city": "Springfield", "postal_code": "12345" })
}
