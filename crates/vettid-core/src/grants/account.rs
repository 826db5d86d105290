//! The accounts: who exports and imports what, and which key mints which role. Layout *pair*: two accounts per member.
//! Must never import by another member's guid, nor put two roles on one key.

use vettid_crypto::nats::account::{
    AccountClaims, Export, Import, Limits, ResponseType, Revocations, ScopedKey, Traffic,
};
use vettid_crypto::nats::key::AccountPublic;
use vettid_crypto::nats::permission::NO_LIMIT;
use vettid_wire::id::MemberId;
use vettid_wire::subject::{Pattern, message_space, owner_space};

use super::broker::Stream;
use super::role::{MemberRole, OperatorRole, PAYLOAD_BYTES};

/// In the account of a service each member's vault has a connection of its own while it has something to say, and keeps it for a minute
/// (docs/decisions/0217). As many as the server takes of everybody.
const CONNECTIONS_OF_A_SERVICE: i64 = 65_536;

/// The operator's accounts, by their identity keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorAccounts {
    /// The server's own.
    pub system: AccountPublic,
    /// Control.
    pub vault_services: AccountPublic,
    /// Broadcast and directory.
    pub service_registry: AccountPublic,
    /// Hosts.
    pub vault_host: AccountPublic,
}

/// The keys that mint the hosts' identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeys {
    /// For [`OperatorRole::HostSubscribing`].
    pub subscribing: AccountPublic,
    /// For [`OperatorRole::HostPublishing`].
    pub publishing: AccountPublic,
    /// For [`OperatorRole::HostAdmin`].
    pub admin: AccountPublic,
}

/// The keys that mint users of an OwnerSpace account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerSpaceKeys {
    /// For [`MemberRole::App`]; the vault holds it.
    pub app: AccountPublic,
    /// For [`MemberRole::AppBootstrap`]; the services hold it.
    pub bootstrap: AccountPublic,
}

/// The keys that mint users of a MessageSpace account; its owner holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSpaceKeys {
    /// For [`MemberRole::Connection`].
    pub connection: AccountPublic,
    /// For [`MemberRole::Service`].
    pub service: AccountPublic,
    /// For [`MemberRole::Claim`].
    pub claim: AccountPublic,
}

/// The server's own account.
#[must_use]
pub fn system(provisioner: &AccountPublic) -> AccountClaims {
    account("SYS", Limits::OPEN, vec![operator_scope(provisioner, OperatorRole::Provisioner)])
}

/// The account of the services: commands to hosts, requests of vaults.
#[must_use]
pub fn vault_services(accounts: &OperatorAccounts, control: &AccountPublic) -> AccountClaims {
    let host = &accounts.vault_host;
    AccountClaims {
        exports: vec![
            service(&Pattern::ForServices(None, None), ResponseType::Singleton),
            stream(&Pattern::ControlGlobal),
            stream(&Pattern::ControlUser(None)),
        ],
        imports: [Pattern::ControlGlobal, Pattern::ControlEnclave(None), Pattern::ControlUser(None)]
            .map(|pattern| import(Traffic::Service, &pattern, host))
            .to_vec(),
        ..account("VaultServices", Limits::OPEN, vec![operator_scope(control, OperatorRole::ServicesControl)])
    }
}

/// The account of the registry: what it tells everybody.
#[must_use]
pub fn service_registry(registry: &AccountPublic) -> AccountClaims {
    AccountClaims {
        exports: vec![stream(&Pattern::Broadcast), stream(&Pattern::Directory)],
        ..account("ServiceRegistry", Limits::OPEN, vec![operator_scope(registry, OperatorRole::Registry)])
    }
}

