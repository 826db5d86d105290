//! The accounts of one member or service, with the keys that mint its users.

use std::sync::Arc;

use anyhow::bail;
use vettid_core::grants::account::{self, HomeKind, MessageSpaceKeys, OwnerSpaceKeys};
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, MemberIdentity, Minted};
use vettid_core::grants::role::MemberRole;
use vettid_crypto::nats::account::AccountClaims;
use vettid_crypto::nats::key::{Account, AccountKey, AccountPublic, UserKey, UserPublic};
use vettid_nats::clock;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::time::Timestamp;

use crate::operator::{DISK_BYTES, Operator, fresh_key};

/// Where a space is served from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On a host.
    Hosted,
    /// By its own user: a vault at home.
    Home,
    /// By its own user: a service, which has no OwnerSpace.
    Service,
}

/// A member or service.
#[derive(Debug)]
pub struct Space {
    /// Whose.
    pub member: MemberId,
    /// Where it is served from.
    pub placement: Placement,
    /// Identity of the OwnerSpace account.
    pub owner_account: AccountPublic,
    /// Identity of the MessageSpace account.
    pub message_account: AccountPublic,
    app: AccountKey,
    bootstrap: AccountKey,
    home_owner: AccountKey,
    connection: AccountKey,
    service: AccountKey,
    claim: AccountKey,
    home_message: AccountKey,
}

/// A member id that nobody has.
#[must_use]
pub fn fresh_member() -> MemberId {
    MemberId::v7(clock::now(), rand::random())
}

/// An event id that nothing has.
#[must_use]
pub fn fresh_event() -> EventId {
    EventId::v7(clock::now(), rand::random())
}

impl Space {
    /// Fresh keys for a fresh member.
    ///
    /// # Errors
    /// If a key cannot be made.
    pub fn new(placement: Placement) -> anyhow::Result<Self> {
        Ok(Self {
            member: fresh_member(),
            placement,
            owner_account: fresh_key::<Account>()?.public().clone(),
            message_account: fresh_key::<Account>()?.public().clone(),
            app: fresh_key()?,
            bootstrap: fresh_key()?,
            home_owner: fresh_key()?,
            connection: fresh_key()?,
            service: fresh_key()?,
            claim: fresh_key()?,
            home_message: fresh_key()?,
        })
    }

    /// The claims of its accounts.
    #[must_use]
    pub fn claims(&self, operator: &Operator) -> Vec<(AccountPublic, AccountClaims)> {
        let accounts = &operator.accounts;
        let owner = OwnerSpaceKeys { app: self.app.public().clone(), bootstrap: self.bootstrap.public().clone() };
        let message = MessageSpaceKeys {
            connection: self.connection.public().clone(),
            service: self.service.public().clone(),
            claim: self.claim.public().clone(),
        };
        let (member, home) = (self.member, self.home_message.public());
        let at_home =
            |kind| account::home_message_space(member, kind, &self.message_account, &message, home, DISK_BYTES / 16);
        let (owner_key, message_key) = (self.owner_account.clone(), self.message_account.clone());
        match self.placement {
            Placement::Hosted => vec![
                (owner_key, account::hosted_owner_space(member, accounts, &owner)),
                (message_key, account::hosted_message_space(member, accounts, &message)),
            ],
            Placement::Home => vec![
                (owner_key, account::home_owner_space(member, accounts, &owner, self.home_owner.public())),
                (message_key, at_home(HomeKind::Vault)),
            ],
            Placement::Service => vec![(message_key, at_home(HomeKind::Service))],
        }
    }

    /// A token for somebody else's key, as a vault gives it to its connections.
    ///
    /// # Errors
    /// If the role has no place in this space.
    pub fn mint(&self, identity: &MemberIdentity, user: &UserPublic, expires_at: Timestamp) -> anyhow::Result<Minted> {
        let (account, scoped) = self.issuer(identity.role())?;
        Ok(mint::member_until(identity, user, account, scoped, clock::now(), expires_at)?)
    }

    /// A credential with a fresh key, for the usual time.
    ///
    /// # Errors
    /// If the role has no place in this space.
    pub fn credential(&self, identity: &MemberIdentity) -> anyhow::Result<Credential> {
        self.credential_until(identity, Timestamp::from_unix_ms(i64::MAX))
    }

    /// A credential with a fresh key, until a point in time.
    ///
    /// # Errors
    /// If the role has no place in this space.
    pub fn credential_until(&self, identity: &MemberIdentity, expires_at: Timestamp) -> anyhow::Result<Credential> {
        self.credential_of(identity, Arc::new(fresh_key()?), expires_at)
    }

    /// A credential with this key, until a point in time.
    ///
    /// # Errors
    /// If the role has no place in this space.
    pub fn credential_of(
        &self,
        identity: &MemberIdentity,
        user: Arc<UserKey>,
        expires_at: Timestamp,
    ) -> anyhow::Result<Credential> {
        let jwt = self.mint(identity, user.public(), expires_at)?.jwt;
        if identity.role() == MemberRole::Claim {
            return Ok(Credential::bearer(identity, self.member, jwt, clock::now())?);
        }
        Ok(Credential::member(identity, self.member, user, jwt, clock::now())?)
    }

    fn issuer(&self, role: MemberRole) -> anyhow::Result<(&AccountPublic, &AccountKey)> {
        let (account, scoped) = match role {
            MemberRole::App => (&self.owner_account, &self.app),
            MemberRole::AppBootstrap => (&self.owner_account, &self.bootstrap),
            MemberRole::HomeOwner => (&self.owner_account, &self.home_owner),
            MemberRole::Connection => (&self.message_account, &self.connection),
            MemberRole::Service => (&self.message_account, &self.service),
            MemberRole::Claim => (&self.message_account, &self.claim),
            MemberRole::HomeMessage | MemberRole::HomeService => (&self.message_account, &self.home_message),
        };
        let fits = match role {
            MemberRole::HomeOwner | MemberRole::HomeMessage => self.placement == Placement::Home,
            MemberRole::HomeService => self.placement == Placement::Service,
            MemberRole::App | MemberRole::AppBootstrap => self.placement != Placement::Service,
            MemberRole::Connection | MemberRole::Service | MemberRole::Claim => true,
        };
        if fits { Ok((account, scoped)) } else { bail!("{} has no place in this space", role.name()) }
    }
}
