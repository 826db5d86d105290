//! Every NATS subject of VettID, spelled and parsed in this one file. The lane tells the origin of an
//! event; grants, streams and subscriptions are made from [`Pattern`], never from format strings.

use crate::event::EventType;
use crate::id::{ConnectionId, DeviceId, EventId, HandshakeId, HostId, InviteId, MemberId, ServiceId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Display};
use std::str::FromStr;

/// One concrete subject.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// App to vault: a command of the owner.
    ForVault(MemberId, EventType),
    /// Vault to app: the answer to an event, or a push with its own id.
    ForApp(MemberId, EventType, EventId),
    /// Vault to app: what the vault can do (last value).
    EventTypes(MemberId),
    /// Vault to services.
    ForServices(MemberId, EventType),
    /// Connection to vault.
    ForOwner(MemberId, ConnectionId, EventType),
    /// Holder of one invitation, or the invited side's partner, to vault: handshake messages.
    Invite(MemberId, InviteId),
    /// Service to vault.
    FromService(MemberId, ServiceId, EventType),
    /// Vault to connections: the signed profile (last value).
    OwnerProfile(MemberId),
    /// Connection reads the last profile (request).
    OwnerProfileGet(MemberId),
    /// Connection to vault: signalling of calls.
    Call(MemberId, ConnectionId, EventType),
    /// Services to every host.
    ControlGlobal(EventType),
    /// Services to one host.
    ControlEnclave(HostId, EventType),
    /// Services to the host that runs this vault.
    ControlUser(MemberId, EventType),
    /// Registry to every vault: `system.announcement`, `security.alert`, `admin.message`.
    Broadcast(EventType),
    /// Directory entry of a service (last value).
    DirectoryService(ServiceId),
    /// The commits of one vault. Never exported.
    Journal(MemberId),
}

/// A subject or a set of them: `None` stands for "any", spelled `*` or, at the end, `>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `OwnerSpace.{guid}.forVault.{event}`
    ForVault(Option<MemberId>, Option<EventType>),
    /// `OwnerSpace.{guid}.forApp.{event}.{event_id}`; any event id.
    ForApp(Option<MemberId>, Option<EventType>),
    /// `OwnerSpace.{guid}.forApp._r.{device}.>`: the app's private inbox.
    AppInbox(Option<MemberId>, Option<DeviceId>),
    /// `OwnerSpace.{guid}.eventTypes`
    EventTypes(Option<MemberId>),
    /// `OwnerSpace.{guid}.forServices.{event}`
    ForServices(Option<MemberId>, Option<EventType>),
    /// `MessageSpace.{guid}.forOwner.{connection_id}.{event}`
    ForOwner(Option<MemberId>, Option<ConnectionId>, Option<EventType>),
    /// `MessageSpace.{guid}.forOwner.invite.{invite_id}`
    Invite(Option<MemberId>, Option<InviteId>),
    /// `MessageSpace.{guid}.fromService.{service_id}.{event}`
    FromService(Option<MemberId>, Option<ServiceId>, Option<EventType>),
    /// `MessageSpace.{guid}.ownerProfile`
    OwnerProfile(Option<MemberId>),
    /// `MessageSpace.{guid}.ownerProfile.get`
    OwnerProfileGet(Option<MemberId>),
    /// `MessageSpace.{guid}.r.{name}.>`: the private inbox of a connection, service or invitation holder.
    PeerInbox(Option<MemberId>, Option<PeerName>),
    /// `MessageSpace.{guid}.call.{connection_id}.{event}`
    Call(Option<MemberId>, Option<ConnectionId>, Option<EventType>),
    /// `Control.global.{command}`
    ControlGlobal,
    /// `Control.enclave.{host_id}.{command}`
    ControlEnclave(Option<HostId>),
    /// `Control.user.{guid}.{command}`
    ControlUser(Option<MemberId>),
    /// `Broadcast.>`
    Broadcast,
    /// `Directory.>`
    Directory,
    /// `Journal.{guid}`
    Journal(Option<MemberId>),
    /// Exactly this subject.
    One(Subject),
}

/// Who owns a private inbox below `MessageSpace.{guid}.r`; also the NATS user name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// A connection.
    Connection(ConnectionId),
    /// A service.
    Service(ServiceId),
    /// The holder of an invitation.
    Invite(InviteId),
    /// The template of a scoped signing key: the server puts the user's name here.
    Template,
}

