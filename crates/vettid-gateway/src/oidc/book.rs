//! What the provider must not forget: codes, grants with their tokens, sessions, browsers, used assertions. Pure steps over
//! given time and randomness; the shell commits what changed before it answers, so a kill brings no code back to life and
//! forgets no revocation.

use super::decoupled::BackchannelAsk;
use super::failure::Failure;
use super::handle::{Handle, HandleHash};
use super::notice::Notice;
use super::shelf::Shelf;
use crate::state::{Draft, Loaded, StateError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

/// A code lives this long, in milliseconds.
pub(super) const CODE_LIFE_MS: i64 = 60_000;
/// Most codes, grants and sessions that are kept at once, each.
const MOST: usize = 200_000;

/// A login that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    /// Who.
    pub connection_id: ConnectionId,
    /// The session that it belongs to. Clients know it by another name, each sector by one of its own.
    pub sid: String,
    /// When the member approved.
    pub auth_time: Timestamp,
    /// How the member was recognised (RFC 8176).
    pub amr: Vec<String>,
}

/// A code, by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// For whom.
    pub client_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// Who may redeem it: the holder of this one's verifier.
    pub challenge: String,
    /// For the ID token.
    pub nonce: Option<String>,
    /// What was asked for.
    pub scope: BTreeSet<String>,
    /// The login.
    pub login: Login,
    /// Not taken later.
    pub expires_at: Timestamp,
    /// What became of it, once it was shown.
    pub shown: Option<Shown>,
}

/// A code that was shown is dead; its traces stay, so that a second time is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    /// By somebody who could not have it.
    InVain,
    /// It became this grant.
    Grant(String),
}

/// What a client may do for a member, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// For whom.
    pub client_id: String,
    /// What was asked for.
    pub scope: BTreeSet<String>,
    /// The login.
    pub login: Login,
    /// Access tokens and their ends.
    pub access: BTreeMap<HandleHash, Timestamp>,
    /// The refresh token, if there is one.
    pub refresh: Option<Refresh>,
    /// The end of the whole.
    pub ends_at: Timestamp,
}

/// The one refresh token that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refresh {
    /// The part that stays over rotations: whoever shows it had a token of this grant.
    pub family: String,
    /// The token.
    pub token: HandleHash,
}

/// A member who is logged in with one browser, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The login.
    pub login: Login,
    /// Not taken later.
    pub ends_at: Timestamp,
    /// Who was told of it.
    pub clients: BTreeSet<String>,
}

/// A browser, by the hash of its cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Browser {
    /// Who used it last.
    pub connection_id: ConnectionId,
    /// The session, while there is one.
    pub sid: Option<String>,
    /// Forgotten then.
    pub ends_at: Timestamp,
}

/// A session that has just ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Over {
    /// Its name.
    pub sid: String,
    /// Whose it was.
    pub connection_id: ConnectionId,
    /// Who is to be told.
    pub clients: BTreeSet<String>,
}

/// Fresh texts for one answer of the token endpoint.
#[derive(Debug)]
pub(super) struct Fresh {
    /// Names a new grant.
    pub grant_id: String,
    /// The access token.
    pub access: Handle,
    /// Two random parts for a refresh token.
    pub refresh: [[u8; 32]; 2],
}

/// How long things live, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lives {
    /// Access tokens.
    pub access_ms: i64,
    /// Grants with a refresh token, from the login on.
    pub refresh_ms: i64,
    /// Sessions.
    pub session_ms: i64,
    /// What a browser is known by.
    pub browser_ms: i64,
}

/// What the token endpoint hands out.
#[derive(Debug)]
pub(super) struct Issued {
    /// The access token.
    pub access: Handle,
    /// The refresh token, if the client may have one.
    pub refresh: Option<Handle>,
    /// The grant.
    pub grant: Grant,
    /// For the ID token.
    pub nonce: Option<String>,
}

