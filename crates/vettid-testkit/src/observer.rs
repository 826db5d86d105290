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
    let now = clock::now();
    let stored = provisioner.stored(account.as_str()).await?.context("the server does not have this account")?;
    let trusted = [signing_key.public().clone()];
    let (_, mut claims) = AccountClaims::verify(&AccountJwt::unchecked(stored), &trusted, now)?;
    let scoped = fresh_key::<Account>()?;
    let grant = grant(power);
    claims.signing_keys.push(ScopedKey::new(scoped.public().clone(), NAME, grant.template()));
    claims.limits.connections = NO_LIMIT;
    provisioner.push(&SignedAccount::sign(&claims, account, now, signing_key)?).await?;

    let user: Arc<UserKey> = Arc::new(fresh_key()?);
    let claims = UserClaims {
        user: user.public().clone(),
        name: NAME.parse()?,
        account: account.clone(),
        expires_at: now.plus_ms(3_600_000),
    };
    let jwt = claims.sign(now, &scoped)?;
    Ok(Credential::of_grant(&grant, NAME, user, jwt, now)?)
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
