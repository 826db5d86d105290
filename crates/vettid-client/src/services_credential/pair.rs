//! Both credentials under one password (docs/decisions/0109). Two issuers cannot change at once, so the request to services is
//! stored first and waits for the vault's new password; then the vault is asked. Whatever dies in between, the next command
//! carries the rest out, or gives it up, without a password. Must never send the one that waits before the other is decided.

use super::inner;
use super::line::ServicesLine;
use super::{guarded, known};
use crate::app::{App, Ports};
use crate::line::Line;
use crate::member_api::MemberApi;
use crate::recovery::{Known, inherits_device_secret};
use crate::vault_credential::create::new_parts;
use crate::vault_credential::desk::{Desk, Making};
use crate::vault_credential::issuer_line::IssuerLine;
use crate::vault_credential::password::{Entry, duplicate};
use crate::vault_credential::{Created, CredentialError, CredentialState, PasswordSource};
use serde::Serialize;
use serde_json::json;
use vettid_core::credential::holder::slot::PasswordParts;
use vettid_core::credential::{CHANGE_PASSWORD, CREATE};
use vettid_crypto::credential::InnerPlace;
use vettid_crypto::password::{PasswordSalt, StoredPassword};
use vettid_crypto::secret::SecretBytes;
use vettid_wire::base64::Base64;
use vettid_wire::credential::InnerUpdate;
use vettid_wire::json;
use vettid_wire::services_credential::{OPEN_SECRETS, SealedSecrets, ServicesTerms};

/// Two credentials that were just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BothCreated {
    /// The Vault Credential.
    #[serde(flatten)]
    pub vault: Created,
    /// The Vault Services Credential; absent if services have one that this app does not hold.
    pub services: Option<Created>,
}

/// How both credentials stand.
#[derive(Debug)]
pub struct BothStates {
    /// The Vault Credential.
    pub vault: CredentialState,
    /// The Vault Services Credential, if services tell.
    pub services: Result<CredentialState, CredentialError>,
    /// Whether [`App::renew_services_credential`] is due: it has the device secret of the device before.
    pub renewal_is_due: bool,
}

/// The line to the vault, and who this app is to services: one state, held once.
struct Both<'b, 'a, P: Ports> {
    line: &'b mut Line<'a, P>,
    known: &'b Known,
}

impl<P: Ports> App<P>
where
    P::Services: MemberApi,
{
    /// How both credentials stand. Finishes first what was left open.
    ///
    /// # Errors
    /// [`CredentialError`] of the Vault Credential.
    pub async fn credential_states(&self) -> Result<BothStates, CredentialError> {
        let mut line = self.open().await?;
        let outcome = async {
            let known = known(&line.hold)?;
            Both { line: &mut line, known: &known }.states().await
        }
        .await;
        line.close().await;
        outcome
    }

    /// Makes both credentials under one password, once. An app that holds the Vault Credential alone gets the other one under
    /// the password of that, which then has to be the present one: see [`Self::holds_vault_credential`].
    /// `grant_minutes` as in [`App::create_credential`].
    ///
    /// # Errors
    /// [`CredentialError`], among them [`CredentialError::Exists`] if this app holds both.
    pub async fn create_credentials(
        &self,
        grant_minutes: Option<u32>,
        password: &mut dyn PasswordSource,
    ) -> Result<BothCreated, CredentialError> {
        let mut line = self.open().await?;
        let outcome = async {
            let known = known(&line.hold)?;
            Both { line: &mut line, known: &known }.create(grant_minutes, &mut Entry::new(password)).await
        }
        .await;
        line.close().await;
        outcome
    }

    /// Replaces the password of every credential that this app holds. The present one is asked for first.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn change_passwords(
        &self,
        present: &mut dyn PasswordSource,
        new: &mut dyn PasswordSource,
    ) -> Result<(), CredentialError> {
        let mut line = self.open().await?;
        let outcome = async {
            let known = known(&line.hold)?;
            let mut both = Both { line: &mut line, known: &known };
            both.change(&mut Entry::new(present), &mut Entry::new(new)).await
        }
        .await;
        line.close().await;
        outcome
    }

    /// Whether this app holds the Vault Credential, so that a password stands already. Finishes first what was left open.
    /// The vault is asked nothing else, so a limited session is enough.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn holds_vault_credential(&self) -> Result<bool, CredentialError> {
        let mut line = self.open().await?;
        let outcome = async {
            let mut desk = Desk::open(&mut line)?;
            desk.recover().await?;
            Ok(desk.kept.as_ref().is_some_and(|kept| kept.holder.newest().is_some()))
        }
        .await;
        line.close().await;
        outcome
    }
}

