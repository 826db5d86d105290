//! Logins whose waiting page the service shows itself. The verifier goes into a cookie of the waiting browser and comes back from
//! there, never from anywhere else; it is in no text for people.

use crate::{ClientError, GatewayClient};
use serde::{Deserialize, Serialize};
use std::fmt;
use vettid_wire::auth::Display;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::id::{ConnectionId, LoginId, RequestId};
use vettid_wire::key::TypedKey;
use vettid_wire::login::{BrowserKeyKind, LoginLevel};
use vettid_wire::time::Timestamp;
use vettid_wire::webauthn::Assertion;

/// A page that begins to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewLogin {
    /// The site, one of the service's own, such as `https://shop.example`.
    pub origin: String,
    /// Where on it the browser comes back with the code, such as `/login/return`.
    pub return_path: String,
    /// Where the login was started, shown to the member.
    pub display: Display,
}

/// A page that waits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunLogin {
    /// Names the login.
    pub login_id: LoginId,
    /// For a cookie of the waiting browser (`Secure`, `HttpOnly`, `SameSite=Lax`) and for nothing else.
    pub verifier: String,
    /// For the page to show as a link and as a QR code.
    pub link: String,
    /// For the page to show, where unknown browsers are let in by a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
    /// What the browser's key signs, if it has one; its SHA-256 is the challenge of a WebAuthn key.
    pub to_sign: String,
    /// What has to keep that key, as the gateway is configured.
    pub key_kind: BrowserKeyKind,
    /// The page stops waiting then.
    pub expires_at: Timestamp,
}

impl fmt::Debug for BegunLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BegunLogin({})", self.login_id)
    }
}

/// The key of the waiting browser.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct BrowserProof {
    /// From the cookie.
    pub verifier: String,
    /// `p256:`, or `webauthn-p256:` for a WebAuthn key, and the uncompressed point.
    pub browser_key: TypedKey,
    /// ECDSA with SHA-256 over the UTF-8 of `to_sign`: `r` and `s`, 64 bytes. Of a WebAuthn key the `signature` of its assertion, as
    /// it came.
    pub signature: Base64,
    /// Of a WebAuthn key alone: what it signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Assertion>,
}

impl fmt::Debug for BrowserProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrowserProof({:?})", self.browser_key)
    }
}

/// Whom to ask without a link.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct PushLogin {
    /// From the cookie.
    pub verifier: String,
    /// The member's connection, if the browser's key does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
}

impl fmt::Debug for PushLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushLogin({:?})", self.connection_id)
    }
}

/// The waiting browser asks how far it is.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FinishLogin {
    /// From the cookie.
    pub verifier: String,
    /// What the browser brought back; a wrong one ends the login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Base64Url>,
    /// How long the call waits for the member, in milliseconds; 60 000 at most, 10 000 if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
}

impl fmt::Debug for FinishLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FinishLogin(with code: {})", self.code.is_some())
    }
}

/// How far a login is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum LoginProgress {
    /// Nobody was asked yet.
    Waiting,
    /// The member is being asked.
    Asked,
    /// The member said yes: the browser has to bring the code.
    AwaitsCode,
    /// The browser is logged in; told once.
    LoggedIn {
        /// The member's connection.
        connection_id: ConnectionId,
        /// The request that the member answered.
        request_id: RequestId,
        /// When the member decided.
        auth_time: Timestamp,
        /// How the member was recognised (RFC 8176 values).
        method: Vec<String>,
        /// How the login was protected.
        level: LoginLevel,
    },
    /// The member said no.
    Denied,
    /// The member's vault refused.
    Refused {
        /// Why.
        code: String,
    },
    /// Nobody answered in time.
    Expired,
    /// A wrong code came.
    Over,
    /// Something that this build does not know; nobody is logged in by it.
    #[serde(other)]
    Other,
}

impl GatewayClient {
    /// Begins a login: a page waits for a member. Scope `login`, as for all calls about it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn begin_login(&self, login: &NewLogin) -> Result<BegunLogin, ClientError> {
        self.post(&["v1", "logins"], login).await
    }

    /// Shows the key of the waiting browser, before anybody is asked.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn prove_browser(&self, id: LoginId, proof: &BrowserProof) -> Result<(), ClientError> {
        self.tell(&["v1", "logins", &id.to_string(), "browser"], proof).await
    }

    /// Asks the member whom the browser's key or the connection names, without a link.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn push_login(&self, id: LoginId, push: &PushLogin) -> Result<(), ClientError> {
        self.tell(&["v1", "logins", &id.to_string(), "push"], push).await
    }

    /// Says how far a login is, and takes the code that the browser brought.
    ///
    /// # Errors
    /// See [`ClientError`]. A login that somebody denied or that ended otherwise is an answer.
    pub async fn finish_login(&self, id: LoginId, finish: &FinishLogin) -> Result<LoginProgress, ClientError> {
        self.post(&["v1", "logins", &id.to_string()], finish).await
    }
}
