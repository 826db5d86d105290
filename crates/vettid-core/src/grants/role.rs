//! The roles, and what each may do. One function per role, one line per subject.
//! Must never give a role of a member's space a subject without that member's literal guid.

use vettid_crypto::nats::permission::{ConnectionType, NO_LIMIT, Permissions, Responses, Subjects};
use vettid_crypto::nats::user::UserName;
use vettid_wire::event::{EventRow as _, Lane, ROWS, SessionRefresh};
use vettid_wire::id::MemberId;
use vettid_wire::subject::{NAME_TEMPLATE, Pattern};

use super::broker::{self, Stream};
use super::delivery::{Receiver, of_member};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Largest message of a member's user, in bytes.
pub(super) const PAYLOAD_BYTES: i64 = 1 << 20;
/// How long a host or the services may take to answer a request.
const ANSWER_WITHIN_MS: i64 = 60_000;

/// Identities in a member's (or a service's) own accounts. Their permissions hold the literal guid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberRole {
    /// The member's app; named after the device.
    App,
    /// An app on its way to its vault, before it has a credential of the vault; named after the device.
    AppBootstrap,
    /// A vault at home, in its OwnerSpace account; named after the member.
    HomeOwner,
    /// A connected member's vault; named after the connection.
    Connection,
    /// A connected service; named after the service.
    Service,
    /// The holder of an invitation; named after the invitation. Needs no key.
    Claim,
    /// A vault at home, in its MessageSpace account; named after the member.
    HomeMessage,
    /// A service, in its MessageSpace account; named after the member id of the service.
    HomeService,
}

/// Identities of the operator. Each is named after the process that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperatorRole {
    /// A host, receiving.
    HostSubscribing,
    /// A host, sending, and writing journals.
    HostPublishing,
    /// Creates the streams of the hosts.
    HostAdmin,
    /// The services, commanding hosts.
    ServicesControl,
    /// The registry, telling everybody.
    Registry,
    /// The services, storing accounts in the server.
    Provisioner,
}

/// What the users of one role may do. The user's name stands as `{{name()}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Name of the role.
    pub role: &'static str,
    /// Where to publish.
    pub publish: Vec<String>,
    /// Where to subscribe.
    pub subscribe: Vec<String>,
    /// Prefix of the private inbox; nobody else may subscribe there but the owner of the space.
    pub inbox: String,
    /// May answer the requests that reach it.
    pub answers: bool,
    /// Needs no key.
    pub bearer: bool,
    /// Subscriptions of one connection.
    pub subscriptions: i64,
    /// Largest message in bytes.
    pub payload_bytes: i64,
}

impl Grant {
    /// As the template of a scoped signing key.
    #[must_use]
    pub fn template(&self) -> Permissions {
        Permissions {
            publish: Subjects::only(self.publish.clone()),
            subscribe: Subjects::only(self.subscribe.clone()),
            responses: self.answers.then(|| Responses::one_within(ANSWER_WITHIN_MS)),
            subscriptions: self.subscriptions,
            data: NO_LIMIT,
            payload_bytes: self.payload_bytes,
            bearer: self.bearer,
            allowed_connection_types: vec![ConnectionType::Standard, ConnectionType::Websocket],
        }
    }

    /// As it holds for one user.
    #[must_use]
    pub fn of_user(&self, name: &UserName) -> Self {
        let named = |text: &String| text.replace(NAME_TEMPLATE, name.as_str());
        Self {
            publish: self.publish.iter().map(named).collect(),
            subscribe: self.subscribe.iter().map(named).collect(),
            inbox: named(&self.inbox),
            ..self.clone()
        }
    }
}

/// The pattern for the user whose name stands in the one place that the pattern leaves open.
fn named(pattern: &Pattern) -> String {
    let text = pattern.for_named_user();
    if text.contains(NAME_TEMPLATE) { text } else { text.replacen('*', NAME_TEMPLATE, 1) }
}

fn texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

fn prefix(inbox: &Pattern) -> String {
    let text = named(inbox);
    text.strip_suffix(".>").map_or(text.clone(), str::to_owned)
}

