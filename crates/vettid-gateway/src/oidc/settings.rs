//! `[oidc]` of the configuration: where the provider is, who its clients are, which fields are served as which claims.

use super::claims;
use super::login::RETURN;
use super::provider::{DAY_MS, ID_TOKEN_LIFE_MS};
use super::redirect;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use url::Url;
use vettid_wire::login::is_return_path;

/// `[oidc]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The address of the provider as browsers and clients see it: https, or http on the own machine. No slash at the end.
    /// Its origin is one of `origins`.
    pub issuer: String,
    /// Where to listen; a loopback address, behind what ends TLS.
    pub listen: SocketAddr,
    /// The clients; written by `vettid gateway client`, read at the start.
    pub clients_file: PathBuf,
    /// A key signs ID tokens for this long, in days: 3 to 3650.
    #[serde(default = "ninety")]
    pub key_life_days: u32,
    /// An access token lives this long, in seconds: 30 to 3600.
    #[serde(default = "ten_minutes")]
    pub access_token_seconds: u32,
    /// Refresh tokens end this long after the login, in days: 1 to 365.
    #[serde(default = "thirty")]
    pub refresh_days: u32,
    /// A browser stays logged in for this long, in minutes: 1 to 43200.
    #[serde(default = "one_working_day")]
    pub session_minutes: u32,
    /// A client that asks without a browser waits at least this long between two looks, in seconds: 1 to 60.
    #[serde(default = "five")]
    pub look_every_seconds: u32,
    /// Whether the address of a browser stands in `X-Forwarded-For`, set by a proxy of the service's own.
    #[serde(default)]
    pub behind_proxy: bool,
    /// Times of keys that no configuration changes; tests do, because nobody waits for a key of 90 days.
    #[serde(skip)]
    pub key_times: KeyTimes,
    /// Which field of the contract is served as which claim: claim = field. `name` is what the member shows, unless it stands here.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
}

/// Times of the keys that sign ID tokens, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTimes {
    /// A day in the life of a key. It is published for so long before it signs: longer than anybody may keep the old set.
    pub day_ms: i64,
    /// A key is published for so long after its last signature: the life of an ID token.
    pub token_ms: i64,
}

impl Default for KeyTimes {
    fn default() -> Self {
        Self { day_ms: DAY_MS, token_ms: ID_TOKEN_LIFE_MS }
    }
}

fn five() -> u32 {
    5
}

fn ninety() -> u32 {
    90
}

fn ten_minutes() -> u32 {
    600
}

fn thirty() -> u32 {
    30
}

fn one_working_day() -> u32 {
    480
}

impl Oidc {
    /// What is wrong with it, if anything. `origins`: where members may be asked to log in.
    pub(crate) fn problem(&self, origins: &[String]) -> Option<(&'static str, &'static str)> {
        let Ok(url) = Url::parse(&self.issuer) else {
            return Some(("oidc.issuer", "an address is needed"));
        };
        let web = matches!(url.scheme(), "https" | "http");
        if !web || url.query().is_some() || self.issuer.ends_with('/') || !redirect::may_be_registered(&self.issuer) {
            return Some(("oidc.issuer", "https, or http on the own machine; no query, fragment or slash at the end"));
        }
        if !is_return_path(&format!("{}{RETURN}", url.path().trim_end_matches('/'))) {
            return Some(("oidc.issuer", "a path of plain letters, digits and -_.~ below which members come back"));
        }
        if !origins.contains(&url.origin().ascii_serialization()) {
            return Some(("oidc.issuer", "its scheme and host stand in `origins` too"));
        }
        if !self.listen.ip().is_loopback() {
            return Some(("oidc.listen", "only a loopback address is served without TLS"));
        }
        if !(3..=3650).contains(&self.key_life_days) {
            return Some(("oidc.key_life_days", "3 to 3650"));
        }
        if !(30..=3600).contains(&self.access_token_seconds) {
            return Some(("oidc.access_token_seconds", "30 to 3600"));
        }
        if !(1..=365).contains(&self.refresh_days) || !(1..=43_200).contains(&self.session_minutes) {
            return Some(("oidc.refresh_days", "1 to 365 days, and a session of 1 to 43200 minutes"));
        }
        if !(1..=60).contains(&self.look_every_seconds) {
            return Some(("oidc.look_every_seconds", "1 to 60"));
        }
        if !self.claims.keys().all(|claim| claims::is_claim(claim)) {
            return Some(("oidc.claims", "claims of OpenID Connect that a vault can serve"));
        }
        None
    }
}
