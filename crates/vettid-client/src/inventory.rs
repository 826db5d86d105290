//! Every key of app and vault in one list: what the vault tells, and what the app has on this device. Tells names and times; must never tell a
//! secret, nor anything that is made from one.

use crate::app::{App, Ports};
use crate::command::CommandError;
use crate::line::Line;
use crate::recovery;
use crate::session::MAX_AGE_MS;
use crate::state::Member;
use crate::store::{Hold, StoreError};
use crate::vault_credential::kept::{Kept, KeptGrant, SERVICES, VAULT};
use vettid_core::credential::holder::slot::Slot;
use vettid_crypto::suite::Suite;
use vettid_wire::credential::TransactionKey;
use vettid_wire::event;
use vettid_wire::inventory::{AskKeys, KeyHolder, KeyInventory, KeyKind, KeyPolicy, KeyUse, KeyView};
use vettid_wire::time::Timestamp;

/// What signs.
const SIGNS: &str = "Ed25519";
/// What seals under a symmetric key.
const SEALS: &str = "XChaCha20-Poly1305";
/// What a password is mixed with.
const MIXES: &str = "HKDF-SHA256";

impl<P: Ports> App<P> {
    /// Every key of app, vault and credentials.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn key_inventory(&self) -> Result<KeyInventory, CommandError> {
        let mut line = self.open().await?;
        let keys = all(&mut line).await;
        line.close().await;
        keys
    }
}

async fn all<P: Ports>(line: &mut Line<'_, P>) -> Result<KeyInventory, CommandError> {
    let (mut of_vault, mut after) = (vec![], None);
    loop {
        let page = line.ask::<event::AskKeys>(&AskKeys { after }).await?;
        of_vault.extend(page.keys);
        after = page.more_after;
        if after.is_none() {
            break;
        }
    }
    let mut keys = of_member(&line.member)?;
    keys.extend(of_device(&line.hold, &line.member, line.now())?);
    keys.extend(of_vault);
    Ok(KeyInventory { keys, more_after: None })
}

/// A key pair of the app that signs, and lives as long as the app.
fn pair(role: KeyUse, id: String) -> KeyView {
    KeyView {
        id,
        role,
        holder: KeyHolder::App,
        kind: KeyKind::Pair,
        suite: SIGNS.to_owned(),
        connection_id: None,
        since: None,
        policy: KeyPolicy::App,
        next_rotation: None,
    }
}

fn secret(role: KeyUse, suite: &str, name: &str) -> KeyView {
    KeyView { kind: KeyKind::Symmetric, suite: suite.to_owned(), ..pair(role, name.to_owned()) }
}

fn of_member(member: &Member) -> Result<Vec<KeyView>, CommandError> {
    let (identity, since) = (&member.identity, member.identity.made_at());
    let sealing = identity.sealing();
    let mut keys = vec![
        KeyView { since, ..pair(KeyUse::AppIdentity, identity.signing().key_id().to_string()) },
        KeyView {
            since,
            suite: sealing.suite().name().to_owned(),
            ..pair(KeyUse::AppSealing, sealing.key_id().to_string())
        },
        KeyView { since: member.credential.enrolled_at, ..pair(KeyUse::BrokerUser, member.credential.public_key()?) },
    ];
    keys.extend(member.session.as_ref().map(|session| {
        let (kem, since) = (session.channel.own_kem(), session.started_at);
        KeyView {
            suite: kem.suite().name().to_owned(),
            since: Some(since),
            policy: KeyPolicy::Session,
            next_rotation: Some(since.plus_ms(MAX_AGE_MS)),
            ..pair(KeyUse::AppSession, kem.key_id().to_string())
        }
    }));
    keys.extend(
        member
            .lock
            .as_ref()
            .map(|lock| KeyView { since: lock.made_at(), ..secret(KeyUse::DeviceSecret, MIXES, "lock of the vault") }),
    );
    Ok(keys)
}

/// What lies beside the state of the app.
fn of_device(hold: &impl Hold, member: &Member, now: Timestamp) -> Result<Vec<KeyView>, StoreError> {
    let mut keys = vec![KeyView { since: hold.key_made_at()?, ..secret(KeyUse::AppStore, SEALS, "state of the app") }];
    if let Some(recovery) = recovery::has_keys(hold)? {
        let (since, policy) = (recovery.made_at, KeyPolicy::Phrase);
        keys.push(KeyView { since, policy, ..secret(KeyUse::Recovery, SEALS, "recovery container") });
    }
    if let Some(kept) = Kept::load(hold, &VAULT, member.guid, None)? {
        keys.extend(kept.holder.newest().map(|slot| device_secret("vault credential", slot)));
        keys.extend(kept.live_grants(now).map(grant));
    }
    if let Some(kept) = Kept::load(hold, &SERVICES, member.guid, None)? {
        keys.extend(kept.holder.newest().into_iter().flat_map(of_services));
        keys.extend(kept.holder.unused_keys(now).map(transaction));
    }
    Ok(keys)
}

fn device_secret(name: &str, slot: &Slot) -> KeyView {
    let (since, policy) = (slot.password.made_at, KeyPolicy::Password);
    KeyView { since, policy, ..secret(KeyUse::DeviceSecret, MIXES, name) }
}

fn grant(kept: &KeptGrant) -> KeyView {
    KeyView {
        since: kept.opened_at,
        policy: KeyPolicy::Ends,
        next_rotation: Some(kept.expires_at),
        ..secret(KeyUse::Grant, SEALS, &kept.secret_id.to_string())
    }
}

/// What services hold of the member's Services Credential, as far as its newest package tells.
fn of_services(slot: &Slot) -> [KeyView; 3] {
    let (version, token) = (slot.package.cek_version, &slot.package.ledger_auth_token.lat_id);
    let cek = KeyView {
        holder: KeyHolder::Services,
        suite: Suite::X25519.name().to_owned(),
        since: Some(slot.op_id.at()),
        policy: KeyPolicy::EachUse,
        ..pair(KeyUse::Credential, format!("services credential version {version}"))
    };
    let token = KeyView {
        id: format!("{token} version {version}"),
        role: KeyUse::IssuerToken,
        holder: KeyHolder::Both,
        kind: KeyKind::Symmetric,
        suite: "HMAC-SHA256".to_owned(),
        ..cek.clone()
    };
    [cek, token, device_secret("services credential", slot)]
}

fn transaction(key: &TransactionKey) -> KeyView {
    KeyView {
        holder: KeyHolder::Services,
        suite: key.algorithm.clone(),
        since: Some(key.created_at),
        policy: KeyPolicy::Once,
        next_rotation: Some(key.expires_at),
        ..pair(KeyUse::Transaction, key.key_id.to_string())
    }
}
