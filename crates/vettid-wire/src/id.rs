//! Ids: one Rust type for each kind of thing, so that two kinds cannot be confused.

use crate::base64::{decode_url, encode_url};
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidId(pub &'static str);

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

fn uuid_v7(now: Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now.unix_ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new UUIDv7 from a point in time and ten random bytes.
            #[must_use]
            pub fn v7(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }
            /// The point in time that it was made from, if it was made by [`Self::v7`].
            #[must_use]
            pub fn at(self) -> Timestamp {
                let mut millis = [0; 8];
                millis.iter_mut().skip(2).zip(self.to_bytes()).for_each(|(to, from)| *to = from);
                Timestamp::from_unix_ms(i64::from_be_bytes(millis))
            }
            /// From the sixteen bytes of a UUID.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
            /// The sixteen bytes.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let id = Uuid::try_parse(text).map_err(|_| InvalidId($noun))?;
                if id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) != text {
                    return Err(InvalidId($noun));
                }
                Ok(Self(id))
            }
        }

        as_text!($name);
    };
}

uuid_id!(
    /// A member, and with it the member's vault (`guid` on the wire).
    MemberId, "member id"
);
uuid_id!(
    /// One message.
    EventId, "event id"
);
uuid_id!(
    /// One connection: the bytes of the handshake that made it.
    ConnectionId, "connection id"
);
uuid_id!(
    /// One request that a service or a connection makes of a member.
    RequestId, "request id"
);
uuid_id!(
    /// One request or transaction between two members, the same on both sides; chosen by the app that proposes.
    AgreementId, "agreement id"
);
uuid_id!(
    /// One call between two members, the same on both sides; chosen by the app that calls.
    CallId, "call id"
);
uuid_id!(
    /// One share of a member's location with one connection.
    ShareId, "share id"
);
uuid_id!(
    /// One operation with a credential; stays the same over retries.
    OperationId, "operation id"
);
uuid_id!(
    /// One critical secret of a member.
    SecretId, "secret id"
);

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps sixteen bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
            /// The sixteen bytes.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode_url(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let bytes = decode_url(text).map_err(|_| InvalidId($noun))?;
                Ok(Self(bytes.try_into().map_err(|_| InvalidId($noun))?))
            }
        }

        as_text!($name);
    };
}

random_id!(
    /// One invitation; 22 base64url characters.
    InviteId, "invitation id"
);
random_id!(
    /// One handshake (`hs_id`); 22 base64url characters.
    HandshakeId, "handshake id"
);
random_id!(
    /// Names the keys of a connection or session (`connection_key_id`, `session_id`); made by the handshake.
    SessionKeyId, "session key id"
);
random_id!(
    /// One file that a member sends; chosen by the sender's vault; 22 base64url characters.
    FileId, "file id"
);
random_id!(
    /// One login that a browser waits for; 22 base64url characters.
    LoginId, "login id"
);

impl HandshakeId {
    /// A new handshake id: the bytes of a UUIDv7.
    #[must_use]
    pub fn v7(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid_v7(now, random).into_bytes())
    }

    /// The connection that this handshake makes.
    #[must_use]
    pub fn connection_id(self) -> ConnectionId {
        ConnectionId::from_bytes(self.0)
    }
}

macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let fits = (1..=40).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-');
                let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if fits && plain { Ok(Self(text.to_owned())) } else { Err(InvalidId($noun)) }
            }
        }

        as_text!($name);
    };
}

slug_id!(
    /// A service: 1 to 40 of `a-z`, `0-9` and inner `-`.
    ServiceId, "service id"
);
slug_id!(
    /// A host that runs vaults.
    HostId, "host id"
);
slug_id!(
    /// A member's device.
    DeviceId, "device id"
);
slug_id!(
    /// A rule of an owner.
    RuleId, "rule id"
);

/// Names a key: `k_` or `tk_` and lower-case base32 or hex (spec 2.0, 2.8).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let key = text.strip_prefix("k_").is_some_and(|rest| rest.len() == 26 && rest.bytes().all(is_base32));
        let transaction = text.strip_prefix("tk_").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(is_hex));
        if key || transaction { Ok(Self(text.to_owned())) } else { Err(InvalidId("key id")) }
    }
}

fn is_base32(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'2'..=b'7')
}

fn is_hex(b: u8) -> bool {
    matches!(b, b'a'..=b'f' | b'0'..=b'9')
}

as_text!(KeyId);

/// Names an identity key; does not change when other keys rotate (spec 2.1). 43 base64url characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Wraps 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_url(&self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bytes = decode_url(text).map_err(|_| InvalidId("fingerprint"))?;
        Ok(Self(bytes.try_into().map_err(|_| InvalidId("fingerprint"))?))
    }
}

as_text!(Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_lower_case_and_hyphenated() {
        let text = "018f6b1e-7c1a-7000-8000-000000000001";
        assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        for wrong in [&text.to_uppercase(), &text.replace('-', ""), &format!("{{{text}}}"), "", "x"] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn slugs_cannot_carry_subject_wildcards() {
        assert!("demo-shop".parse::<ServiceId>().is_ok());
        for wrong in ["*", ">", "a.b", "A", "", "-a", "a-", "a b", &"a".repeat(41)] {
            assert!(wrong.parse::<ServiceId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn key_ids_have_two_forms() {
        assert!("k_utkd2ec6y33ntxd64zqbcj2x5a".parse::<KeyId>().is_ok());
        assert!("tk_97c8bc6f53a8bbeb91fc6a2ef187dd41".parse::<KeyId>().is_ok());
        assert!("k_UTKD2EC6Y33NTXD64ZQBCJ2X5A".parse::<KeyId>().is_err());
        assert!("k_".parse::<KeyId>().is_err());
    }
}
