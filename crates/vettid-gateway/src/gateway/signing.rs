//! The change of the account's signing keys while the gateway runs, and the inventory of its keys. New keys are stored before services
//! hear of them, and sign only once services have said that the broker knows them.

use super::start::{IDENTITY, renew, slept};
use super::{Gateway, Shared, lock, upkeep};
use crate::clock;
use crate::config::Services;
use crate::connection::Live;
use crate::identity::{Identity, IdentityFailed};
use crate::once;
use crate::random;
use crate::registration::{self, RegistrationError};
use crate::signing::Due;
use crate::state::{Draft, StateError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use vettid_core::channel::Channel;
use vettid_crypto::nats::key::{InvalidKey, UserKey};
use vettid_wire::enrolment::SigningKeysRotated;
use vettid_wire::id::ServiceId;
use vettid_wire::inventory::{KeyHolder, KeyInventory, KeyKind, KeyPolicy, KeyUse, KeyView, SigningKeysMade};
use vettid_wire::time::Timestamp;

/// Between two looks at the clock, which may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// After services did not answer.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// What seals under a symmetric key.
const SEALS: &str = "XChaCha20-Poly1305";

/// A step of the change of signing keys could not be made; it is made again later.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityFailed),
    /// A key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Services.
    #[error(transparent)]
    Services(#[from] RegistrationError),
}

/// Changes the keys when it is time or somebody asked for it, until the gateway stops.
pub(super) async fn keep(shared: Arc<Shared>) {
    // Services may have confirmed keys right before this start: what former keys signed is replaced at once.
    upkeep::look_after_all(&shared, clock::now()).await;
    let mut pause = Duration::ZERO;
    loop {
        let goes_on = tokio::select! {
            goes_on = slept(&shared, pause) => goes_on,
            () = shared.signing_wanted.notified() => true,
        };
        if !goes_on {
            return;
        }
        pause = match turn(&shared, clock::now()).await {
            Ok(()) => LOOK_AGAIN,
            Err(error) => {
                tracing::warn!(%error, "the signing keys are not changed yet");
                TRY_AGAIN
            }
        };
    }
}

async fn turn(shared: &Arc<Shared>, now: Timestamp) -> Result<(), NotChanged> {
    if due(shared, now)? == Due::Make {
        make(shared, true, now).await?;
    }
    let Due::Announce(_) = due(shared, now)? else {
        return Ok(());
    };
    let confirmed = tell(&shared.config.services, shared.service_id(), || shared.identity()).await;
    match confirmed {
        Ok(Some(confirmed)) => succeed(shared, confirmed, now.max(clock::now())).await?,
        Ok(None) => return Ok(()),
        Err(NotChanged::Services(RegistrationError::OlderKeys)) => {
            change(shared, |identity| identity.renew_successors(now, &mut random::system())).await?;
            return Err(RegistrationError::OlderKeys.into());
        }
        Err(error) => return Err(error),
    }
    if let Err(error) = renew(shared).await {
        tracing::warn!(%error, "the own credential could not be renewed yet");
    }
    upkeep::look_after_all(shared, now.max(clock::now())).await;
    Ok(())
}

fn due(shared: &Shared, now: Timestamp) -> Result<Due, InvalidKey> {
    shared.identity().signing_due(now)
}

/// Tells services of keys that wait, if some do. `read` gives the identity for a moment.
pub(super) async fn tell<I: std::ops::Deref<Target = Identity>>(
    services: &Services,
    service_id: &ServiceId,
    read: impl FnOnce() -> I,
) -> Result<Option<SigningKeysRotated>, NotChanged> {
    let request = read().announced(service_id.clone())?;
    match request {
        Some(request) => Ok(Some(registration::rotate(services, &request).await?)),
        None => Ok(None),
    }
}

async fn make(shared: &Shared, keeps_former: bool, now: Timestamp) -> Result<Timestamp, StateError> {
    let act = |identity: &mut Identity| identity.make_successors(keeps_former, now, &mut random::system());
    // A program that repeats its call makes no second ones.
    change_and(shared, act, |draft, since| once::answer(draft, 200, &SigningKeysMade { since: *since })).await
}

async fn succeed(shared: &Shared, confirmed: SigningKeysRotated, now: Timestamp) -> Result<(), StateError> {
    change(shared, |identity| identity.succeed(confirmed, now)).await.map(drop)
}

/// Changes the identity, and stores it.
async fn change<T>(shared: &Shared, act: impl FnOnce(&mut Identity) -> T) -> Result<T, StateError> {
    change_and(shared, act, |_, _| Ok(())).await
}

/// The same, with more in the commit.
async fn change_and<T>(
    shared: &Shared,
    act: impl FnOnce(&mut Identity) -> T,
    and: impl FnOnce(&mut Draft, &T) -> Result<(), StateError>,
) -> Result<T, StateError> {
    let mut draft = shared.state.draft();
    let done = {
        let mut identity = shared.identity.write().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut identity);
        draft.put(IDENTITY.to_owned(), &*identity)?;
        done
    };
    and(&mut draft, &done)?;
    shared.commit(draft).await?;
    Ok(done)
}