impl MemberRole {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::App,
        Self::AppBootstrap,
        Self::HomeOwner,
        Self::Connection,
        Self::Service,
        Self::Claim,
        Self::HomeMessage,
        Self::HomeService,
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::AppBootstrap => "app-bootstrap",
            Self::HomeOwner => "home-owner",
            Self::Connection => "connection",
            Self::Service => "service",
            Self::Claim => "claim",
            Self::HomeMessage => "home-message",
            Self::HomeService => "home-service",
        }
    }

    /// Longest life of a user of this role, in milliseconds; also the usual one.
    #[must_use]
    pub fn lifetime_ms(self) -> i64 {
        match self {
            Self::AppBootstrap => HOUR_MS,
            Self::App | Self::Claim | Self::HomeOwner | Self::HomeMessage | Self::HomeService => DAY_MS,
            Self::Connection | Self::Service => 7 * DAY_MS,
        }
    }

    /// What the users of this role may do in the space of `guid`.
    #[must_use]
    pub fn grant(self, guid: MemberId) -> Grant {
        let some = Some(guid);
        match self {
            Self::App => self.with(
                texts(&[Pattern::ForVault(some, None)]),
                texts(&[Pattern::ForApp(some, None), Pattern::EventTypes(some), Pattern::Directory]),
                prefix(&Pattern::AppInbox(some, None)),
            ),
            Self::AppBootstrap => bootstrap(self, guid),
            Self::HomeOwner => home_owner(self, guid),
            Self::Connection => {
                let mut grant = self.peer(guid, &Pattern::ForOwner(some, None, None), true);
                grant.publish.push(named(&Pattern::Call(some, None, None)));
                grant
            }
            Self::Service => self.peer(guid, &Pattern::FromService(some, None, None), true),
            Self::Claim => Grant { bearer: true, ..self.peer(guid, &Pattern::Invite(some, None), false) },
            Self::HomeMessage => home(self, guid, Receiver::Vault),
            Self::HomeService => home(self, guid, Receiver::Service),
        }
    }

    fn with(self, publish: Vec<String>, subscribe: Vec<String>, inbox: String) -> Grant {
        Grant {
            role: self.name(),
            publish,
            subscribe,
            inbox,
            answers: false,
            bearer: false,
            subscriptions: 50,
            payload_bytes: PAYLOAD_BYTES,
        }
    }

    /// Somebody who writes to the owner of the space, and may read the profile.
    fn peer(self, guid: MemberId, lane: &Pattern, profile: bool) -> Grant {
        let inbox = Pattern::PeerInbox(Some(guid), None);
        let mut grant = self.with(vec![named(lane)], vec![named(&inbox)], prefix(&inbox));
        if profile {
            grant.publish.push(Pattern::OwnerProfileGet(Some(guid)).to_string());
            grant.subscribe.push(Pattern::OwnerProfile(Some(guid)).to_string());
        }
        grant
    }
}

/// Handshake messages, and the request for the credential that follows them.
fn bootstrap(role: MemberRole, guid: MemberId) -> Grant {
    let rows = ROWS.iter().filter(|row| row.lane == Lane::Bootstrap).chain([&SessionRefresh::ROW]);
    let events: Vec<_> = rows.map(vettid_wire::event::Row::event_type).collect();
    let publish: Vec<_> = events.iter().map(|event| Pattern::ForVault(Some(guid), Some(event.clone()))).collect();
    let subscribe: Vec<_> = events.into_iter().map(|event| Pattern::ForApp(Some(guid), Some(event))).collect();
    let inbox = Pattern::AppInbox(Some(guid), None);
    let mut grant = role.with(texts(&publish), texts(&subscribe), prefix(&inbox));
    grant.subscribe.push(named(&inbox));
    grant
}

/// A vault at home, towards its app and the services.
fn home_owner(role: MemberRole, guid: MemberId) -> Grant {
    let some = Some(guid);
    let inbox = broker::private_inbox(role.name());
    let publish = [Pattern::ForApp(some, None), Pattern::EventTypes(some), Pattern::ForServices(some, None)];
    let subscribe = [
        Pattern::ForVault(some, None),
        Pattern::ControlGlobal,
        Pattern::ControlUser(some),
        Pattern::Broadcast,
        Pattern::Directory,
    ];
    with_echo(role.with(texts(&publish), texts(&subscribe), inbox))
}

/// A vault at home or a service, towards its connections: its own inbox stream and its own profile.
fn home(role: MemberRole, guid: MemberId, receiver: Receiver) -> Grant {
    let receives = |pattern: &Pattern| !matches!(pattern, Pattern::ForVault(..));
    let subscribe: Vec<_> =
        receiver.best_effort().into_iter().filter(receives).map(|pattern| of_member(pattern, guid)).collect();
    let mut publish = texts(&[Pattern::OwnerProfile(Some(guid))]);
    publish.extend([Stream::Inbox, Stream::Profiles].iter().flat_map(|stream| [stream.create(), stream.info()]));
    publish.push(Stream::Inbox.update());
    publish.extend(consumer_subjects());
    with_echo(role.with(publish, texts(&subscribe), broker::private_inbox(role.name())))
}