impl Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(id) => id.fmt(f),
            Self::Service(id) => id.fmt(f),
            Self::Invite(id) => id.fmt(f),
            Self::Template => f.write_str(NAME_TEMPLATE),
        }
    }
}

/// What the NATS server replaces by the name of the user in the template of a scoped signing key.
pub const NAME_TEMPLATE: &str = "{{name()}}";

const OWNER: &str = "OwnerSpace";
const MESSAGE: &str = "MessageSpace";

/// Prints the value, or the wildcard of one token.
struct Token<'a, T>(&'a Option<T>);
impl<T: Display> Display for Token<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("*"),
        }
    }
}

/// Prints the value, or the wildcard of all further tokens.
struct Tail<'a, T>(&'a Option<T>);
impl<T: Display> Display for Tail<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str(">"),
        }
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForVault(guid, event) => write!(f, "{OWNER}.{guid}.forVault.{event}"),
            Self::ForApp(guid, event, id) => write!(f, "{OWNER}.{guid}.forApp.{event}.{id}"),
            Self::EventTypes(guid) => write!(f, "{OWNER}.{guid}.eventTypes"),
            Self::ForServices(guid, event) => write!(f, "{OWNER}.{guid}.forServices.{event}"),
            Self::ForOwner(guid, connection, event) => {
                write!(f, "{MESSAGE}.{guid}.forOwner.{connection}.{event}")
            }
            Self::Invite(guid, invite) => write!(f, "{MESSAGE}.{guid}.forOwner.invite.{invite}"),
            Self::FromService(guid, service, event) => {
                write!(f, "{MESSAGE}.{guid}.fromService.{service}.{event}")
            }
            Self::OwnerProfile(guid) => write!(f, "{MESSAGE}.{guid}.ownerProfile"),
            Self::OwnerProfileGet(guid) => write!(f, "{MESSAGE}.{guid}.ownerProfile.get"),
            Self::Call(guid, call, event) => write!(f, "{MESSAGE}.{guid}.call.{call}.{event}"),
            Self::ControlGlobal(command) => write!(f, "Control.global.{command}"),
            Self::ControlEnclave(host, command) => write!(f, "Control.enclave.{host}.{command}"),
            Self::ControlUser(guid, command) => write!(f, "Control.user.{guid}.{command}"),
            Self::Broadcast(kind) => write!(f, "Broadcast.{kind}"),
            Self::DirectoryService(service) => write!(f, "Directory.services.{service}"),
            Self::Journal(guid) => write!(f, "Journal.{guid}"),
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForVault(guid, event) => {
                write!(f, "{OWNER}.{}.forVault.{}", Token(guid), Tail(event))
            }
            Self::ForApp(guid, Some(event)) => {
                write!(f, "{OWNER}.{}.forApp.{event}.*", Token(guid))
            }
            Self::ForApp(guid, None) => write!(f, "{OWNER}.{}.forApp.>", Token(guid)),
            Self::AppInbox(guid, device) => {
                write!(f, "{OWNER}.{}.forApp._r.{}.>", Token(guid), Token(device))
            }
            Self::EventTypes(guid) => write!(f, "{OWNER}.{}.eventTypes", Token(guid)),
            Self::ForServices(guid, event) => {
                write!(f, "{OWNER}.{}.forServices.{}", Token(guid), Tail(event))
            }
            Self::ForOwner(guid, None, None) => write!(f, "{MESSAGE}.{}.forOwner.>", Token(guid)),
            Self::ForOwner(guid, connection, event) => {
                write!(f, "{MESSAGE}.{}.forOwner.{}.{}", Token(guid), Token(connection), Tail(event))
            }
            Self::Invite(guid, invite) => write!(f, "{MESSAGE}.{}.forOwner.invite.{}", Token(guid), Token(invite)),
            Self::FromService(guid, None, None) => {
                write!(f, "{MESSAGE}.{}.fromService.>", Token(guid))
            }
            Self::FromService(guid, service, event) => {
                write!(f, "{MESSAGE}.{}.fromService.{}.{}", Token(guid), Token(service), Tail(event))
            }
            Self::OwnerProfile(guid) => write!(f, "{MESSAGE}.{}.ownerProfile", Token(guid)),
            Self::OwnerProfileGet(guid) => write!(f, "{MESSAGE}.{}.ownerProfile.get", Token(guid)),
            Self::PeerInbox(guid, name) => {
                write!(f, "{MESSAGE}.{}.r.{}.>", Token(guid), Token(name))
            }
            Self::Call(guid, None, None) => write!(f, "{MESSAGE}.{}.call.>", Token(guid)),
            Self::Call(guid, connection, event) => {
                write!(f, "{MESSAGE}.{}.call.{}.{}", Token(guid), Token(connection), Tail(event))
            }
            Self::ControlGlobal => f.write_str("Control.global.>"),
            Self::ControlEnclave(host) => write!(f, "Control.enclave.{}.>", Token(host)),
            Self::ControlUser(guid) => write!(f, "Control.user.{}.>", Token(guid)),
            Self::Broadcast => f.write_str("Broadcast.>"),
            Self::Directory => f.write_str("Directory.>"),
            Self::Journal(guid) => write!(f, "Journal.{}", Token(guid)),
            Self::One(subject) => subject.fmt(f),
        }
    }
}