impl<'a, P: Ports> Both<'_, 'a, P>
where
    P::Services: MemberApi,
{
    fn vault(&mut self) -> Result<Desk<'_, Line<'a, P>>, CredentialError> {
        Desk::open(self.line)
    }

    fn services(&mut self) -> ServicesLine<'_, P> {
        ServicesLine::new(self.line.app, &mut self.line.hold, self.known)
    }

    async fn states(&mut self) -> Result<BothStates, CredentialError> {
        let mut desk = self.vault()?;
        desk.recover().await?;
        let vault = desk.state().await?;
        let services = async {
            let mut line = self.services();
            let mut desk = line.desk()?;
            desk.recover().await?;
            desk.state().await
        };
        let services = services.await;
        let renewal_is_due = inherits_device_secret(&self.line.hold)?;
        Ok(BothStates { vault, services, renewal_is_due })
    }

    /// Finishes with both what was left open. A creation or change that was carried out is not done again.
    async fn recover_before(&mut self, action: &'static str) -> Result<(), CredentialError> {
        let vault = self.vault()?.recover_before(action).await;
        if !matches!(vault, Ok(()) | Err(CredentialError::EarlierDone { .. })) {
            return vault;
        }
        self.services().desk()?.recover_before(action).await?;
        vault
    }

    async fn create(&mut self, minutes: Option<u32>, entry: &mut Entry<'_>) -> Result<BothCreated, CredentialError> {
        match self.recover_before(CREATE).await {
            // The password of then stands, for both.
            Err(CredentialError::EarlierDone { .. }) => return self.created(),
            recovered => recovered?,
        }
        let has_none = match self.vault()?.require_none().await {
            Err(CredentialError::Exists) => false,
            none => none.map(|()| true)?,
        };
        let services = self.services().desk()?.require_none().await;
        match services {
            Err(CredentialError::HeldElsewhere) if has_none => {
                let vault = self.vault()?.create(minutes, entry).await?;
                return Ok(BothCreated { vault, services: None });
            }
            none => none?,
        }
        self.services().desk()?.first_keys().await?;
        if has_none {
            self.vault()?.first_keys().await?;
        }
        let parts = new_parts(self.line.now(), &mut self.line.app.ports.random());
        // A password that stands already goes to the vault anew: so it is known to be the right one.
        let proven = if has_none { None } else { Some(self.vault()?.prove(CHANGE_PASSWORD, false).await?) };
        self.stage_services_creation(parts.salt, entry).await?;
        let mut vault = Desk::open(self.line)?;
        let Some(proven) = proven else {
            vault.stage_first(parts, minutes, entry).await?;
            vault.keep_question()?;
            vault.send_creation().await?;
            return self.finish_creation().await;
        };
        vault.stage_change(proven, parts, entry, None).await?;
        vault.keep_question()?;
        if !vault.send_change().await? {
            return Err(CredentialError::Overtaken);
        }
        self.finish_creation().await
    }

    async fn finish_creation(&mut self) -> Result<BothCreated, CredentialError> {
        self.services().desk()?.send_creation().await?;
        self.created()
    }

    fn created(&mut self) -> Result<BothCreated, CredentialError> {
        let vault = self.vault()?.created()?;
        let services = match self.services().desk()?.created() {
            Err(CredentialError::NoCredential) => None,
            created => Some(created?),
        };
        Ok(BothCreated { vault, services })
    }

    /// Stores the request for the first credential of services; it waits for the vault's password with this salt.
    async fn stage_services_creation(
        &mut self,
        after: PasswordSalt,
        entry: &mut Entry<'_>,
    ) -> Result<(), CredentialError> {
        let mut line = self.services();
        let mut desk = line.desk()?;
        let random = desk.line.random();
        let content = inner::fresh(&mut random.clone())?;
        let parts = new_parts(desk.line.now(), &mut random.clone());
        let place = place(&mut desk, 1)?;
        let password_salt = Base64::new(*parts.salt.as_bytes());
        let terms = desk.stage_creation(parts, entry, |keys| ServicesTerms {
            password_salt,
            secrets: inner::seal(place, &keys.inner, &content, random),
        });
        terms.await?;
        wait_for(&mut desk, after)
    }

    async fn change(&mut self, present: &mut Entry<'_>, new: &mut Entry<'_>) -> Result<(), CredentialError> {
        self.recover_before(CHANGE_PASSWORD).await?;
        if !super::is_held(&self.line.hold, self.line.member.guid)? {
            return self.vault()?.change_password(present, new).await;
        }
        let proven = self.vault()?.prove(CHANGE_PASSWORD, present.is_typed()).await?;
        let opened = self.open_secrets(present).await?;
        let parts = new_parts(self.line.now(), &mut self.line.app.ports.random());
        self.stage_services_change(parts.salt, &opened, present, new).await?;
        let mut vault = Desk::open(self.line)?;
        vault.stage_change(proven, parts, present, Some(new)).await?;
        vault.keep_question()?;
        if !vault.send_change().await? {
            return Err(CredentialError::Overtaken);
        }
        let is_changed = self.services().desk()?.send_change().await?;
        if is_changed { Ok(()) } else { Err(CredentialError::Overtaken) }
    }

    async fn open_secrets(&mut self, present: &mut Entry<'_>) -> Result<Layer, CredentialError> {
        open_secrets(&mut self.services().desk()?, present).await
    }

    /// Stores the request for a new password at services; it waits for the vault's password with this salt.
    async fn stage_services_change(
        &mut self,
        after: PasswordSalt,
        layer: &Layer,
        present: &mut Entry<'_>,
        new: &mut Entry<'_>,
    ) -> Result<(), CredentialError> {
        let mut line = self.services();
        let mut desk = line.desk()?;
        stage_change(&mut desk, layer, present, Some(new)).await?;
        wait_for(&mut desk, after)
    }
}