/// Who shows a code, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redeemer<'a> {
    /// The client that authenticated.
    pub client_id: &'a str,
    /// The address that it names.
    pub redirect_uri: &'a str,
    /// The challenge to the verifier that it shows.
    pub challenge: &'a str,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Book {
    pub(super) codes: Shelf<Code>,
    pub(super) grants: Shelf<Grant>,
    pub(super) sessions: Shelf<Session>,
    pub(super) browsers: Shelf<Browser>,
    pub(super) assertions: Shelf<Timestamp>,
    pub(super) asks: Shelf<BackchannelAsk>,
    pub(super) notices: Shelf<Notice>,
    by_access: HashMap<HandleHash, String>,
    by_family: HashMap<String, String>,
}

impl Book {
    /// Nothing yet.
    #[cfg(test)]
    pub(super) fn empty() -> Self {
        Self {
            codes: Shelf::empty("oidc/code/"),
            grants: Shelf::empty("oidc/grant/"),
            sessions: Shelf::empty("oidc/session/"),
            browsers: Shelf::empty("oidc/browser/"),
            assertions: Shelf::empty("oidc/assertion/"),
            asks: Shelf::empty("oidc/ask/"),
            notices: Shelf::empty("oidc/notice/"),
            by_access: HashMap::new(),
            by_family: HashMap::new(),
        }
    }

    /// What the state holds.
    pub(crate) fn load(loaded: &Loaded) -> Result<Self, StateError> {
        let grants: Shelf<Grant> = Shelf::load("oidc/grant/", loaded)?;
        let (mut by_access, mut by_family) = (HashMap::new(), HashMap::new());
        for (grant_id, grant) in grants.iter() {
            by_access.extend(grant.access.keys().map(|hash| (hash.clone(), grant_id.clone())));
            by_family.extend(grant.refresh.iter().map(|refresh| (refresh.family.clone(), grant_id.clone())));
        }
        Ok(Self {
            codes: Shelf::load("oidc/code/", loaded)?,
            grants,
            sessions: Shelf::load("oidc/session/", loaded)?,
            browsers: Shelf::load("oidc/browser/", loaded)?,
            assertions: Shelf::load("oidc/assertion/", loaded)?,
            asks: Shelf::load("oidc/ask/", loaded)?,
            notices: Shelf::load("oidc/notice/", loaded)?,
            by_access,
            by_family,
        })
    }

    /// Puts everything that changed into a commit.
    pub(super) fn write(&mut self, draft: &mut Draft) -> Result<(), StateError> {
        self.codes.write(draft)?;
        self.grants.write(draft)?;
        self.sessions.write(draft)?;
        self.browsers.write(draft)?;
        self.assertions.write(draft)?;
        self.asks.write(draft)?;
        self.notices.write(draft)
    }

    /// Keeps a new code, if the session that it is for has not ended meanwhile.
    pub(super) fn add_code(&mut self, now: Timestamp, hash: &HandleHash, code: Code) -> Result<(), Failure> {
        let session = self.sessions.get(&code.login.sid);
        if session.is_none_or(|session| session.ends_at < now) {
            return Err(Failure::new("login_required", "the session has ended"));
        }
        if self.codes.len() >= MOST || self.grants.len() >= MOST {
            return Err(Failure::unavailable());
        }
        self.codes.put(hash.as_str(), code);
        Ok(())
    }