impl Pattern {
    /// The same subjects with the literal member id and, where a user's name stands, the template
    /// that the server fills in for the users of a scoped signing key.
    #[must_use]
    pub fn for_named_user(&self) -> String {
        match self {
            Self::ForOwner(guid, None, None) => {
                format!("{MESSAGE}.{}.forOwner.{NAME_TEMPLATE}.>", Token(guid))
            }
            Self::Call(guid, None, None) => format!("{MESSAGE}.{}.call.{NAME_TEMPLATE}.>", Token(guid)),
            Self::FromService(guid, None, None) => {
                format!("{MESSAGE}.{}.fromService.{NAME_TEMPLATE}.>", Token(guid))
            }
            Self::Invite(guid, None) => {
                format!("{MESSAGE}.{}.forOwner.invite.{NAME_TEMPLATE}", Token(guid))
            }
            Self::PeerInbox(guid, None) => format!("{MESSAGE}.{}.r.{NAME_TEMPLATE}.>", Token(guid)),
            Self::AppInbox(guid, None) => {
                format!("{OWNER}.{}.forApp._r.{NAME_TEMPLATE}.>", Token(guid))
            }
            other => other.to_string(),
        }
    }

    /// The prefix of a private inbox: the pattern without its last wildcard.
    #[must_use]
    pub fn inbox_prefix(&self) -> Option<String> {
        match self {
            Self::AppInbox(Some(_), Some(_)) | Self::PeerInbox(Some(_), Some(_)) => {
                self.to_string().strip_suffix(".>").map(str::to_owned)
            }
            _ => None,
        }
    }
}

impl From<Subject> for Pattern {
    fn from(subject: Subject) -> Self {
        Self::One(subject)
    }
}

/// The name of the account that carries a member's own lane.
#[must_use]
pub fn owner_space(member: MemberId) -> String {
    format!("{OWNER}.{member}")
}

/// The name of the account by which connections and services reach a member or a service.
#[must_use]
pub fn message_space(member: MemberId) -> String {
    format!("{MESSAGE}.{member}")
}

/// The text is not a subject of VettID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a vettid subject")]
pub struct InvalidSubject;

impl FromStr for Subject {
    type Err = InvalidSubject;
    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        parse(text).ok_or(InvalidSubject)
    }
}

fn parse(text: &str) -> Option<Subject> {
    let (space, rest) = text.split_once('.')?;
    match space {
        OWNER => parse_owner_space(rest),
        MESSAGE => parse_message_space(rest),
        "Control" => parse_control(rest),
        "Broadcast" => Some(Subject::Broadcast(rest.parse().ok()?)),
        "Directory" => Some(Subject::DirectoryService(rest.strip_prefix("services.")?.parse().ok()?)),
        "Journal" => Some(Subject::Journal(rest.parse().ok()?)),
        _ => None,
    }
}

fn parse_owner_space(rest: &str) -> Option<Subject> {
    let (guid, rest) = rest.split_once('.')?;
    let guid = guid.parse().ok()?;
    if rest == "eventTypes" {
        return Some(Subject::EventTypes(guid));
    }
    let (lane, rest) = rest.split_once('.')?;
    match lane {
        "forVault" => Some(Subject::ForVault(guid, rest.parse().ok()?)),
        "forServices" => Some(Subject::ForServices(guid, rest.parse().ok()?)),
        "forApp" => {
            let (event, id) = rest.rsplit_once('.')?;
            Some(Subject::ForApp(guid, event.parse().ok()?, id.parse().ok()?))
        }
        _ => None,
    }
}

