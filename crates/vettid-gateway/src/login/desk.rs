//! The pages that wait, by login. Bounded, in memory alone: after a restart a page begins again.

use super::{Begun, LoginError, LoginProgress, Verifier, WaitingLogin, WaitingPage};
use crate::question::{BrowserProof, LoginRequest, Outcome};
use crate::share;
use rand_core::CryptoRng;
use std::collections::HashMap;
use vettid_wire::base64::Base64Url;
use vettid_wire::id::{ConnectionId, LoginId, MemberId, RequestId, ServiceId};
use vettid_wire::key::TypedKey;
use vettid_wire::login::{BrowserKeyKind, LoginOpened};
use vettid_wire::time::Timestamp;

/// How the logins of a service are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The service.
    pub service_id: ServiceId,
    /// Its sites.
    pub origins: Vec<String>,
    /// Page of the member's app that a link opens, if there is one.
    pub link_page: Option<String>,
    /// Whether an unknown browser may be let in by a number.
    pub numbers: bool,
    /// What has to keep the key of a browser.
    pub key_kind: BrowserKeyKind,
    /// Most pages that wait at once.
    pub most: usize,
}

/// The pages that wait.
#[derive(Debug)]
pub struct Desk {
    rules: Rules,
    logins: HashMap<LoginId, WaitingLogin>,
}

impl Desk {
    /// An empty desk.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, logins: HashMap::new() }
    }

    /// A page of a program of the service begins to wait.
    ///
    /// # Errors
    /// [`LoginError::Page`] for a site that is not the service's own, [`LoginError::TooMany`].
    pub fn begin(&mut self, now: Timestamp, rng: &mut dyn CryptoRng, page: WaitingPage) -> Result<Begun, LoginError> {
        self.add(now, rng, page, false)
    }

    /// A page begins to wait that anybody may open. Such pages leave room for those of programs.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_for_anybody(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        page: WaitingPage,
    ) -> Result<Begun, LoginError> {
        self.add(now, rng, page, true)
    }

    fn add(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        page: WaitingPage,
        for_anybody: bool,
    ) -> Result<Begun, LoginError> {
        self.logins.retain(|_, login| login.is_kept(now));
        let most = self.rules.most;
        let of_anybody = || self.logins.values().filter(|login| login.for_anybody).count();
        if self.logins.len() >= most || (for_anybody && of_anybody() >= share::of_anybody(most)) {
            return Err(LoginError::TooMany);
        }
        if !self.rules.origins.contains(&page.origin) {
            return Err(LoginError::Page);
        }
        let (login, begun) = WaitingLogin::begin(now, rng, &self.rules, page)?;
        self.logins.insert(login.login_id, WaitingLogin { for_anybody, ..login });
        Ok(begun)
    }

    /// The waiting browser shows its key.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn prove(
        &mut self,
        now: Timestamp,
        (id, verifier): (LoginId, &Verifier),
        proof: BrowserProof,
    ) -> Result<(), LoginError> {
        self.of(now, id, verifier)?.prove(proof)
    }

    /// A member's app opened a link: the question for that member, if the page still waits for somebody.
    pub fn opened(
        &mut self,
        now: Timestamp,
        by: (ConnectionId, MemberId),
        opened: &LoginOpened,
    ) -> Option<LoginRequest> {
        self.logins.get_mut(&opened.login_id)?.opened(now, by, opened.other_device)
    }

    /// The key that the waiting browser showed.
    ///
    /// # Errors
    /// [`LoginError::Unknown`].
    pub fn key_of(&mut self, now: Timestamp, id: LoginId, verifier: &Verifier) -> Result<Option<TypedKey>, LoginError> {
        Ok(self.of(now, id, verifier)?.browser.as_ref().map(|proof| proof.key.clone()))
    }

    /// The question for the member of a connection, without a link. `is_known` says that the browser's key is one of that
    /// connection.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn push(
        &mut self,
        now: Timestamp,
        (id, verifier): (LoginId, &Verifier),
        by: (ConnectionId, MemberId),
        is_known: bool,
    ) -> Result<LoginRequest, LoginError> {
        self.of(now, id, verifier)?.push(by, is_known)
    }

    /// The request that a login asks the member with, for the waiting browser alone.
    ///
    /// # Errors
    /// [`LoginError::Unknown`].
    pub fn request_of(
        &mut self,
        now: Timestamp,
        id: LoginId,
        verifier: &Verifier,
    ) -> Result<Option<RequestId>, LoginError> {
        let login = self.of(now, id, verifier)?;
        Ok(login.asked.map(|_| login.prepared.request_id))
    }

    /// How far a login is, for the waiting browser alone. `outcome` is what became of the question, once it ended; `code` what
    /// the browser brought back.
    ///
    /// # Errors
    /// [`LoginError::Unknown`].
    pub fn progress(
        &mut self,
        now: Timestamp,
        (id, verifier): (LoginId, &Verifier),
        outcome: Option<&Outcome>,
        code: Option<&Base64Url>,
    ) -> Result<LoginProgress, LoginError> {
        Ok(self.of(now, id, verifier)?.progress(outcome, code))
    }

    /// The waiting browser waits no more. An answer to its question comes to nothing.
    pub fn give_up(&mut self, now: Timestamp, id: LoginId, verifier: &Verifier) {
        if self.of(now, id, verifier).is_ok() {
            self.logins.remove(&id);
        }
    }

    fn of(&mut self, now: Timestamp, id: LoginId, verifier: &Verifier) -> Result<&mut WaitingLogin, LoginError> {
        let login = self.logins.get_mut(&id).ok_or(LoginError::Unknown)?;
        if login.is_of(now, verifier) { Ok(login) } else { Err(LoginError::Unknown) }
    }
}
