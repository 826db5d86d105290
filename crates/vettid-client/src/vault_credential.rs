//! The app's side of the Vault Credential (spec 2.6 to 2.9): making it, using it, and coming back from any crash in between.
//! The flows over any issuer (`desk`, `proof`, `recovery`, `create`) serve the Services Credential as well.
//!
//! Must never send a request that is not stored, take a password before the vault proved itself, or write over the package
//! that an answer was derived from. Nothing secret is in an error, in `Debug` or in a log.

pub(crate) mod create;
pub(crate) mod desk;
pub(crate) mod failure;
mod grant;
pub(crate) mod issuer_line;
pub(crate) mod kept;
mod limited;
pub(crate) mod password;
mod proof;
mod recovery;
pub(crate) mod replace;
mod secret;
mod terms;
mod value;
mod vault_line;

pub use create::Created;
pub use desk::CredentialState;
pub use failure::CredentialError;
pub use grant::GrantKept;
pub use password::{Derivation, NoPassword, PasswordSource};
pub use secret::{Added, Gained, NewSecret};
pub use value::{SecretValue, UnfitValue, signing_key_from_hex};

use crate::app::{App, Ports};
use crate::services_credential;
use desk::Desk;
use password::Entry;
use vettid_wire::agreement::{FreePayments, PermitTerms, TermsPermitted};
use vettid_wire::authorisation::{PermitRequest, RequestPermitted};
use vettid_wire::id::SecretId;
use vettid_wire::login::{LoginPermitted, PermitLogin};
use vettid_wire::secret::{Action, Add, GrantRef, OpenGrant, SecretSummary, UseSecret};

/// Opens the line, runs one flow over it, confirms what it left unconfirmed, and closes it.
macro_rules! over_the_line {
    ($app:ident, $desk:ident => $flow:expr) => {{
        let mut line = $app.open().await?;
        let outcome = async {
            let mut $desk = Desk::open(&mut line)?;
            let outcome = async { $flow }.await;
            $desk.finish().await;
            outcome
        }
        .await;
        line.close().await;
        outcome
    }};
}

