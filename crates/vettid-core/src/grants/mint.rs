//! Minting users: the name of a user always is the id that its role is bound to.
//! Must never mint for longer than the role allows.

use vettid_crypto::nats::key::{AccountKey, AccountPublic, UserPublic};
use vettid_crypto::nats::token::{TokenError, UserJwt};
use vettid_crypto::nats::user::{UserClaims, UserName};
use vettid_wire::id::{ConnectionId, DeviceId, HostId, InviteId, MemberId, ServiceId};
use vettid_wire::time::Timestamp;

use super::role::{Grant, MemberRole, OperatorRole};

/// A user in the space of a member or service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MemberIdentity {
    /// The member's app on a device.
    App(DeviceId),
    /// The same, before it has a credential of the vault.
    AppBootstrap(DeviceId),
    /// A vault at home, in its OwnerSpace account.
    HomeOwner(MemberId),
    /// A connected member's vault.
    Connection(ConnectionId),
    /// A connected service.
    Service(ServiceId),
    /// The holder of an invitation.
    Claim(InviteId),
    /// A vault at home, in its MessageSpace account.
    HomeMessage(MemberId),
    /// A service, in its MessageSpace account.
    HomeService(MemberId),
}

impl MemberIdentity {
    /// Its role.
    #[must_use]
    pub fn role(&self) -> MemberRole {
        match self {
            Self::App(_) => MemberRole::App,
            Self::AppBootstrap(_) => MemberRole::AppBootstrap,
            Self::HomeOwner(_) => MemberRole::HomeOwner,
            Self::Connection(_) => MemberRole::Connection,
            Self::Service(_) => MemberRole::Service,
            Self::Claim(_) => MemberRole::Claim,
            Self::HomeMessage(_) => MemberRole::HomeMessage,
            Self::HomeService(_) => MemberRole::HomeService,
        }
    }

    /// Its name on the server.
    #[must_use]
    pub fn name(&self) -> UserName {
        match self {
            Self::App(device) | Self::AppBootstrap(device) => device.into(),
            Self::HomeOwner(member) | Self::HomeMessage(member) | Self::HomeService(member) => member.into(),
            Self::Connection(connection) => connection.into(),
            Self::Service(service) => service.into(),
            Self::Claim(invite) => invite.into(),
        }
    }

    /// What it may do in the space of `guid`.
    #[must_use]
    pub fn grant(&self, guid: MemberId) -> Grant {
        self.role().grant(guid).of_user(&self.name())
    }
}

/// A user of the operator: a role, and the process that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperatorIdentity {
    /// The role.
    pub role: OperatorRole,
    /// The process.
    pub process: HostId,
}

impl OperatorIdentity {
    /// What it may do.
    #[must_use]
    pub fn grant(&self) -> Grant {
        self.role.grant().of_user(&UserName::from(&self.process))
    }
}

/// A fresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    /// For the holder of the user's key, or for whoever has it if the role needs no key.
    pub jwt: UserJwt,
    /// From then on the server refuses it.
    pub expires_at: Timestamp,
}

/// Mints for the life time of the role.
///
/// # Errors
/// If the key is the account's identity.
pub fn member(
    identity: &MemberIdentity,
    user: &UserPublic,
    account: &AccountPublic,
    scoped_key: &AccountKey,
    now: Timestamp,
) -> Result<Minted, TokenError> {
    member_until(identity, user, account, scoped_key, now, now.plus_ms(identity.role().lifetime_ms()))
}

/// Mints until `expires_at`, or for the life time of the role if that is shorter.
///
/// # Errors
/// If `expires_at` is not later than now, or the key is the account's identity.
pub fn member_until(
    identity: &MemberIdentity,
    user: &UserPublic,
    account: &AccountPublic,
    scoped_key: &AccountKey,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Minted, TokenError> {
    let latest = now.plus_ms(identity.role().lifetime_ms());
    mint(identity.name(), user, account, scoped_key, now, expires_at.min(latest))
}

/// A way back lasts this long, in milliseconds (90 days).
pub const WAY_BACK_MS: i64 = 90 * 24 * 3_600_000;

/// The name of the way back of a connection: that of its handshake.
#[must_use]
pub fn way_back_name(id: ConnectionId) -> InviteId {
    InviteId::from_bytes(id.to_bytes())
}

/// Mints a token with which the peer of a connection can say one thing after its credential ran out, on the subject that its
/// handshake had (docs/decisions/0131). It names the user of that credential, so whoever cuts that user off ends both.
///
/// # Errors
/// If the key is the account's identity.
pub fn way_back(
    id: ConnectionId,
    user: &UserPublic,
    account: &AccountPublic,
    claim_key: &AccountKey,
    now: Timestamp,
) -> Result<Minted, TokenError> {
    let name = MemberIdentity::Claim(way_back_name(id)).name();
    mint(name, user, account, claim_key, now, now.plus_ms(WAY_BACK_MS))
}

/// Mints for the life time of the role.
///
/// # Errors
/// If the key is the account's identity.
pub fn operator(
    identity: &OperatorIdentity,
    user: &UserPublic,
    account: &AccountPublic,
    scoped_key: &AccountKey,
    now: Timestamp,
) -> Result<Minted, TokenError> {
    let expires_at = now.plus_ms(identity.role.lifetime_ms());
    mint(UserName::from(&identity.process), user, account, scoped_key, now, expires_at)
}

fn mint(
    name: UserName,
    user: &UserPublic,
    account: &AccountPublic,
    scoped_key: &AccountKey,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Minted, TokenError> {
    let claims = UserClaims { user: user.clone(), name, account: account.clone(), expires_at };
    Ok(Minted { jwt: claims.sign(now, scoped_key)?, expires_at })
}
