//! From the slots of both credentials to the content of a container, and back on a new device. The bytes hold secrets in
//! clear: they are sealed or wiped at once.

use crate::state::{self, State};
use crate::store::{Hold, StoreError};
use crate::vault_credential::CredentialError;
use crate::vault_credential::kept::{Kept, Places, SERVICES, VAULT};
use std::cmp::Reverse;
use vettid_core::credential::holder::slot::{PasswordParts, Slot};
use vettid_core::credential::holder::{Holder, HolderState, SlotWrite};
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{DeviceSecret, PasswordSalt};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{CredentialBackup, SecretField, TransactionKey};
use vettid_wire::digest::Digest;
use vettid_wire::id::{MemberId, OperationId};
use vettid_wire::json;
use vettid_wire::services_credential::ServicesCredentialBackup;

/// The whole slots, newest first.
fn slots(hold: &impl Hold, places: &Places) -> Result<Vec<Slot>, StoreError> {
    let mut slots = Vec::new();
    for place in [places.a, places.b] {
        match hold.load(place) {
            // Torn while it was written.
            Err(StoreError::Sealed { .. }) => {}
            found => slots.extend(found?.and_then(|bytes| Slot::from_bytes(bytes.expose()))),
        }
    }
    slots.sort_by_key(|slot| Reverse((slot.package.credential_epoch, slot.package.cek_version)));
    Ok(slots)
}

/// Names the newest packages.
pub(super) fn newest(hold: &impl Hold) -> Result<Option<Digest>, StoreError> {
    let (vault, services) = (slots(hold, &VAULT)?, slots(hold, &SERVICES)?);
    Ok(vault.first().map(|vault| digest(vault, services.first())))
}

fn digest(vault: &Slot, services: Option<&Slot>) -> Digest {
    let hash = |slot: &Slot| h256(slot.package.encrypted_blob.as_bytes());
    let both = [hash(vault), services.map_or([0; 32], hash)];
    Digest::from_bytes(h256(both.as_flattened()))
}

/// The content of a container, and the name of the newest package in it; `None` before the first credential.
pub(super) fn gather(hold: &impl Hold) -> Result<Option<(SecretBytes, Digest)>, StoreError> {
    let Some(State::Enrolled(member)) = state::load(hold)? else { return gather_recovered(hold) };
    let Some(kept) = Kept::load(hold, &VAULT, member.guid, Some(member.vault.fingerprint))? else { return Ok(None) };
    written(hold, &kept.holder)
}

/// A device that recovered and is not enrolled yet has a holder of its own.
fn gather_recovered(hold: &impl Hold) -> Result<Option<(SecretBytes, Digest)>, StoreError> {
    match Kept::load_any(hold, &VAULT)? {
        Some(kept) => written(hold, &kept.holder),
        None => Ok(None),
    }
}

fn written(hold: &impl Hold, holder: &Holder) -> Result<Option<(SecretBytes, Digest)>, StoreError> {
    let state = holder.state();
    let mut slots = slots(hold, &VAULT)?.into_iter();
    let Some(first) = slots.next() else { return Ok(None) };
    let services = self::slots(hold, &SERVICES)?.into_iter().next();
    let newest = digest(&first, services.as_ref());
    let Slot { package, password, .. } = first;
    // An older package that needs another password is worth nothing without what that password needs.
    let older = slots.filter(|slot| slot.password.salt == password.salt).map(|slot| slot.package);
    let backup = CredentialBackup {
        services_credential: services.map(|slot| services_part(hold, slot)).transpose()?.flatten(),
        vault_credentials: std::iter::once(package).chain(older).collect(),
        vault_fp: state.issuer,
        password_salt: Base64::new(*password.salt.as_bytes()),
        device_secret: SecretField::new(password.device_secret.expose().to_vec()),
        transaction_keys: unreserved(state),
        credential_epoch: state.record.epoch,
        journal_head: None,
    };
    let bytes = json::canonical(&backup).map_err(|error| StoreError::Form(serde::ser::Error::custom(error)))?;
    Ok(Some((SecretBytes::new(bytes), newest)))
}

/// Transaction keys that no operation under way uses.
fn unreserved(state: &HolderState) -> Vec<TransactionKey> {
    let reserved = state.record.intent.as_ref().map(|intent| &intent.key_id);
    state.keys.iter().filter(|key| Some(&key.key_id) != reserved).cloned().collect()
}

/// What a container holds of the Services Credential.
fn services_part(hold: &impl Hold, newest: Slot) -> Result<Option<ServicesCredentialBackup>, StoreError> {
    let Some(kept) = Kept::load(hold, &SERVICES, newest.package.user_guid, None)? else { return Ok(None) };
    let (state, Slot { package, password, .. }) = (kept.holder.state(), newest);
    Ok(Some(ServicesCredentialBackup {
        package,
        issuer: state.issuer,
        password_salt: Base64::new(*password.salt.as_bytes()),
        device_secret: SecretField::new(password.device_secret.expose().to_vec()),
        transaction_keys: unreserved(state),
        credential_epoch: state.record.epoch,
    }))
}

/// Credentials from a container, ready to be kept.
pub(super) struct Taken {
    holder: Holder,
    write: SlotWrite,
    services: Option<(Holder, SlotWrite)>,
}

/// Reads the content of a container of this member; `None` if it is not one.
pub(super) fn read(content: &[u8], guid: MemberId, op_id: OperationId) -> Option<Taken> {
    let backup: CredentialBackup = json::from_value(json::parse_large(content).ok()?).ok()?;
    let password = parts(&backup.password_salt, &backup.device_secret)?;
    let package = backup.vault_credentials.into_iter().next().filter(|package| package.user_guid == guid)?;
    let epoch = backup.credential_epoch;
    let (holder, write) =
        Holder::recovered(backup.vault_fp, package, password, backup.transaction_keys, (epoch, op_id)).ok()?;
    let services = match backup.services_credential {
        Some(part) => Some(services(part, guid, op_id)?),
        None => None,
    };
    Some(Taken { holder, write, services })
}

fn services(part: ServicesCredentialBackup, guid: MemberId, op_id: OperationId) -> Option<(Holder, SlotWrite)> {
    let password = parts(&part.password_salt, &part.device_secret)?;
    let package = Some(part.package).filter(|package| package.user_guid == guid)?;
    Holder::recovered(part.issuer, package, password, part.transaction_keys, (part.credential_epoch, op_id)).ok()
}

fn parts(salt: &Base64, device_secret: &SecretField) -> Option<PasswordParts> {
    Some(PasswordParts {
        salt: PasswordSalt::from_bytes(salt.to_array().ok()?),
        device_secret: DeviceSecret::from_secret(Secret32::from_slice(device_secret.expose())?),
    })
}

/// Keeps them where the app finds them once it is enrolled; epoch and version of the Vault Credential.
pub(super) fn take_over(hold: &mut impl Hold, taken: Taken) -> Result<(u64, u64), CredentialError> {
    let Taken { holder, write, services } = taken;
    if let Some((holder, write)) = services {
        keep(hold, Kept::new(&SERVICES, holder), write)?;
    }
    let package = &write.slot.package;
    let named = (package.credential_epoch, package.cek_version);
    keep(hold, Kept::new(&VAULT, holder), write)?;
    Ok(named)
}

fn keep(hold: &mut impl Hold, mut kept: Kept, write: SlotWrite) -> Result<(), CredentialError> {
    kept.write(hold, write)?;
    Ok(kept.save(hold)?)
}
