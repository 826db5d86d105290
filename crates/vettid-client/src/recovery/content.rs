//! From the slots of both credentials to the content of a container, and back on a new device. The bytes hold secrets in
//! clear: they are sealed or wiped at once.

use super::kept::{self, Before};
use crate::lock::KnownLock;
use crate::state::{self, State, Vault};
use crate::store::{Hold, StoreError};
use crate::vault_credential::CredentialError;
use crate::vault_credential::kept::{Kept, Places, SERVICES, VAULT, clear_slots};
use std::cmp::Reverse;
use vettid_core::credential::holder::slot::{PasswordParts, Slot};
use vettid_core::credential::holder::{Holder, HolderState, SlotWrite};
use vettid_crypto::kdf::h256;
use vettid_crypto::password::{DeviceSecret, PasswordSalt};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{CredentialBackup, CredentialPackage, SecretField, TransactionKey, VaultSeen};
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
    let lock = lock(hold)?;
    Ok(vault.first().map(|vault| digest(vault, services.first(), lock.as_ref())))
}

fn digest(vault: &Slot, services: Option<&Slot>, lock: Option<&KnownLock>) -> Digest {
    let hash = |slot: &Slot| h256(slot.package.encrypted_blob.as_bytes());
    let mut all = vec![hash(vault), services.map_or([0; 32], hash)];
    all.extend(lock.and_then(KnownLock::digest));
    Digest::from_bytes(h256(all.as_flattened()))
}

/// The lock of the vault, as this device knows it.
fn lock(hold: &impl Hold) -> Result<Option<KnownLock>, StoreError> {
    if let Some(State::Enrolled(member)) = state::load(hold)? {
        return Ok(member.lock);
    }
    let device = kept::Kept::load(hold)?.and_then(|kept| kept.device);
    Ok(device.and_then(|device| device.waiting).and_then(|waiting| waiting.lock))
}

/// The most packages of a container: the newest and three before it.
const MOST_PACKAGES: usize = 4;

/// The content of a container.
pub(super) struct Content(CredentialBackup);

/// The content of a container, and the name of the newest package in it; `None` before the first credential.
pub(super) fn gather(hold: &impl Hold) -> Result<Option<(Content, Digest)>, StoreError> {
    let Some(State::Enrolled(member)) = state::load(hold)? else { return gather_recovered(hold) };
    let Some(kept) = Kept::load(hold, &VAULT, member.guid, Some(member.vault.fingerprint))? else { return Ok(None) };
    let Vault { incarnation, journal_sequence, .. } = member.vault;
    content(hold, &kept.holder, Some(VaultSeen { incarnation, journal_sequence }))
}

/// A device that recovered and is not enrolled yet has a holder of its own.
fn gather_recovered(hold: &impl Hold) -> Result<Option<(Content, Digest)>, StoreError> {
    match Kept::load_any(hold, &VAULT)? {
        Some(kept) => content(hold, &kept.holder, None),
        None => Ok(None),
    }
}

fn content(
    hold: &impl Hold,
    holder: &Holder,
    vault_seen: Option<VaultSeen>,
) -> Result<Option<(Content, Digest)>, StoreError> {
    let state = holder.state();
    let mut slots = slots(hold, &VAULT)?.into_iter();
    let Some(first) = slots.next() else { return Ok(None) };
    let services = self::slots(hold, &SERVICES)?.into_iter().next();
    let lock = lock(hold)?;
    let newest = digest(&first, services.as_ref(), lock.as_ref());
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
        vault_seen,
        lock: lock.as_ref().and_then(KnownLock::backup),
    };
    Ok(Some((Content(backup), newest)))
}

impl Content {
    /// Adds what the container before held, as far as it is older and needs the same password: three versions at most.
    pub(super) fn add_earlier(&mut self, before: &mut Before) {
        let packages = &mut self.0.vault_credentials;
        let name = |package: &CredentialPackage| (package.credential_epoch, package.cek_version);
        let oldest = packages.iter().map(name).min();
        if before.salt == self.0.password_salt {
            packages.extend(
                std::mem::take(&mut before.packages).into_iter().filter(|package| Some(name(package)) < oldest),
            );
        }
        packages.truncate(MOST_PACKAGES);
    }

    /// The bytes, in clear.
    pub(super) fn to_bytes(&self) -> Result<SecretBytes, StoreError> {
        let bytes = json::canonical(&self.0).map_err(|error| StoreError::Form(serde::ser::Error::custom(error)))?;
        Ok(SecretBytes::new(bytes))
    }