/// The account of the hosts. It exports once for every member; `disk_bytes` bounds its streams.
#[must_use]
pub fn vault_host(accounts: &OperatorAccounts, keys: &HostKeys, disk_bytes: i64) -> AccountClaims {
    let one = ResponseType::Singleton;
    AccountClaims {
        exports: vec![
            service(&Pattern::ForVault(None, None), one),
            service(&Pattern::ForOwner(None, None, None), one),
            service(&Pattern::FromService(None, None, None), one),
            service(&Pattern::Call(None, None, None), one),
            profile_export(&Pattern::OwnerProfile(None)),
            service(&Pattern::ControlGlobal, ResponseType::Stream),
            service(&Pattern::ControlEnclave(None), one),
            service(&Pattern::ControlUser(None), one),
            stream(&Pattern::ForApp(None, None)),
            stream(&Pattern::EventTypes(None)),
            stream(&Pattern::OwnerProfile(None)),
        ],
        imports: vec![
            import(Traffic::Service, &Pattern::ForServices(None, None), &accounts.vault_services),
            import(Traffic::Stream, &Pattern::Broadcast, &accounts.service_registry),
            import(Traffic::Stream, &Pattern::Directory, &accounts.service_registry),
        ],
        ..account(
            "VaultHost",
            Limits { disk_bytes, streams: 4, consumers: NO_LIMIT, ..Limits::OPEN },
            vec![
                operator_scope(&keys.subscribing, OperatorRole::HostSubscribing),
                operator_scope(&keys.publishing, OperatorRole::HostPublishing),
                operator_scope(&keys.admin, OperatorRole::HostAdmin),
            ],
        )
    }
}

/// The OwnerSpace account of a member whose vault runs on a host.
#[must_use]
pub fn hosted_owner_space(member: MemberId, accounts: &OperatorAccounts, keys: &OwnerSpaceKeys) -> AccountClaims {
    let (some, host) = (Some(member), &accounts.vault_host);
    AccountClaims {
        imports: vec![
            import(Traffic::Service, &Pattern::ForVault(some, None), host),
            import(Traffic::Stream, &Pattern::ForApp(some, None), host),
            import(Traffic::Stream, &Pattern::EventTypes(some), host),
            import(Traffic::Stream, &Pattern::Directory, &accounts.service_registry),
        ],
        ..account(&owner_space(member), member_limits(true), owner_scopes(member, keys))
    }
}

/// The MessageSpace account of a member whose vault runs on a host.
#[must_use]
pub fn hosted_message_space(member: MemberId, accounts: &OperatorAccounts, keys: &MessageSpaceKeys) -> AccountClaims {
    let (some, host) = (Some(member), &accounts.vault_host);
    AccountClaims {
        imports: vec![
            import(Traffic::Service, &Pattern::ForOwner(some, None, None), host),
            import(Traffic::Service, &Pattern::FromService(some, None, None), host),
            import(Traffic::Service, &Pattern::Call(some, None, None), host),
            import(Traffic::Stream, &Pattern::OwnerProfile(some), host),
            profile_import(member, host),
        ],
        ..account(&message_space(member), member_limits(false), message_scopes(member, keys))
    }
}

/// Lets the users in, too, that a former key of the vault signed, in the same roles.
pub fn keep_former_app(claims: &mut AccountClaims, member: MemberId, app: &AccountPublic) {
    claims.signing_keys.push(member_scope(app, MemberRole::App, member));
}

/// Lets the users in, too, that former keys of the vault signed, in the same roles.
pub fn keep_former_message_keys(claims: &mut AccountClaims, member: MemberId, keys: &MessageSpaceKeys) {
    claims.signing_keys.extend(message_scopes(member, keys));
}

/// Lets the own user of a service in, too, whom a former key of its gateway signed.
pub fn keep_former_service(claims: &mut AccountClaims, service: MemberId, home: &AccountPublic) {
    claims.signing_keys.push(member_scope(home, MemberRole::HomeService, service));
}

/// The OwnerSpace account of a member whose vault runs at home and connects as its own user, minted by `home`.
#[must_use]
pub fn home_owner_space(
    member: MemberId,
    accounts: &OperatorAccounts,
    keys: &OwnerSpaceKeys,
    home: &AccountPublic,
) -> AccountClaims {
    let (some, services, registry) = (Some(member), &accounts.vault_services, &accounts.service_registry);
    let mut scopes = owner_scopes(member, keys);
    scopes.push(member_scope(home, MemberRole::HomeOwner, member));
    AccountClaims {
        imports: vec![
            import(Traffic::Service, &Pattern::ForServices(some, None), services),
            import(Traffic::Stream, &Pattern::ControlGlobal, services),
            import(Traffic::Stream, &Pattern::ControlUser(some), services),
            import(Traffic::Stream, &Pattern::Broadcast, registry),
            import(Traffic::Stream, &Pattern::Directory, registry),
        ],
        ..account(&owner_space(member), member_limits(true), scopes)
    }
}