    /// Makes a grant of a code, once. Whoever shows a code that is not theirs kills it; whoever shows one a second time ends
    /// what the first time gave (RFC 9700 section 2.1.1).
    pub(super) fn redeem(
        &mut self,
        now: Timestamp,
        code: &str,
        by: Redeemer<'_>,
        lives: Lives,
        fresh: Fresh,
    ) -> Result<Issued, Failure> {
        let hash = HandleHash::of(code);
        let found = self.codes.change(hash.as_str()).ok_or(Failure::invalid_grant())?;
        match &found.shown {
            Some(Shown::Grant(grant_id)) => {
                let grant_id = grant_id.clone();
                self.end_grant(&grant_id);
                return Err(Failure::invalid_grant());
            }
            Some(Shown::InVain) => return Err(Failure::invalid_grant()),
            None => {}
        }
        let right = found.client_id == by.client_id
            && found.redirect_uri == by.redirect_uri
            && found.challenge == by.challenge
            && now <= found.expires_at;
        if !right {
            found.shown = Some(Shown::InVain);
            return Err(Failure::invalid_grant());
        }
        found.shown = Some(Shown::Grant(fresh.grant_id.clone()));
        let code = found.clone();
        Ok(self.grant(now, &code.client_id, code.scope, code.login, code.nonce, lives, fresh))
    }

    /// A new grant with its tokens.
    #[expect(clippy::too_many_arguments, reason = "each is one part of a grant")]
    pub(super) fn grant(
        &mut self,
        now: Timestamp,
        client_id: &str,
        scope: BTreeSet<String>,
        login: Login,
        nonce: Option<String>,
        lives: Lives,
        fresh: Fresh,
    ) -> Issued {
        let lasts = scope.contains("offline_access");
        let ends_at = now.plus_ms(if lasts { lives.refresh_ms } else { lives.access_ms });
        let access = BTreeMap::from([(fresh.access.hash(), now.plus_ms(lives.access_ms).min(ends_at))]);
        let [family, token] = fresh.refresh;
        let (refresh, kept) = if lasts {
            let family = Handle::new(family);
            let family = family.hash().as_str().to_owned();
            let handle = Handle::in_two(&family, token);
            let kept = Refresh { family, token: handle.hash() };
            (Some(handle), Some(kept))
        } else {
            (None, None)
        };
        let grant = Grant { client_id: client_id.to_owned(), scope, login, access, refresh: kept, ends_at };
        self.index(&fresh.grant_id, &grant);
        self.grants.put(&fresh.grant_id, grant.clone());
        if let Some(session) = self.sessions.change(&grant.login.sid) {
            session.clients.insert(client_id.to_owned());
        }
        Issued { access: fresh.access, refresh, grant, nonce }
    }

    fn index(&mut self, grant_id: &str, grant: &Grant) {
        self.by_access.extend(grant.access.keys().map(|hash| (hash.clone(), grant_id.to_owned())));
        self.by_family.extend(grant.refresh.iter().map(|refresh| (refresh.family.clone(), grant_id.to_owned())));
    }

    /// Whose refresh token this is, as far as its lasting part tells.
    pub(super) fn grant_of_refresh(&self, token: &str) -> Option<&Grant> {
        let (family, _) = token.split_once('.')?;
        self.grants.get(self.by_family.get(family)?)
    }

    /// Replaces a refresh token by the next one. A token that was replaced before ends the grant: two hold it, and one of
    /// them stole it (RFC 9700 section 4.14.2).
    pub(super) fn rotate(
        &mut self,
        now: Timestamp,
        token: &str,
        client_id: &str,
        lives: Lives,
        fresh: Fresh,
    ) -> Result<Issued, Failure> {
        let none = Failure::invalid_grant;
        let (family, _) = token.split_once('.').ok_or_else(none)?;
        let grant_id = self.by_family.get(family).cloned().ok_or_else(none)?;
        let grant = self.grants.get(&grant_id).ok_or_else(none)?;
        if grant.client_id != client_id || now > grant.ends_at {
            return Err(none());
        }
        if grant.refresh.as_ref().is_none_or(|refresh| refresh.token != HandleHash::of(token)) {
            self.end_grant(&grant_id);
            return Err(none());
        }
        let [_, random] = fresh.refresh;
        let next = Handle::in_two(family, random);
        let grant = self.grants.change(&grant_id).ok_or_else(none)?;
        let over: Vec<HandleHash> =
            grant.access.iter().filter(|(_, end)| **end < now).map(|(hash, _)| hash.clone()).collect();
        grant.access.retain(|_, end| *end >= now);
        grant.access.insert(fresh.access.hash(), now.plus_ms(lives.access_ms).min(grant.ends_at));
        grant.refresh = Some(Refresh { family: family.to_owned(), token: next.hash() });
        let grant = grant.clone();
        over.iter().for_each(|hash| drop(self.by_access.remove(hash)));
        self.index(&grant_id, &grant);
        Ok(Issued { access: fresh.access, refresh: Some(next), grant, nonce: None })
    }

