//! From the slots of the Vault Credential to the content of a container, and back on a new device. The bytes hold secrets in
//! clear: they are sealed or wiped at once.

use crate::state::{self, State};
use crate::store::{Hold, Place, StoreError};
use crate::vault_credential::CredentialError;
use crate::vault_credential::kept::Kept;
use std::cmp::Reverse;
use vettid_core::credential::holder::slot::{PasswordParts, Slot};
use vettid_core::credential::holder::{Holder, SlotWrite};
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{DeviceSecret, PasswordSalt};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{CredentialBackup, SecretField};
use vettid_wire::digest::Digest;
use vettid_wire::id::{MemberId, OperationId};
use vettid_wire::json;

/// The whole slots, newest first.
fn slots(hold: &impl Hold) -> Result<Vec<Slot>, StoreError> {
    let mut slots = Vec::new();
    for place in [Place::SlotA, Place::SlotB] {
        match hold.load(place) {
            // Torn while it was written.
            Err(StoreError::Sealed { .. }) => {}
            found => slots.extend(found?.and_then(|bytes| Slot::from_bytes(bytes.expose()))),
        }
    }
    slots.sort_by_key(|slot| Reverse((slot.package.credential_epoch, slot.package.cek_version)));
    Ok(slots)
}

/// Names the newest package.
pub(super) fn newest(hold: &impl Hold) -> Result<Option<Digest>, StoreError> {
    Ok(slots(hold)?.first().map(digest))
}

fn digest(slot: &Slot) -> Digest {
    Digest::from_bytes(h256(slot.package.encrypted_blob.as_bytes()))
}

/// The content of a container, and the name of the newest package in it; `None` before the first credential.
pub(super) fn gather(hold: &impl Hold) -> Result<Option<(SecretBytes, Digest)>, StoreError> {
    let Some(State::Enrolled(member)) = state::load(hold)? else { return gather_recovered(hold) };
    let Some(kept) = Kept::load(hold, member.guid, member.vault.fingerprint)? else { return Ok(None) };
    written(slots(hold)?, &kept.holder)
}

/// A device that recovered and is not enrolled yet has a holder of its own.
fn gather_recovered(hold: &impl Hold) -> Result<Option<(SecretBytes, Digest)>, StoreError> {
    match Kept::load_any(hold)? {
        Some(kept) => written(slots(hold)?, &kept.holder),
        None => Ok(None),
    }
}

fn written(slots: Vec<Slot>, holder: &Holder) -> Result<Option<(SecretBytes, Digest)>, StoreError> {
    let state = holder.state();
    let reserved = state.record.intent.as_ref().map(|intent| &intent.key_id);
    let mut slots = slots.into_iter();
    let Some(first) = slots.next() else { return Ok(None) };
    let newest = digest(&first);
    let Slot { package, password, .. } = first;
    // An older package that needs another password is worth nothing without what that password needs.
    let older = slots.filter(|slot| slot.password.salt == password.salt).map(|slot| slot.package);
    let backup = CredentialBackup {
        services_credential: None,
        vault_credentials: std::iter::once(package).chain(older).collect(),
        vault_fp: state.issuer,
        password_salt: Base64::new(*password.salt.as_bytes()),
        device_secret: SecretField::new(password.device_secret.expose().to_vec()),
        transaction_keys: state.keys.iter().filter(|key| Some(&key.key_id) != reserved).cloned().collect(),
        credential_epoch: state.record.epoch,
        journal_head: None,
    };
    let bytes = json::canonical(&backup).map_err(|error| StoreError::Form(serde::ser::Error::custom(error)))?;
    Ok(Some((SecretBytes::new(bytes), newest)))
}

/// A credential from a container, ready to be kept.
pub(super) struct Taken {
    holder: Holder,
    write: SlotWrite,
}

/// Reads the content of a container of this member; `None` if it is not one.
pub(super) fn read(content: &[u8], guid: MemberId, op_id: OperationId) -> Option<Taken> {
    let backup: CredentialBackup = json::from_value(json::parse_large(content).ok()?).ok()?;
    let password = PasswordParts {
        salt: PasswordSalt::from_bytes(backup.password_salt.to_array().ok()?),
        device_secret: DeviceSecret::from_secret(Secret32::from_slice(backup.device_secret.expose())?),
    };
    let package = backup.vault_credentials.into_iter().next().filter(|package| package.user_guid == guid)?;
    let epoch = backup.credential_epoch;
    let (holder, write) =
        Holder::recovered(backup.vault_fp, package, password, backup.transaction_keys, (epoch, op_id)).ok()?;
    Some(Taken { holder, write })
}

/// Keeps it where the app finds it once it is enrolled; its epoch and version.
pub(super) fn take_over(hold: &mut impl Hold, taken: Taken) -> Result<(u64, u64), CredentialError> {
    let Taken { holder, write } = taken;
    let package = &write.slot.package;
    let named = (package.credential_epoch, package.cek_version);
    Kept::new(holder).write(hold, write)?;
    Ok(named)
}