/// What it takes to serve from an inbox stream through one durable consumer, named like the user.
fn consumer_subjects() -> Vec<String> {
    let (stream, name) = (Stream::Inbox, NAME_TEMPLATE);
    vec![
        stream.consumer_create(name),
        stream.consumer_info(name),
        stream.consumer_delete(name),
        stream.consumer_next(name),
        stream.acknowledge(name),
        stream.direct_get(),
        stream.message_delete(),
        stream.purge(),
    ]
}

/// Adds the private inbox itself, and the one subject in it that its owner may publish to.
fn with_echo(mut grant: Grant) -> Grant {
    grant.subscribe.push(format!("{}.>", grant.inbox));
    grant.publish.push(broker::echo(&grant.inbox));
    grant
}

impl OperatorRole {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::HostSubscribing,
        Self::HostPublishing,
        Self::HostAdmin,
        Self::ServicesControl,
        Self::Registry,
        Self::Provisioner,
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HostSubscribing => "host-subscribing",
            Self::HostPublishing => "host-publishing",
            Self::HostAdmin => "host-admin",
            Self::ServicesControl => "services-control",
            Self::Registry => "registry",
            Self::Provisioner => "provisioner",
        }
    }

    /// Longest life of a user of this role, in milliseconds; also the usual one.
    #[must_use]
    pub fn lifetime_ms(self) -> i64 {
        match self {
            Self::HostSubscribing | Self::HostPublishing => 30 * DAY_MS,
            Self::HostAdmin | Self::ServicesControl | Self::Registry | Self::Provisioner => HOUR_MS,
        }
    }

    /// What the users of this role may do.
    #[must_use]
    pub fn grant(self) -> Grant {
        let (publish, subscribe) = match self {
            Self::HostSubscribing => (consumer_subjects(), host_subscriptions()),
            Self::HostPublishing => (host_publications(), Vec::new()),
            Self::HostAdmin => {
                let streams = Stream::ALL.iter().flat_map(|stream| [stream.create(), stream.info()]);
                (streams.chain([Stream::Inbox.update()]).collect(), Vec::new())
            }
            Self::ServicesControl => (
                texts(&[Pattern::ControlGlobal, Pattern::ControlEnclave(None), Pattern::ControlUser(None)]),
                texts(&[Pattern::ForServices(None, None)]),
            ),
            Self::Registry => (texts(&[Pattern::Broadcast, Pattern::Directory]), Vec::new()),
            Self::Provisioner => (provisioner_publications(), Vec::new()),
        };
        with_echo(Grant {
            role: self.name(),
            publish,
            subscribe,
            inbox: broker::private_inbox(self.name()),
            answers: matches!(self, Self::HostSubscribing | Self::ServicesControl),
            bearer: false,
            subscriptions: NO_LIMIT,
            payload_bytes: NO_LIMIT,
        })
    }
}

fn host_subscriptions() -> Vec<String> {
    let mut subjects = texts(&Receiver::Vault.best_effort());
    subjects.extend(texts(&[Pattern::ControlGlobal, Pattern::ControlUser(None)]));
    subjects.push(named(&Pattern::ControlEnclave(None)));
    subjects.extend(texts(&[Pattern::Broadcast, Pattern::Directory]));
    subjects
}

fn host_publications() -> Vec<String> {
    let mut subjects = texts(&[
        Pattern::ForApp(None, None),
        Pattern::EventTypes(None),
        Pattern::ForServices(None, None),
        Pattern::OwnerProfile(None),
        Pattern::Journal(None),
    ]);
    let journal = Stream::Journal;
    subjects.extend([journal.direct_get(), journal.message_get(), journal.purge()]);
    let last_values = super::delivery::last_values();
    subjects.extend(last_values.iter().map(|value| Stream::Profiles.direct_get_last(value)));
    let vaults = Stream::Vaults;
    subjects.extend([vaults.info(), vaults.purge(), broker::vaults_names(), vaults.direct_get()]);
    subjects.extend(broker::vaults_subjects());
    subjects
}

fn provisioner_publications() -> Vec<String> {
    vec![
        broker::CLAIMS_UPDATE.to_owned(),
        broker::CLAIMS_DELETE.to_owned(),
        broker::claims_lookup("*"),
        broker::account_purge("*"),
    ]
}
