//! Accounts of members: opening one, and knowing a member by the portal's token.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use vettid_core::enrolment::BearerToken;
use vettid_store::account::{Account, AccountName};
use vettid_store::audit::{Act, Actor};
use vettid_wire::enrolment::{AccountCreated, CreateAccount};

impl ControlPlane {
    /// Opens an account. The token is shown this once.
    pub(crate) async fn open_account(&self, request: CreateAccount) -> Result<AccountCreated, ApiError> {
        let name: AccountName = request.name.parse().map_err(|_| ApiError::InvalidRequest)?;
        let token = BearerToken::random(&mut self.rng());
        let guid = self.member_id();
        let account = Account { guid, name, portal_token_hash: token.hash(), created_at: self.now() };
        self.ledger.open_account(&account, &self.entry(Actor::Anonymous, Act::AccountOpened(guid))).await?;
        Ok(AccountCreated { guid, portal_token: token.expose() })
    }

    /// The member of a portal session.
    pub(crate) async fn member(&self, token: &BearerToken) -> Result<Account, ApiError> {
        self.ledger.account_of_token(token.hash()).await?.ok_or(ApiError::Unauthorized)
    }
}
