//! The claim about an account: exports, imports, limits, scoped signing keys, revocations.
//! Must never sign an account with a role that has no list of subjects, nor one whose identity key also signs users.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vettid_wire::time::Timestamp;

use super::key::{Account, AccountPublic, Operator, OperatorKey, OperatorPublic, UserPublic};
use super::permission::{NO_LIMIT, Permissions, Subjects, is_subject};
use super::token::{AccountJwt, TokenError, Validity, Verified, decode, encode};

/// What crosses the border of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// From the exporter to the importer; no answer.
    Stream,
    /// From the importer to the exporter, with an answer.
    Service,
}

/// How many answers a service gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseType {
    /// One.
    Singleton,
    /// Several, such as one from each host.
    Stream,
}

/// Subjects that other accounts of the operator may import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// For people.
    pub name: String,
    /// The subjects.
    pub subject: String,
    /// Stream or service.
    #[serde(rename = "type")]
    pub traffic: Traffic,
    /// Of a service only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_type: Option<ResponseType>,
}

/// Subjects taken over from another account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// For people.
    pub name: String,
    /// The subjects, as the exporter spells them.
    pub subject: String,
    /// The exporter.
    pub account: AccountPublic,
    /// The subject in this account, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_subject: Option<String>,
    /// Stream or service.
    #[serde(rename = "type")]
    pub traffic: Traffic,
}

impl Import {
    fn local(&self) -> &str {
        self.local_subject.as_deref().unwrap_or(&self.subject)
    }
}

/// What an account may use. [`NO_LIMIT`] takes a limit away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Subscriptions of one connection.
    #[serde(rename = "subs")]
    pub subscriptions: i64,
    /// Bytes; the server does not enforce it.
    pub data: i64,
    /// Largest message in bytes.
    #[serde(rename = "payload")]
    pub payload_bytes: i64,
    /// Imports.
    pub imports: i64,
    /// Exports.
    pub exports: i64,
    /// Whether exports may carry wildcards.
    pub wildcards: bool,
    /// Refuses users without a key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disallow_bearer: bool,
    /// Connections.
    #[serde(rename = "conn")]
    pub connections: i64,
    /// Leaf nodes.
    #[serde(rename = "leaf")]
    pub leaf_nodes: i64,
    /// JetStream in memory, bytes.
    #[serde(rename = "mem_storage")]
    pub memory_bytes: i64,
    /// JetStream on disk, bytes; 0 with `memory_bytes` 0 means no JetStream.
    #[serde(rename = "disk_storage")]
    pub disk_bytes: i64,
    /// Streams.
    pub streams: i64,
    /// Consumers.
    #[serde(rename = "consumer")]
    pub consumers: i64,
}

impl Limits {
    /// No limit, and no JetStream.
    pub const OPEN: Self = Self {
        subscriptions: NO_LIMIT,
        data: NO_LIMIT,
        payload_bytes: NO_LIMIT,
        imports: NO_LIMIT,
        exports: NO_LIMIT,
        wildcards: true,
        disallow_bearer: true,
        connections: NO_LIMIT,
        leaf_nodes: 0,
        memory_bytes: 0,
        disk_bytes: 0,
        streams: 0,
        consumers: 0,
    };
}

/// A key that mints users of one role and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopedKey {
    kind: ScopeKind,
    /// The key.
    pub key: AccountPublic,
    /// Name of the role.
    pub role: String,
    /// What the users may do.
    pub template: Permissions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeKind {
    UserScope,
}

impl ScopedKey {
    /// Binds a key to a role.
    #[must_use]
    pub fn new(key: AccountPublic, role: &str, template: Permissions) -> Self {
        Self { kind: ScopeKind::UserScope, key, role: role.to_owned(), template }
    }
}

/// Users cut off: those whose token was issued at or before the second named beside the key.
pub type Revocations = BTreeMap<String, i64>;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountClaims {
    /// Name of the account.
    pub name: String,
    /// Taken over from other accounts.
    pub imports: Vec<Import>,
    /// Offered to other accounts.
    pub exports: Vec<Export>,
    /// What it may use.
    pub limits: Limits,
    /// The keys that mint its users.
    pub signing_keys: Vec<ScopedKey>,
    /// Users cut off.
    pub revocations: Revocations,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    default_permissions: DefaultPermissions,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Export>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Import>,
    limits: Limits,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    revocations: Revocations,
    signing_keys: Vec<ScopedKey>,
    r#type: AccountType,
    version: u8,
}

/// Stands for every user of an account in its list of revocations.
pub const EVERYBODY: &str = "*";

