//! Every key that the vault has or knows the name of: its own, those it shares with the app, those of the credential, and those of its
//! connections. Shows public halves, names and times alone.

use super::page;
use crate::app::{self, App};
use crate::channels::ChannelName;
use crate::connection::Connection;
use crate::credential;
use crate::failure::Failure;
use crate::signing_keys;
use crate::step::Step;
use vettid_core::channel::Channel;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::{AccountKey, UserKey};
use vettid_wire::inventory::{AskKeys, KeyHolder, KeyInventory, KeyKind, KeyPolicy, KeyUse, KeyView};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::session::MAX_AGE_MS;
use vettid_wire::time::Timestamp;

/// Most connections whose keys are in one answer.
const PAGE: usize = 100;
/// What signs.
const SIGNS: &str = "Ed25519";
/// What seals under a symmetric key.
const SEALS: &str = "XChaCha20-Poly1305";
/// What proves something under a symmetric key.
const PROVES: &str = "HMAC-SHA256";

/// Owner's command: the keys.
pub fn keys(step: &mut Step<'_>, asked: &AskKeys) -> Result<Result<KeyInventory, RefusalCode>, Failure> {
    let mut keys = vec![];
    if asked.after.is_none() {
        keys.extend(own_keys(step)?);
        keys.extend(at_rest(step));
        keys.extend(keys_with_app(step)?);
        keys.extend(credential::keys(step)?);
    }
    let (connections, more) = page(step, asked.after, PAGE)?;
    for connection in &connections {
        keys.extend(keys_of(step, connection)?);
    }
    let more_after = connections.last().filter(|_| more).map(|last| last.connection_id);
    Ok(Ok(KeyInventory { keys, more_after }))
}

/// A key pair of the vault that signs and never changes.
fn own(role: KeyUse, id: String) -> KeyView {
    KeyView {
        id,
        role,
        holder: KeyHolder::Vault,
        kind: KeyKind::Pair,
        suite: SIGNS.to_owned(),
        connection_id: None,
        since: None,
        policy: KeyPolicy::Vault,
        next_rotation: None,
    }
}

fn own_keys(step: &Step<'_>) -> Result<Vec<KeyView>, Failure> {
    let identity = step.identity;
    let since = Some(identity.key_record.record().issued_at);
    let session = identity.session_kem().public_key();
    let own = |role, id| KeyView { since, ..own(role, id) };
    let account = |key: AccountKey| key.public().as_str().to_owned();
    let signs = |role, key| KeyView {
        since: Some(identity.signing_since()),
        policy: KeyPolicy::Signing,
        next_rotation: Some(signing_keys::due_at(identity)),
        ..own(role, account(key))
    };
    Ok(vec![
        own(KeyUse::Identity, identity.signing_key().key_id().to_string()),
        KeyView { suite: session.suite().name().to_owned(), ..own(KeyUse::Session, session.key_id().to_string()) },
        own(KeyUse::OwnerAccount, account(identity.owner_account()?)),
        signs(KeyUse::AppSigning, identity.app_signing()?),
        own(KeyUse::MessageAccount, account(identity.message_account()?)),
        signs(KeyUse::ConnectionSigning, identity.connection_signing()?),
        signs(KeyUse::ServiceSigning, identity.service_signing()?),
        signs(KeyUse::ClaimSigning, identity.claim_signing()?),
    ])
}

/// What the host has for this vault.
fn at_rest(step: &Step<'_>) -> Vec<KeyView> {
    let storage = KeyView {
        since: step.lock.storage_made_at,
        holder: KeyHolder::Host,
        kind: KeyKind::Symmetric,
        suite: SEALS.to_owned(),
        policy: KeyPolicy::Host,
        ..own(KeyUse::Storage, "state of the vault".to_owned())
    };
    let lane = step.lock.lane_key.as_ref().and_then(|key| VerifyingKey::from_typed(key).ok());
    let lane = lane.map(|key| KeyView {
        since: step.lock.lane_made_at,
        holder: KeyHolder::Host,
        policy: KeyPolicy::Host,
        ..own(KeyUse::UnlockLane, key.key_id().to_string())
    });
    std::iter::once(storage).chain(lane).collect()
}

/// The running session, and what ties the next one to it.
fn keys_with_app(step: &mut Step<'_>) -> Result<Vec<KeyView>, Failure> {
    let Some(App { session, resume, previous_resume, .. }) = app::get(&step.draft)? else {
        return Ok(vec![]);
    };
    let session = session.map(|id| app::session(&step.draft, id)).transpose()?.flatten();
    let mut keys = vec![];
    if let Some(session) = &session
        && let Some(channel) = step.channels.get(&step.draft, ChannelName::Session(session.key_id))?
    {
        let since = session.started_at;
        let policy = (KeyPolicy::Session, Some(since), Some(since.plus_ms(MAX_AGE_MS)));
        keys.extend(keys_of_channel(channel, KeyUse::AppSession, KeyHolder::Both, policy));
    }
    let newest = session.filter(|session| !session.limited).map(|session| session.started_at);
    let secrets = [(resume, "newest", newest), (previous_resume, "the one before", None)];
    keys.extend(secrets.into_iter().filter(|(secret, ..)| secret.is_some()).map(|(_, name, since)| KeyView {
        holder: KeyHolder::Both,
        kind: KeyKind::Symmetric,
        suite: PROVES.to_owned(),
        since,
        policy: KeyPolicy::Session,
        ..own(KeyUse::Resumption, name.to_owned())
    }));
    Ok(keys)
}

type Due = (KeyPolicy, Option<Timestamp>, Option<Timestamp>);

/// This side's pair of the running epoch, and the symmetric key of the epoch.
fn keys_of_channel(
    channel: &Channel,
    role: KeyUse,
    shared_by: KeyHolder,
    (policy, since, next_rotation): Due,
) -> [KeyView; 2] {
    let kem = channel.own_kem();
    let pair = KeyView {
        suite: kem.suite().name().to_owned(),
        since,
        policy,
        next_rotation,
        ..own(role, kem.key_id().to_string())
    };
    let epoch = KeyView {
        id: format!("{} epoch {}", channel.key_id(), channel.epoch()),
        holder: shared_by,
        kind: KeyKind::Symmetric,
        suite: SEALS.to_owned(),
        ..pair.clone()
    };
    [pair, epoch]
}

fn keys_of(step: &mut Step<'_>, connection: &Connection) -> Result<Vec<KeyView>, Failure> {
    let user = UserKey::from_secret(connection.nkey_seed.duplicate())?.public().as_str().to_owned();
    let made =
        |role, id| KeyView { since: Some(connection.created_at), policy: KeyPolicy::Connection, ..own(role, id) };
    let mut keys = vec![];
    if let Some(channel) = step.channels.get(&step.draft, ChannelName::Connection(connection.connection_id))? {
        let due = (KeyPolicy::Epoch, channel.epoch_since(), channel.rotation_due_at());
        keys.extend(keys_of_channel(channel, KeyUse::Epoch, KeyHolder::Vault, due));
    }
    keys.push(made(KeyUse::Pairwise, connection.pairwise.key_id().to_string()));
    keys.push(made(KeyUse::BrokerUser, user));
    keys.iter_mut().for_each(|key| key.connection_id = Some(connection.connection_id));
    Ok(keys)
}