impl Gateway {
    /// Makes new signing keys now; they sign as soon as the broker knows them. `cuts_off`: what the present ones signed ends at once.
    ///
    /// # Errors
    /// [`StateError`] if they could not be stored.
    pub async fn rotate_keys(&self, cuts_off: bool) -> Result<SigningKeysMade, StateError> {
        let since = make(&self.0, !cuts_off, clock::now()).await?;
        self.0.signing_wanted.notify_one();
        Ok(SigningKeysMade { since })
    }

    /// Does at this time what is due about the signing keys: makes them, tells services, and renews what former ones signed. The gateway does so
    /// by itself every hour.
    ///
    /// # Errors
    /// [`NotChanged`]: it goes on with the keys that it has, and tries again.
    pub async fn keep_signing_keys(&self, now: Timestamp) -> Result<(), NotChanged> {
        turn(&self.0, now).await
    }

    /// Every key of the gateway, without anything that is secret.
    ///
    /// # Errors
    /// [`InvalidKey`] if stored bytes make no key.
    pub async fn keys(&self) -> Result<KeyInventory, InvalidKey> {
        let mut keys = own_keys(&self.0)?;
        let mut all: Vec<_> = lock(&self.0.connections).all.iter().map(|(id, live)| (*id, Arc::clone(live))).collect();
        all.sort_by_key(|(id, _)| *id);
        for (_, live) in all {
            keys.extend(keys_of(&*live.lock().await)?);
        }
        Ok(KeyInventory { keys, more_after: None })
    }
}

/// A key pair of the gateway that signs, and lives as long as the service.
fn pair(role: KeyUse, id: String) -> KeyView {
    KeyView {
        id,
        role,
        holder: KeyHolder::Gateway,
        kind: KeyKind::Pair,
        suite: "Ed25519".to_owned(),
        connection_id: None,
        since: None,
        policy: KeyPolicy::Vault,
        next_rotation: None,
    }
}

fn own_keys(shared: &Shared) -> Result<Vec<KeyView>, InvalidKey> {
    let identity = shared.identity();
    let made = |key| KeyView { since: Some(identity.made_at()), ..key };
    let (since, due) = identity.signing_life();
    let signs = |role, key: vettid_crypto::nats::key::AccountKey| KeyView {
        since: Some(since),
        policy: KeyPolicy::Signing,
        next_rotation: Some(due),
        ..pair(role, key.public().to_string())
    };
    let sealing = identity.sealing();
    let sealing =
        KeyView { suite: sealing.suite().name().to_owned(), ..pair(KeyUse::Session, sealing.key_id().to_string()) };
    let user = pair(KeyUse::BrokerUser, shared.home.user().to_string());
    Ok(vec![
        made(pair(KeyUse::Identity, identity.signing_key().key_id().to_string())),
        made(sealing),
        made(pair(KeyUse::MessageAccount, identity.account()?.public().to_string())),
        signs(KeyUse::VaultSigning, identity.vault_signing()?),
        signs(KeyUse::ConnectionSigning, identity.connection_signing()?),
        signs(KeyUse::ClaimSigning, identity.claim_signing()?),
        KeyView { since: Some(shared.started_at), policy: KeyPolicy::Start, ..user },
        KeyView {
            kind: KeyKind::Symmetric,
            suite: SEALS.to_owned(),
            since: shared.state_key_made_at,
            policy: KeyPolicy::Host,
            ..pair(KeyUse::Storage, "state of the gateway".to_owned())
        },
    ])
}

fn keys_of(live: &Live) -> Result<Vec<KeyView>, InvalidKey> {
    let record = &live.record;
    let mut keys: Vec<_> = live.channel.iter().flat_map(epoch_keys).collect();
    if let Some(seed) = &record.member.nkey_seed {
        let user = UserKey::from_secret(seed.duplicate())?;
        let (since, policy) = (Some(record.created_at), KeyPolicy::Connection);
        keys.push(KeyView { since, policy, ..pair(KeyUse::BrokerUser, user.public().to_string()) });
    }
    keys.iter_mut().for_each(|key| key.connection_id = Some(record.connection_id));
    Ok(keys)
}

/// The pair of the running epoch, and its symmetric key.
fn epoch_keys(channel: &Channel) -> [KeyView; 2] {
    let kem = channel.own_kem();
    let pair = KeyView {
        suite: kem.suite().name().to_owned(),
        since: channel.epoch_since(),
        policy: KeyPolicy::Epoch,
        next_rotation: channel.rotation_due_at(),
        ..pair(KeyUse::Epoch, kem.key_id().to_string())
    };
    let id = format!("{} epoch {}", channel.key_id(), channel.epoch());
    let epoch = KeyView { id, kind: KeyKind::Symmetric, suite: SEALS.to_owned(), ..pair.clone() };
    [pair, epoch]
}
