//! The password for payments and logins that the owner agrees to.

use super::desk::Desk;
use super::failure::CredentialError;
use super::password::Entry;
use crate::app::Ports;
use crate::line::Line;
use vettid_wire::agreement::{FreePayments, PermitTerms, TermsPermitted};
use vettid_wire::authorisation::{PermitRequest, RequestPermitted};
use vettid_wire::login::{LoginPermitted, PermitLogin};
use vettid_wire::secret::{self, Free, FreeRequests, Permit, PermitAnswer};

impl<P: Ports> Desk<'_, Line<'_, P>> {
    /// Agrees to terms, for one step.
    pub(super) async fn permit(
        &mut self,
        terms: &PermitTerms,
        entry: &mut Entry<'_>,
    ) -> Result<TermsPermitted, CredentialError> {
        Ok(self.perform::<Permit>(entry, |_| terms.clone()).await?.outcome)
    }

    /// Agrees to one login from an unknown browser.
    pub(super) async fn permit_login(
        &mut self,
        asked: &PermitLogin,
        entry: &mut Entry<'_>,
    ) -> Result<LoginPermitted, CredentialError> {
        Ok(self.perform::<secret::PermitLogin>(entry, |_| asked.clone()).await?.outcome)
    }

    /// Approves a request of a service, for one answer.
    pub(super) async fn permit_request(
        &mut self,
        request: &PermitRequest,
        entry: &mut Entry<'_>,
    ) -> Result<RequestPermitted, CredentialError> {
        Ok(self.perform::<PermitAnswer>(entry, |_| request.clone()).await?.outcome)
    }

    /// Says up to how much a payment that a service asks for needs no password.
    pub(super) async fn free_requests(
        &mut self,
        limit: &FreePayments,
        entry: &mut Entry<'_>,
    ) -> Result<FreePayments, CredentialError> {
        Ok(self.perform::<FreeRequests>(entry, |_| limit.clone()).await?.outcome)
    }

    /// Says up to how much a payment needs no password.
    pub(super) async fn free(
        &mut self,
        limit: &FreePayments,
        entry: &mut Entry<'_>,
    ) -> Result<FreePayments, CredentialError> {
        Ok(self.perform::<Free>(entry, |_| limit.clone()).await?.outcome)
    }
}