/// The content of the inner layer, and its number.
type Layer = (SecretBytes, u64);

async fn open_secrets<P: Ports>(
    desk: &mut Desk<'_, ServicesLine<'_, P>>,
    present: &mut Entry<'_>,
) -> Result<Layer, CredentialError>
where
    P::Services: MemberApi,
{
    let sealed = guarded(desk, OPEN_SECRETS, present, &json!({})).await?;
    let sealed: SealedSecrets =
        json::from_value(sealed).map_err(|_| CredentialError::Unreadable { action: OPEN_SECRETS })?;
    let held = held(desk)?;
    let place = place(desk, sealed.inner_seq)?;
    let content = inner::open(place, &present.keys(&held).await?.inner, &sealed)?;
    Ok((content, sealed.inner_seq))
}

/// Makes the request for another password at services, with salt and device secret of its own; without a new password, the
/// present one stays.
async fn stage_change<P: Ports>(
    desk: &mut Desk<'_, ServicesLine<'_, P>>,
    (content, inner_seq): &Layer,
    present: &mut Entry<'_>,
    new: Option<&mut Entry<'_>>,
) -> Result<(), CredentialError>
where
    P::Services: MemberApi,
{
    let proven = desk.prove(CHANGE_PASSWORD, true).await?;
    let random = desk.line.random();
    let parts = new_parts(desk.line.now(), &mut random.clone());
    let keys = match new {
        Some(new) => new.keys(&parts).await?,
        None => present.keys(&parts).await?,
    };
    let hash = StoredPassword::new(parts.salt, &keys.proof).to_string();
    let key = duplicate(&keys.inner);
    let place = place(desk, inner_seq.saturating_add(1))?;
    let make = |_: &Making| {
        let secrets = inner::seal(place, &key, content, random);
        let update = InnerUpdate { inner_seq: place.inner_seq, secrets, hash: Some(hash.clone()) };
        (update, Some(parts.duplicate()))
    };
    desk.stage(proven, present, make).await?;
    Ok(())
}

/// Another salt and device secret for the Services Credential, under the password that stands.
pub(super) async fn renew<P: Ports>(
    line: &mut ServicesLine<'_, P>,
    entry: &mut Entry<'_>,
) -> Result<(), CredentialError>
where
    P::Services: MemberApi,
{
    let mut desk = line.desk()?;
    match desk.recover_before(CHANGE_PASSWORD).await {
        // It was changed before the app died.
        Err(CredentialError::EarlierDone { .. }) => return Ok(()),
        recovered => recovered?,
    }
    let layer = open_secrets(&mut desk, entry).await?;
    stage_change(&mut desk, &layer, entry, None).await?;
    desk.keep_question()?;
    if desk.send_change().await? { Ok(()) } else { Err(CredentialError::Overtaken) }
}

/// What a layer of this number is bound to.
fn place<L: IssuerLine>(desk: &mut Desk<'_, L>, inner_seq: u64) -> Result<InnerPlace, CredentialError> {
    let state = desk.holder()?.state();
    Ok(InnerPlace { guid: state.guid, issuer: state.issuer, inner_seq })
}

fn held<L: IssuerLine>(desk: &mut Desk<'_, L>) -> Result<PasswordParts, CredentialError> {
    Ok(desk.holder()?.newest().ok_or(CredentialError::NoCredential)?.password.duplicate())
}

/// Stores the request that was made, with what it waits for.
fn wait_for<L: IssuerLine>(desk: &mut Desk<'_, L>, salt: PasswordSalt) -> Result<(), CredentialError> {
    desk.kept()?.after = Some(Base64::new(*salt.as_bytes()));
    desk.keep_question()
}
