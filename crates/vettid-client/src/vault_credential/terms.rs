//! The password for payments that the owner agrees to.

use super::desk::Desk;
use super::failure::CredentialError;
use super::password::Entry;
use crate::app::Ports;
use crate::line::Line;
use vettid_wire::agreement::{FreePayments, PermitTerms, TermsPermitted};
use vettid_wire::secret::{Free, Permit};

impl<P: Ports> Desk<'_, Line<'_, P>> {
    /// Agrees to terms, for one step.
    pub(super) async fn permit(
        &mut self,
        terms: &PermitTerms,
        entry: &mut Entry<'_>,
    ) -> Result<TermsPermitted, CredentialError> {
        Ok(self.perform::<Permit>(entry, |_| terms.clone()).await?.outcome)
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
