//! Sees every message of an account, or does in it whatever it likes. It gets in as nobody else can: with the operator's
//! signing key, by changing the account itself.

use std::sync::Arc;

use anyhow::Context as _;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::role::Grant;
use vettid_core::grants::trust::SignedAccount;
use vettid_crypto::nats::account::{AccountClaims, ScopedKey};
use vettid_crypto::nats::key::{Account, AccountPublic, OperatorKey, UserKey};
use vettid_crypto::nats::permission::NO_LIMIT;
use vettid_crypto::nats::token::AccountJwt;
use vettid_crypto::nats::user::UserClaims;
use vettid_nats::clock;
use vettid_nats::provisioner::Provisioner;

use crate::operator::fresh_key;

const NAME: &str = "observer";

/// What the one who gets in may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Subscribe to everything.
    Watch,
    /// Publish everything, too: an account whose own keys were stolen.
    Everything,
}

/// A place in an account: a signing key of one's own in it, and the one user that it minted. It lasts for as long as each
/// new version of the account is amended, too.
#[derive(Debug)]
pub struct Seat {
    scope: ScopedKey,
    credential: Credential,
}

impl Seat {
    /// A seat in this account, which no version of the account knows yet.
    ///
    /// # Errors
    /// If a key or a token cannot be made.
    pub fn new(account: &AccountPublic, power: Power) -> anyhow::Result<Self> {
        let now = clock::now();
        let (scoped, grant) = (fresh_key::<Account>()?, grant(power));
        let user: Arc<UserKey> = Arc::new(fresh_key()?);
        let claims = UserClaims {
            user: user.public().clone(),
            name: NAME.parse()?,
            account: account.clone(),
            expires_at: now.plus_ms(3_600_000),
        };
        let jwt = claims.sign(now, &scoped)?;
        let scope = ScopedKey::new(scoped.public().clone(), NAME, grant.template());
        Ok(Self { scope, credential: Credential::of_grant(&grant, NAME, user, jwt, now)? })
    }

    /// What the user of this seat connects with.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whether this version of the account has the seat.
    #[must_use]
    pub fn is_in(&self, claims: &AccountClaims) -> bool {
        claims.signing_keys.iter().any(|scope| scope.key == self.scope.key)
    }

    /// This version of the account, with the seat in it.
    ///
    /// # Errors
    /// If the claim contradicts itself.
    pub fn amended(
        &self,
        account: &AccountPublic,
        mut claims: AccountClaims,
        signing_key: &OperatorKey,
    ) -> anyhow::Result<SignedAccount> {
        claims.signing_keys.push(self.scope.clone());
        claims.limits.connections = NO_LIMIT;
        Ok(SignedAccount::sign(&claims, account, clock::now(), signing_key)?)
    }
}

/// Changes an account of the server so that a user with this power is in it, and gives that user.
///
/// # Errors
/// If the server does not have the account or does not take the change.
pub async fn admit(
    provisioner: &Provisioner,
    signing_key: &OperatorKey,
    account: &AccountPublic,
    power: Power,
) -> anyhow::Result<Credential> {
    let stored = provisioner.stored(account.as_str()).await?.context("the server does not have this account")?;
    let trusted = [signing_key.public().clone()];
    let (_, claims) = AccountClaims::verify(&AccountJwt::unchecked(stored), &trusted, clock::now())?;
    let seat = Seat::new(account, power)?;
    provisioner.push(&seat.amended(account, claims, signing_key)?).await?;
    Ok(seat.credential)
}

fn grant(power: Power) -> Grant {
    let everything = vec![">".to_owned()];
    Grant {
        role: NAME,
        publish: if power == Power::Everything { everything.clone() } else { Vec::new() },
        subscribe: everything,
        inbox: "_r.observer.observer".to_owned(),
        answers: false,
        bearer: false,
        subscriptions: NO_LIMIT,
        payload_bytes: NO_LIMIT,
    }
}
