//! The part of the HTTP API of services that concerns a member's credentials, as the client's port wants it.

use super::services::{HttpServices, answered, post};
use crate::https::Operator;
use vettid_client::member_api::{ActionCall, MemberApi};
use vettid_client::services::{ServicesAddress, ServicesError};
use vettid_wire::action::{ActionGranted, ActionRequest};
use vettid_wire::recovery::{
    AskRecoverySalt, DecideRecovery, EnterVault, RecoverCredentials, RecoveredCredentials, RecoveryDecided,
    RecoverySaltAnswer, VaultEntrance,
};

impl MemberApi for HttpServices {
    async fn grant(&self, at: ServicesAddress<'_>, request: &ActionRequest) -> Result<ActionGranted, ServicesError> {
        post(at, "/v1/actions", None, request).await
    }

    async fn act(&self, at: ServicesAddress<'_>, call: ActionCall<'_>) -> Result<Vec<u8>, ServicesError> {
        let operator = Operator::new(at.url, at.trust).map_err(super::services::unreachable)?;
        answered(operator.act(call.endpoint, (call.token, call.proof), call.body).await)
    }

    async fn recovery_salt(
        &self,
        at: ServicesAddress<'_>,
        asked: &AskRecoverySalt,
    ) -> Result<RecoverySaltAnswer, ServicesError> {
        post(at, "/v1/credentials/recover/salt", None, asked).await
    }

    async fn recover(
        &self,
        at: ServicesAddress<'_>,
        request: &RecoverCredentials,
    ) -> Result<RecoveredCredentials, ServicesError> {
        post(at, "/v1/credentials/recover", None, request).await
    }

    async fn enter_vault(&self, at: ServicesAddress<'_>, request: &EnterVault) -> Result<VaultEntrance, ServicesError> {
        post(at, "/v1/credentials/recover/enter", None, request).await
    }

    async fn decide_recovery(
        &self,
        at: ServicesAddress<'_>,
        request: &DecideRecovery,
    ) -> Result<RecoveryDecided, ServicesError> {
        post(at, "/v1/credentials/recover/decide", None, request).await
    }
}