    /// The grant behind an access token that counts.
    pub(super) fn access(&self, now: Timestamp, token: &str) -> Option<&Grant> {
        let hash = HandleHash::of(token);
        let grant = self.grants.get(self.by_access.get(&hash)?)?;
        grant.access.get(&hash).is_some_and(|end| now <= *end).then_some(grant)
    }

    /// Ends whatever a token of this client belongs to (RFC 7009); a token that is not known is over already.
    pub(super) fn revoke_token(&mut self, token: &str, client_id: &str) {
        let by_family = token.split_once('.').and_then(|(family, _)| self.by_family.get(family));
        let grant_id = self.by_access.get(&HandleHash::of(token)).or(by_family).cloned();
        let Some(grant_id) = grant_id else {
            return;
        };
        if self.grants.get(&grant_id).is_some_and(|grant| grant.client_id == client_id) {
            self.end_grant(&grant_id);
        }
    }

    /// Ends a grant with all its tokens.
    pub(super) fn end_grant(&mut self, grant_id: &str) {
        if let Some(grant) = self.grants.remove(grant_id) {
            grant.access.keys().for_each(|hash| drop(self.by_access.remove(hash)));
            grant.refresh.iter().for_each(|refresh| drop(self.by_family.remove(&refresh.family)));
        }
    }

    /// Takes a login of a browser, which gets a new cookie; the one before counts no more. A session that the browser had of the
    /// same connection goes on under its name and with its clients; one of another connection ends. Gives the login as it
    /// counts, and what ended.
    pub(super) fn begin_session(
        &mut self,
        now: Timestamp,
        before: Option<&HandleHash>,
        cookie: &HandleHash,
        mut login: Login,
        lives: Lives,
    ) -> (Login, Option<Over>) {
        let former = before.and_then(|before| self.browsers.remove(before.as_str()));
        let (mut clients, mut over) = (BTreeSet::new(), None);
        match former.and_then(|browser| Some((browser.connection_id, browser.sid?))) {
            Some((connection_id, sid)) if connection_id == login.connection_id => {
                clients = self.clients_of(&sid);
                login.sid = sid;
            }
            Some((_, sid)) => over = self.end_session(&sid),
            None => {}
        }
        let (connection_id, sid) = (login.connection_id, login.sid.clone());
        let session = Session { login: login.clone(), ends_at: now.plus_ms(lives.session_ms), clients };
        self.sessions.put(&sid, session);
        let browser = Browser { connection_id, sid: Some(sid), ends_at: now.plus_ms(lives.browser_ms) };
        self.browsers.put(cookie.as_str(), browser);
        (login, over)
    }

    /// The clients of a session, also of one that ended by itself while they have grants of it.
    fn clients_of(&self, sid: &str) -> BTreeSet<String> {
        let told = self.sessions.get(sid).into_iter().flat_map(|session| &session.clients);
        let grants = self.grants.iter().filter(|(_, grant)| grant.login.sid == sid);
        told.chain(grants.map(|(_, grant)| &grant.client_id)).cloned().collect()
    }

    /// The session of a browser, if it lasts.
    pub(super) fn session(&self, now: Timestamp, cookie: &HandleHash) -> Option<&Session> {
        let browser = self.browsers.get(cookie.as_str())?;
        self.sessions.get(browser.sid.as_deref()?).filter(|session| now <= session.ends_at)
    }