    /// What the next container takes over.
    pub(super) fn into_before(self) -> Before {
        Before { salt: self.0.password_salt, packages: self.0.vault_credentials }
    }
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

/// What a container gives.
pub(super) struct Opened {
    /// The credentials.
    pub(super) taken: Taken,
    /// What the next container takes over.
    pub(super) before: Before,
    /// How far the vault was seen.
    pub(super) seen: Option<VaultSeen>,
    /// The lock of the vault.
    pub(super) lock: Option<KnownLock>,
    /// Salt of the Services Credential, if there is one.
    pub(super) services_salt: Option<Base64>,
}

/// Salt of the Services Credential as it is now.
pub(super) fn services_salt(hold: &impl Hold) -> Result<Option<Base64>, StoreError> {
    let newest = slots(hold, &SERVICES)?.into_iter().next();
    Ok(newest.map(|slot| Base64::new(*slot.password.salt.as_bytes())))
}

/// Reads the content of a container of this member; `None` if it is not one.
pub(super) fn read(content: &[u8], guid: MemberId, op_id: OperationId) -> Option<Opened> {
    let backup: CredentialBackup = json::read_large(content).ok()?;
    let password = parts(&backup.password_salt, &backup.device_secret)?;
    let mut packages = backup.vault_credentials.into_iter();
    let package = packages.next().filter(|package| package.user_guid == guid)?;
    let before = Before { salt: backup.password_salt, packages: packages.collect() };
    let epoch = backup.credential_epoch;
    let (holder, write) =
        Holder::recovered(backup.vault_fp, package, password, backup.transaction_keys, (epoch, op_id)).ok()?;
    let services = match backup.services_credential {
        Some(part) => Some(services(part, guid, op_id)?),
        None => None,
    };
    let lock = match &backup.lock {
        Some(lock) => Some(KnownLock::recovered(lock)?),
        None => None,
    };
    let services_salt = services.as_ref().map(|(_, write)| Base64::new(*write.slot.password.salt.as_bytes()));
    let taken = Taken { holder, write, services };
    Some(Opened { taken, before, seen: backup.vault_seen, lock, services_salt })
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
        // A container does not tell.
        made_at: None,
    })
}

/// Keeps them where the app finds them once it is enrolled; epoch and version of the Vault Credential.
pub(super) fn take_over(hold: &mut impl Hold, taken: Taken) -> Result<(u64, u64), CredentialError> {
    let Taken { holder, write, services } = taken;
    for places in [&VAULT, &SERVICES] {
        clear_slots(hold, places)?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use crate::store::Store;
    use crate::store::file::FileStore;
    use vettid_wire::credential::{CredentialPackage, LatId, LedgerToken};
    use vettid_wire::id::Fingerprint;

    fn backup(guid: MemberId) -> Vec<u8> {
        let token = SecretField::new(vec![6; 32]);
        let package = CredentialPackage {
            user_guid: guid,
            encrypted_blob: Base64::new([7; 72]),
            ephemeral_public_key: Base64::new([8; 32]),
            credential_epoch: 2,
            cek_version: 43,
            prev_cek_version: Some(42),
            ledger_auth_token: LedgerToken { lat_id: LatId::from_random([9; 16]), token, version: 43 },
            new_transaction_keys: Vec::new(),
        };
        let backup = CredentialBackup {
            services_credential: None,
            vault_credentials: vec![package],
            vault_fp: Fingerprint::from_bytes([5; 32]),
            password_salt: Base64::new([3; 16]),
            device_secret: SecretField::new(vec![4; 32]),
            transaction_keys: Vec::new(),
            credential_epoch: 2,
            journal_head: None,
            vault_seen: None,
            lock: None,
        };
        json::canonical(&backup).unwrap()
    }

    /// The slot alone is not enough: whose it is stands beside it.
    #[tokio::test]
    async fn a_credential_that_was_taken_over_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("app"), SystemRandom::new().unwrap());
        let guid = MemberId::from_bytes([1; 16]);
        let opened = read(&backup(guid), guid, OperationId::from_bytes([2; 16])).unwrap();
        assert!(opened.lock.is_none(), "a container from before there was a lock");
        assert_eq!(take_over(&mut store.hold().await.unwrap(), opened.taken).unwrap(), (2, 43));
        let hold = store.hold().await.unwrap();
        let kept =
            Kept::load(&hold, &VAULT, guid, Some(Fingerprint::from_bytes([5; 32]))).unwrap().expect("it is kept");
        assert_eq!(kept.holder.newest().unwrap().package.cek_version, 43);
        assert!(gather(&hold).unwrap().is_some());
    }
}
