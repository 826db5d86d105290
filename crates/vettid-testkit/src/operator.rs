//! The operator of a test: its keys, the keys of its accounts, and the identities they mint.

use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use vettid_core::grants::account::{self, HostKeys, OperatorAccounts};
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::{self, OperatorIdentity};
use vettid_core::grants::role::OperatorRole;
use vettid_core::grants::trust::{ServerTrust, SignedAccount};
use vettid_crypto::nats::account::AccountClaims;
use vettid_crypto::nats::key::{AccountKey, AccountPublic, Kind, OperatorKey, SecretKey, UserKey};
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::secret::Secret32;
use vettid_nats::clock;
use vettid_wire::enrolment::JoinHost;

/// A fresh key.
///
/// # Errors
/// If the random bytes make no key.
pub fn fresh_key<K: Kind>() -> anyhow::Result<SecretKey<K>> {
    Ok(SecretKey::random(&mut rng())?)
}

/// Fresh secret bytes.
#[must_use]
pub fn fresh_secret() -> Secret32 {
    Secret32::random(&mut rng())
}

fn rng() -> StdRng {
    StdRng::from_rng(&mut rand::rng())
}

/// Room for streams in a test.
pub const DISK_BYTES: i64 = 4 << 30;

/// An operator with all its keys.
#[derive(Debug)]
pub struct Operator {
    /// Its identity.
    pub identity: OperatorKey,
    /// Signs accounts.
    pub signing: OperatorKey,
    /// The operator's accounts.
    pub accounts: OperatorAccounts,
    host_subscribing: AccountKey,
    host_publishing: AccountKey,
    host_admin: AccountKey,
    control: AccountKey,
    registry: AccountKey,
    provisioner: AccountKey,
}

impl Operator {
    /// A fresh operator.
    ///
    /// # Errors
    /// If a key cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let public = || anyhow::Ok(fresh_key::<vettid_crypto::nats::key::Account>()?.public().clone());
        Ok(Self {
            identity: fresh_key()?,
            signing: fresh_key()?,
            accounts: OperatorAccounts {
                system: public()?,
                vault_services: public()?,
                service_registry: public()?,
                vault_host: public()?,
            },
            host_subscribing: fresh_key()?,
            host_publishing: fresh_key()?,
            host_admin: fresh_key()?,
            control: fresh_key()?,
            registry: fresh_key()?,
            provisioner: fresh_key()?,
        })
    }

    /// The claims of the operator's accounts; the first is the server's own.
    #[must_use]
    pub fn claims(&self) -> Vec<(AccountPublic, AccountClaims)> {
        let accounts = &self.accounts;
        let hosts = HostKeys {
            subscribing: self.host_subscribing.public().clone(),
            publishing: self.host_publishing.public().clone(),
            admin: self.host_admin.public().clone(),
        };
        vec![
            (accounts.system.clone(), account::system(self.provisioner.public())),
            (accounts.vault_services.clone(), account::vault_services(accounts, self.control.public())),
            (accounts.service_registry.clone(), account::service_registry(self.registry.public())),
            (accounts.vault_host.clone(), account::vault_host(accounts, &hosts, DISK_BYTES)),
        ]
    }

    /// Signs an account.
    ///
    /// # Errors
    /// If the claim contradicts itself.
    pub fn sign(&self, account: &AccountPublic, claims: &AccountClaims) -> anyhow::Result<SignedAccount> {
        Ok(SignedAccount::sign(claims, account, clock::now(), &self.signing)?)
    }

    /// What a server of this operator starts with.
    ///
    /// # Errors
    /// If a claim contradicts itself.
    pub fn trust(&self) -> anyhow::Result<ServerTrust> {
        let accounts =
            self.claims().iter().map(|(key, claims)| self.sign(key, claims)).collect::<anyhow::Result<_>>()?;
        Ok(ServerTrust::sign(&self.identity, &self.signing, accounts, clock::now())?)
    }

    /// The tokens of a host for its own two keys, as services give them: subscribing and publishing.
    ///
    /// # Errors
    /// If a key is not one.
    pub fn admit_host(&self, asked: &JoinHost) -> anyhow::Result<(UserJwt, UserJwt)> {
        let mint = |role, nkey: &str, scoped: &AccountKey| {
            let identity = OperatorIdentity { role, process: asked.host_id.clone() };
            let account = &self.accounts.vault_host;
            anyhow::Ok(mint::operator(&identity, &nkey.parse()?, account, scoped, clock::now())?.jwt)
        };
        let subscriber = mint(OperatorRole::HostSubscribing, &asked.subscriber_nkey, &self.host_subscribing)?;
        Ok((subscriber, mint(OperatorRole::HostPublishing, &asked.publisher_nkey, &self.host_publishing)?))
    }

    /// A credential of one of the operator's identities, for the process `name`.
    ///
    /// # Errors
    /// If `name` is not a host id.
    pub fn credential(&self, role: OperatorRole, name: &str) -> anyhow::Result<Credential> {
        let (account, scoped) = match role {
            OperatorRole::HostSubscribing => (&self.accounts.vault_host, &self.host_subscribing),
            OperatorRole::HostPublishing => (&self.accounts.vault_host, &self.host_publishing),
            OperatorRole::HostAdmin => (&self.accounts.vault_host, &self.host_admin),
            OperatorRole::ServicesControl => (&self.accounts.vault_services, &self.control),
            OperatorRole::Registry => (&self.accounts.service_registry, &self.registry),
            OperatorRole::Provisioner => (&self.accounts.system, &self.provisioner),
        };
        let identity = OperatorIdentity { role, process: name.parse()? };
        let user: Arc<UserKey> = Arc::new(fresh_key()?);
        let minted = mint::operator(&identity, user.public(), account, scoped, clock::now())?;
        Ok(Credential::operator(&identity, user, minted.jwt, clock::now())?)
    }
}