impl<P: Ports> App<P> {
    /// How the credential stands, at the vault and here. Finishes first what was left open.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn credential_state(&self) -> Result<CredentialState, CredentialError> {
        over_the_line!(self, desk => {
            desk.recover().await?;
            desk.state().await
        })
    }

    /// Makes the Vault Credential alone, once; [`App::create_credentials`] makes both. `grant_minutes` is the longest life of a grant: 5 to 60, or 0 for none; absent: 15.
    ///
    /// # Errors
    /// [`CredentialError`], among them [`CredentialError::Exists`].
    pub async fn create_credential(
        &self,
        grant_minutes: Option<u32>,
        password: &mut dyn PasswordSource,
    ) -> Result<Created, CredentialError> {
        over_the_line!(self, desk => desk.create(grant_minutes, &mut Entry::new(password)).await)
    }

    /// Replaces the password of an app that holds the Vault Credential alone; [`App::change_passwords`] looks for both. The
    /// present one is asked for first.
    ///
    /// # Errors
    /// [`CredentialError`], among them [`CredentialError::NotAlone`].
    pub async fn change_password(
        &self,
        present: &mut dyn PasswordSource,
        new: &mut dyn PasswordSource,
    ) -> Result<(), CredentialError> {
        over_the_line!(self, desk => {
            services_credential::require_none_here(desk.line)?;
            desk.change_password(&mut Entry::new(present), &mut Entry::new(new)).await
        })
    }

    /// Proves the password where the vault remembers no earlier session of this app, so that it takes commands again.
    /// `false` if it takes them already; then no password is asked for.
    ///
    /// # Errors
    /// [`CredentialError`], among them [`CredentialError::NoCredential`] where there is no password to prove.
    pub async fn restore_session(&self, password: &mut dyn PasswordSource) -> Result<bool, CredentialError> {
        over_the_line!(self, desk => desk.restore_session(&mut Entry::new(password)).await)
    }

    /// Gives an operation up whose outcome cannot be found out: it may have been carried out, once. `false` if none is open.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn give_up_operation(&self) -> Result<bool, CredentialError> {
        over_the_line!(self, desk => desk.give_up())
    }

    /// The secrets without their values, oldest first. Finishes first what was left open, so the list is whole.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn secrets(&self) -> Result<Vec<SecretSummary>, CredentialError> {
        over_the_line!(self, desk => {
            desk.recover().await?;
            desk.list().await
        })
    }

    /// Adds secrets under one entry of the password and tells of each once its package is stored, before that is confirmed.
    /// What one cannot be stored stops no other; anything else ends it, and what was told stands.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn add_secrets(
        &self,
        secrets: Vec<NewSecret>,
        password: &mut dyn PasswordSource,
        tell: &mut (dyn FnMut(Added) + Send),
    ) -> Result<(), CredentialError> {
        over_the_line!(self, desk => desk.add_all(secrets, &mut Entry::new(password), tell).await)
    }

    /// Adds one secret.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn add_secret(
        &self,
        secret: NewSecret,
        password: &mut dyn PasswordSource,
    ) -> Result<SecretSummary, CredentialError> {
        over_the_line!(self, desk => {
            desk.recover_before(Add::NAME).await?;
            desk.add(&secret, &mut Entry::new(password)).await
        })
    }

    /// Uses a secret once: under an open grant where there is one, else with the password.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn use_secret(
        &self,
        wanted: UseSecret,
        password: &mut dyn PasswordSource,
    ) -> Result<Gained, CredentialError> {
        over_the_line!(self, desk => desk.use_secret(wanted, &mut Entry::new(password)).await)
    }

    /// Replaces the value of a secret by another of the same kind.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn rotate_secret(
        &self,
        secret_id: SecretId,
        value: SecretValue,
        password: &mut dyn PasswordSource,
    ) -> Result<SecretSummary, CredentialError> {
        over_the_line!(self, desk => desk.rotate(secret_id, &value, &mut Entry::new(password)).await)
    }

    /// Removes a secret for good.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn remove_secret(
        &self,
        secret_id: SecretId,
        password: &mut dyn PasswordSource,
    ) -> Result<(), CredentialError> {
        over_the_line!(self, desk => desk.remove(secret_id, &mut Entry::new(password)).await)
    }

    /// Opens a grant: one operation with one secret goes without the password for a while.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn open_grant(
        &self,
        wanted: OpenGrant,
        password: &mut dyn PasswordSource,
    ) -> Result<GrantKept, CredentialError> {
        over_the_line!(self, desk => desk.open_grant(wanted, &mut Entry::new(password)).await)
    }

    /// Agrees to the terms of a payment with the password, for one step within five minutes.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn permit_terms(
        &self,
        terms: PermitTerms,
        password: &mut dyn PasswordSource,
    ) -> Result<TermsPermitted, CredentialError> {
        over_the_line!(self, desk => desk.permit(&terms, &mut Entry::new(password)).await)
    }

    /// Agrees to one login from an unknown browser with the password.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn permit_login(
        &self,
        asked: PermitLogin,
        password: &mut dyn PasswordSource,
    ) -> Result<LoginPermitted, CredentialError> {
        over_the_line!(self, desk => desk.permit_login(&asked, &mut Entry::new(password)).await)
    }

    /// Approves a payment or transaction of a service with the password, for one answer within five minutes.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn permit_request(
        &self,
        request: PermitRequest,
        password: &mut dyn PasswordSource,
    ) -> Result<RequestPermitted, CredentialError> {
        over_the_line!(self, desk => desk.permit_request(&request, &mut Entry::new(password)).await)
    }

    /// Says with the password up to how much a payment that a service asks for needs none.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn free_requests(
        &self,
        limit: FreePayments,
        password: &mut dyn PasswordSource,
    ) -> Result<FreePayments, CredentialError> {
        over_the_line!(self, desk => desk.free_requests(&limit, &mut Entry::new(password)).await)
    }

    /// Says with the password up to how much a payment needs none.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn free_payments(
        &self,
        limit: FreePayments,
        password: &mut dyn PasswordSource,
    ) -> Result<FreePayments, CredentialError> {
        over_the_line!(self, desk => desk.free(&limit, &mut Entry::new(password)).await)
    }

    /// Ends a grant before its time.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn end_grant(&self, grant: GrantRef) -> Result<(), CredentialError> {
        over_the_line!(self, desk => desk.end_grant(grant).await)
    }
}