/// Whose MessageSpace account it is that imports nothing from hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeKind {
    /// A vault at home.
    Vault,
    /// A service.
    Service,
}

/// The MessageSpace account of a vault at home or of a service: its own user (minted by `home`), its own inbox stream
/// and profile, at most `disk_bytes` of them. `itself` is the identity of this account: its profile is a service that it
/// imports from itself, so that nobody needs a JetStream subject to read it.
#[must_use]
pub fn home_message_space(
    member: MemberId,
    kind: HomeKind,
    itself: &AccountPublic,
    keys: &MessageSpaceKeys,
    home: &AccountPublic,
    disk_bytes: i64,
) -> AccountClaims {
    let (role, connections) = match kind {
        HomeKind::Vault => (MemberRole::HomeMessage, 10),
        HomeKind::Service => (MemberRole::HomeService, CONNECTIONS_OF_A_SERVICE),
    };
    let mut scopes = message_scopes(member, keys);
    scopes.push(member_scope(home, role, member));
    let limits = Limits { disk_bytes, streams: 2, consumers: 10, connections, ..member_limits(false) };
    AccountClaims {
        exports: vec![profile_export(&Pattern::OwnerProfile(Some(member)))],
        imports: vec![profile_import(member, itself)],
        ..account(&message_space(member), limits, scopes)
    }
}

fn account(name: &str, limits: Limits, signing_keys: Vec<ScopedKey>) -> AccountClaims {
    AccountClaims {
        name: name.to_owned(),
        imports: Vec::new(),
        exports: Vec::new(),
        limits,
        signing_keys,
        revocations: Revocations::new(),
    }
}

/// Of an account of a member. The server counts subscriptions for each connection.
fn member_limits(disallow_bearer: bool) -> Limits {
    Limits {
        subscriptions: 100,
        payload_bytes: PAYLOAD_BYTES,
        imports: 10,
        exports: 10,
        connections: 10,
        disallow_bearer,
        ..Limits::OPEN
    }
}

fn owner_scopes(member: MemberId, keys: &OwnerSpaceKeys) -> Vec<ScopedKey> {
    vec![
        member_scope(&keys.app, MemberRole::App, member),
        member_scope(&keys.bootstrap, MemberRole::AppBootstrap, member),
    ]
}

fn message_scopes(member: MemberId, keys: &MessageSpaceKeys) -> Vec<ScopedKey> {
    vec![
        member_scope(&keys.connection, MemberRole::Connection, member),
        member_scope(&keys.service, MemberRole::Service, member),
        member_scope(&keys.claim, MemberRole::Claim, member),
    ]
}

fn member_scope(key: &AccountPublic, role: MemberRole, member: MemberId) -> ScopedKey {
    ScopedKey::new(key.clone(), role.name(), role.grant(member).template())
}

fn operator_scope(key: &AccountPublic, role: OperatorRole) -> ScopedKey {
    ScopedKey::new(key.clone(), role.name(), role.grant().template())
}

fn stream(pattern: &Pattern) -> Export {
    let subject = pattern.to_string();
    Export { name: subject.clone(), subject, traffic: Traffic::Stream, response_type: None }
}

fn service(pattern: &Pattern, answers: ResponseType) -> Export {
    let subject = pattern.to_string();
    Export { name: subject.clone(), subject, traffic: Traffic::Service, response_type: Some(answers) }
}

fn import(traffic: Traffic, pattern: &Pattern, from: &AccountPublic) -> Import {
    let subject = pattern.to_string();
    Import { name: subject.clone(), subject, account: from.clone(), local_subject: None, traffic }
}

fn profile_export(profile: &Pattern) -> Export {
    let subject = Stream::Profiles.direct_get_last(profile);
    Export {
        name: profile.to_string(),
        subject,
        traffic: Traffic::Service,
        response_type: Some(ResponseType::Singleton),
    }
}

fn profile_import(member: MemberId, from: &AccountPublic) -> Import {
    let local = Pattern::OwnerProfileGet(Some(member)).to_string();
    Import {
        name: local.clone(),
        subject: Stream::Profiles.direct_get_last(&Pattern::OwnerProfile(Some(member))),
        account: from.clone(),
        local_subject: Some(local),
        traffic: Traffic::Service,
    }
}