/// For users that carry no permissions; there are none, so nothing is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultPermissions {
    r#pub: Subjects,
    sub: Subjects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AccountType {
    Account,
}

impl AccountClaims {
    /// Cuts off a user: tokens issued up to `at` count no more, and a live connection is dropped once the account is pushed.
    pub fn revoke(&mut self, user: &UserPublic, at: Timestamp) {
        let entry = self.revocations.entry(user.to_string()).or_default();
        *entry = at.unix_seconds().max(*entry);
    }

    /// Cuts off every user at once: no token issued up to `at` counts any more.
    pub fn revoke_everybody(&mut self, at: Timestamp) {
        let entry = self.revocations.entry(EVERYBODY.to_owned()).or_default();
        *entry = at.unix_seconds().max(*entry);
    }

    /// Signs with one of the operator's signing keys. The claim does not expire.
    ///
    /// # Errors
    /// If the claim contradicts itself (see [`TokenError::InvalidClaim`]) or is too large for the server.
    pub fn sign(
        &self,
        account: &AccountPublic,
        issued_at: Timestamp,
        signer: &OperatorKey,
    ) -> Result<AccountJwt, TokenError> {
        self.check(account)?;
        let nothing = || Subjects::only(Vec::new());
        let body = Body {
            default_permissions: DefaultPermissions { r#pub: nothing(), sub: nothing() },
            exports: self.exports.clone(),
            imports: self.imports.clone(),
            limits: self.limits,
            revocations: self.revocations.clone(),
            signing_keys: self.signing_keys.clone(),
            r#type: AccountType::Account,
            version: 2,
        };
        encode(account, &self.name, body, Validity { issued_at, expires_at: None }, signer)
    }

    /// Opens an account's token signed by one of the `trusted` keys.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(
        token: &AccountJwt,
        trusted: &[OperatorPublic],
        now: Timestamp,
    ) -> Result<(AccountPublic, Self), TokenError> {
        let verified: Verified<Account, Operator, Body> = decode(token, trusted, now)?;
        let Verified { subject, name, body, .. } = verified;
        let Body { exports, imports, limits, revocations, signing_keys, version, .. } = body;
        let claims = Self { name, imports, exports, limits, signing_keys, revocations };
        if version != 2 {
            return Err(TokenError::InvalidClaim("version"));
        }
        claims.check(&subject)?;
        Ok((subject, claims))
    }

    fn check(&self, account: &AccountPublic) -> Result<(), TokenError> {
        self.check_keys(account)?;
        self.check_traffic()?;
        let users = self.revocations.keys();
        if users.into_iter().all(|user| user == EVERYBODY || user.parse::<UserPublic>().is_ok()) {
            Ok(())
        } else {
            Err(TokenError::InvalidClaim("revocation of something that is not a user"))
        }
    }

    fn check_keys(&self, account: &AccountPublic) -> Result<(), TokenError> {
        let keys: BTreeSet<_> = self.signing_keys.iter().map(|scope| &scope.key).collect();
        if keys.len() != self.signing_keys.len() || keys.contains(account) {
            return Err(TokenError::InvalidClaim("each role needs a signing key of its own"));
        }
        for scope in &self.signing_keys {
            scope.template.check()?;
            if scope.template.bearer && self.limits.disallow_bearer {
                return Err(TokenError::InvalidClaim("a bearer role in an account that refuses bearers"));
            }
        }
        Ok(())
    }

    fn check_traffic(&self) -> Result<(), TokenError> {
        let exported = self.exports.iter().map(|export| export.subject.as_str());
        let imported = self.imports.iter().flat_map(|import| [import.subject.as_str(), import.local()]);
        if !exported.chain(imported).all(is_subject) {
            return Err(TokenError::InvalidClaim("malformed subject in an export or import"));
        }
        let services: Vec<_> = self.imports.iter().filter(|import| import.traffic == Traffic::Service).collect();
        let overlap = |(place, one): (usize, &&Import)| {
            services.iter().skip(place + 1).any(|other| overlaps(one.local(), other.local()))
        };
        if services.iter().enumerate().any(overlap) {
            return Err(TokenError::InvalidClaim("two service imports overlap"));
        }
        Ok(())
    }
}

/// Whether some subject matches both patterns.
#[must_use]
pub fn overlaps(one: &str, other: &str) -> bool {
    let (mut left, mut right) = (one.split('.'), other.split('.'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (None, _) | (_, None) => return false,
            (Some(">"), _) | (_, Some(">")) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