fn parse_message_space(rest: &str) -> Option<Subject> {
    let (guid, rest) = rest.split_once('.')?;
    let guid = guid.parse().ok()?;
    match rest {
        "ownerProfile" => return Some(Subject::OwnerProfile(guid)),
        "ownerProfile.get" => return Some(Subject::OwnerProfileGet(guid)),
        _ => {}
    }
    let (lane, rest) = rest.split_once('.')?;
    let (who, event) = rest.split_once('.')?;
    match lane {
        "forOwner" if who == "invite" => Some(Subject::Invite(guid, event.parse().ok()?)),
        "forOwner" => Some(Subject::ForOwner(guid, who.parse().ok()?, event.parse().ok()?)),
        "fromService" => Some(Subject::FromService(guid, who.parse().ok()?, event.parse().ok()?)),
        "call" => Some(Subject::Call(guid, who.parse().ok()?, event.parse().ok()?)),
        _ => None,
    }
}

fn parse_control(rest: &str) -> Option<Subject> {
    let (target, rest) = rest.split_once('.')?;
    if target == "global" {
        return Some(Subject::ControlGlobal(rest.parse().ok()?));
    }
    let (id, command) = rest.split_once('.')?;
    match target {
        "enclave" => Some(Subject::ControlEnclave(id.parse().ok()?, command.parse().ok()?)),
        "user" => Some(Subject::ControlUser(id.parse().ok()?, command.parse().ok()?)),
        _ => None,
    }
}

impl Subject {
    /// The member (or service) whose space this subject lies in, if it lies in one.
    #[must_use]
    pub fn member(&self) -> Option<MemberId> {
        match self {
            Self::ForVault(guid, _)
            | Self::ForApp(guid, ..)
            | Self::EventTypes(guid)
            | Self::ForServices(guid, _)
            | Self::ForOwner(guid, ..)
            | Self::Invite(guid, _)
            | Self::FromService(guid, ..)
            | Self::OwnerProfile(guid)
            | Self::OwnerProfileGet(guid)
            | Self::Call(guid, ..)
            | Self::ControlUser(guid, _)
            | Self::Journal(guid) => Some(*guid),
            Self::ControlGlobal(_) | Self::ControlEnclave(..) | Self::Broadcast(_) | Self::DirectoryService(_) => None,
        }
    }

    /// Where the second handshake message of a connection is delivered: the handshake id takes the
    /// place of the invitation id.
    #[must_use]
    pub fn handshake(member: MemberId, handshake: HandshakeId) -> Self {
        Self::Invite(member, InviteId::from_bytes(handshake.to_bytes()))
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUID: &str = "550e8400-e29b-41d4-a716-446655440000";

    fn every_subject() -> Vec<String> {
        let guid = GUID;
        let event = "018f6b1e-7c1a-7000-8000-000000000001";
        vec![
            format!("OwnerSpace.{guid}.forVault.profile.update"),
            format!("OwnerSpace.{guid}.forApp.profile.update.{event}"),
            format!("OwnerSpace.{guid}.eventTypes"),
            format!("OwnerSpace.{guid}.forServices.account.revoke_user"),
            format!("MessageSpace.{guid}.forOwner.{event}.messaging.text"),
            format!("MessageSpace.{guid}.forOwner.invite.AAAAAAAAAAAAAAAAAAAAAA"),
            format!("MessageSpace.{guid}.fromService.demo-shop.data.request"),
            format!("MessageSpace.{guid}.ownerProfile"),
            format!("MessageSpace.{guid}.ownerProfile.get"),
            format!("MessageSpace.{guid}.call.{event}.call.offer"),
            "Control.global.handlers.reload".into(),
            "Control.enclave.host-1.vault.deploy".into(),
            format!("Control.user.{guid}.backup.request"),
            "Broadcast.security.alert".into(),
            "Directory.services.demo-shop".into(),
            format!("Journal.{guid}"),
        ]
    }

    #[test]
    fn every_subject_is_read_as_it_is_written() {
        for text in every_subject() {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn wildcards_and_foreign_subjects_are_refused() {
        for text in [
            ">",
            "OwnerSpace.>",
            "OwnerSpace.*.forVault.a.b",
            "MessageSpace.x.ownerProfile",
            "_INBOX.a",
            "$JS.API.INFO",
            "",
            "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.*",
            "OwnerSpace.550e8400-e29b-41d4-a716-446655440000.forVault.>",
            "MessageSpace.550e8400-e29b-41d4-a716-446655440000.fromService.*.data.request",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_exact(text in "\\PC{0,80}") {
            if let Ok(subject) = text.parse::<Subject>() {
                prop_assert_eq!(subject.to_string(), text);
            }
        }
    }
}
