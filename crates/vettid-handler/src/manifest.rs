//! What a handler declares about itself and is held to. An empty list allows nothing.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Version of every handler that is linked in: that of the program.
pub const LINKED_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a handler may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Names the handler and its private store.
    pub name: Cow<'static, str>,
    /// The groups of host functions that it may call.
    pub host_calls: Cow<'static, [HostCall]>,
    /// The event types that it may send to connections.
    pub sends: Cow<'static, [Cow<'static, str>]>,
    /// The fields of personal data that it may name.
    pub fields: FieldScope,
}

/// The fields of personal data that a handler may name, on top of what the event is authorised for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldScope {
    /// Whatever the event is authorised for.
    Authorised,
    /// Only these.
    Named(Cow<'static, [Cow<'static, str>]>),
}

impl FieldScope {
    /// No field.
    pub const NONE: Self = Self::Named(Cow::Borrowed(&[]));
}

impl Manifest {
    /// The manifest of a linked-in handler.
    #[must_use]
    pub const fn linked(
        name: &'static str,
        host_calls: &'static [HostCall],
        sends: &'static [Cow<'static, str>],
        fields: FieldScope,
    ) -> Self {
        Self { name: Cow::Borrowed(name), host_calls: Cow::Borrowed(host_calls), sends: Cow::Borrowed(sends), fields }
    }

    /// Whether the handler may call this group of host functions.
    #[must_use]
    pub fn allows(&self, call: HostCall) -> bool {
        self.host_calls.contains(&call)
    }

    /// Whether the handler may name this field.
    #[must_use]
    pub fn allows_field(&self, name: &str) -> bool {
        match &self.fields {
            FieldScope::Authorised => true,
            FieldScope::Named(names) => names.iter().any(|allowed| allowed == name),
        }
    }
}

/// A group of host functions; also an interface of the WIT world and a word in `permissions.host_calls` of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostCall {
    /// The handler's own keys and values.
    Store,
    /// Reading the fields that the event is authorised for.
    FieldRead,
    /// Changing the owner's fields.
    FieldWrite,
    /// Signing what the row lets the vault sign.
    Sign,
    /// The owner's public profile.
    Profile,
    /// Sending to connections.
    Send,
    /// Notes in the owner's feed.
    Feed,
    /// Lines in the log.
    Log,
}

impl HostCall {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Store, Self::FieldRead, Self::FieldWrite, Self::Sign, Self::Profile, Self::Send, Self::Feed, Self::Log];

    /// The name, as in WIT and in manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::FieldRead => "field-read",
            Self::FieldWrite => "field-write",
            Self::Sign => "sign",
            Self::Profile => "profile",
            Self::Send => "send",
            Self::Feed => "feed",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no group of host functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such host call")]
pub struct UnknownHostCall;

impl FromStr for HostCall {
    type Err = UnknownHostCall;
    fn from_str(text: &str) -> Result<Self, UnknownHostCall> {
        Self::ALL.into_iter().find(|call| call.name() == text).ok_or(UnknownHostCall)
    }
}