    /// Whose a session is, also one that ended by itself while there are grants of it.
    pub(super) fn connection_of_session(&self, sid: &str) -> Option<ConnectionId> {
        let of_grant = || self.grants.iter().find(|(_, grant)| grant.login.sid == sid).map(|(_, grant)| &grant.login);
        self.sessions.get(sid).map(|session| &session.login).or_else(of_grant).map(|login| login.connection_id)
    }

    /// The sessions that a client has heard of: those that last, and those of which it still has a grant.
    pub(super) fn sids_of(&self, client_id: &str) -> BTreeSet<String> {
        let sessions = self.sessions.iter().filter(|(_, session)| session.clients.contains(client_id));
        let grants = self.grants.iter().filter(|(_, grant)| grant.client_id == client_id);
        let sids = sessions.map(|(sid, _)| sid).chain(grants.map(|(_, grant)| &grant.login.sid));
        sids.cloned().collect()
    }

    /// Whoever used this browser last.
    pub(super) fn known(&self, now: Timestamp, cookie: &HandleHash) -> Option<ConnectionId> {
        let browser = self.browsers.get(cookie.as_str())?;
        (now <= browser.ends_at).then_some(browser.connection_id)
    }

    /// Ends a session and every grant that came from it, also if it ended by itself before; gives whose it was, so that its
    /// clients are told.
    pub(super) fn end_session(&mut self, sid: &str) -> Option<Over> {
        let (connection_id, clients) = (self.connection_of_session(sid), self.clients_of(sid));
        self.sessions.remove(sid);
        let grants = self.grants.iter().filter(|(_, grant)| grant.login.sid == sid);
        let grants: Vec<String> = grants.map(|(grant_id, _)| grant_id.clone()).collect();
        grants.iter().for_each(|grant_id| self.end_grant(grant_id));
        let codes = self.codes.iter().filter(|(_, code)| code.login.sid == sid && code.shown.is_none());
        let codes: Vec<String> = codes.map(|(name, _)| name.clone()).collect();
        codes.iter().for_each(|name| drop(self.codes.remove(name)));
        let browsers = self.browsers.iter().filter(|(_, browser)| browser.sid.as_deref() == Some(sid));
        let browsers: Vec<String> = browsers.map(|(name, _)| name.clone()).collect();
        for name in browsers {
            if let Some(browser) = self.browsers.change(&name) {
                browser.sid = None;
            }
        }
        Some(Over { sid: sid.to_owned(), connection_id: connection_id?, clients })
    }

    /// Takes the id of an assertion, once.
    pub(super) fn take_assertion(&mut self, now: Timestamp, client_id: &str, id: &str, until: Timestamp) -> bool {
        let name = HandleHash::of(&format!("{client_id}\n{id}"));
        let is_new = self.assertions.get(name.as_str()).is_none_or(|end| *end < now) && self.assertions.len() < MOST;
        if is_new {
            self.assertions.put(name.as_str(), until);
        }
        is_new
    }

    /// Forgets what is over. A code that became a grant is remembered as long as the grant.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let over = self.grants.iter().filter(|(_, grant)| grant.ends_at < now);
        let over: Vec<String> = over.map(|(grant_id, _)| grant_id.clone()).collect();
        over.iter().for_each(|grant_id| self.end_grant(grant_id));
        let grants = &self.grants;
        self.codes.remove_if(|code| match &code.shown {
            Some(Shown::Grant(grant_id)) => grants.get(grant_id).is_none() && code.expires_at < now,
            _ => code.expires_at < now,
        });
        self.sessions.remove_if(|session| session.ends_at < now);
        self.browsers.remove_if(|browser| browser.ends_at < now);
        self.assertions.remove_if(|end| *end < now);
        self.asks.remove_if(|ask| ask.kept_until() < now);
    }
}

#[cfg(test)]
mod tests;
