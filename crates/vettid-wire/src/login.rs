//! What ties a login to the browser that waits for it (spec 2.14): the link of the page, the key that a browser keeps, the
//! number, and the settings and lists around them. Data and grammar only; whether something counts is decided elsewhere.

use crate::base64::{Base64Url, decode_url, encode_url};
use crate::id::{ConnectionId, LoginId, RequestId, ServiceId};
use crate::json;
use crate::key::{KeyAlgorithm, TypedKey};
use crate::time::Timestamp;
use crate::webauthn::Authenticator;
use serde::{Deserialize, Serialize};

/// An unknown browser is let in no sooner than this many milliseconds after the question arrived.
pub const NUMBER_DELAY_MS: i64 = 10_000;
/// Numbers that a page may show.
pub const NUMBERS: std::ops::RangeInclusive<u8> = 10..=99;
/// Longest link of a login, in bytes.
pub const MAX_LINK_BYTES: usize = 1024;
/// Longest way back to a site, in bytes.
pub const MAX_RETURN_PATH_BYTES: usize = 200;

/// How a login is protected against being relayed, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginLevel {
    /// (1) The approval goes back through a browser of this device, to the one browser that waits.
    SameDevice,
    /// (3) The waiting browser holds a key that was made known by an earlier login.
    KnownBrowser,
    /// (4) Nothing but a number and the password: an unknown browser somewhere.
    Number,
}

/// What keeps the key of a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowserKeyKind {
    /// The browser itself, by WebCrypto: it signs without anybody being there.
    Webcrypto,
    /// An authenticator, by WebAuthn: this device, a security key or a phone. Somebody touches it each time.
    Webauthn,
}

impl BrowserKeyKind {
    /// The kind of a key; `None` for one that no browser has.
    #[must_use]
    pub fn of(key: &TypedKey) -> Option<Self> {
        match key.algorithm() {
            KeyAlgorithm::P256 => Some(Self::Webcrypto),
            KeyAlgorithm::WebAuthnP256 => Some(Self::Webauthn),
            _ => None,
        }
    }
}

/// The link of a page that waits to be logged in. It is no secret: whoever opens it gets nothing back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginLink {
    /// 1.
    pub version: u8,
    /// Where the browser wants to log in.
    pub service_id: ServiceId,
    /// Scheme and host of the waiting page.
    pub origin: String,
    /// The login.
    pub login_id: LoginId,
    /// Nobody waits any more from then on.
    pub expires_at: Timestamp,
}

/// The text is not the link of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the link of a login")]
pub struct InvalidLink;

impl LoginLink {
    /// The text of the QR code.
    ///
    /// # Errors
    /// [`InvalidLink`] if it would be too long.
    pub fn to_text(&self) -> Result<String, InvalidLink> {
        let text = encode_url(&json::canonical(self).map_err(|_| InvalidLink)?);
        if text.len() <= MAX_LINK_BYTES { Ok(text) } else { Err(InvalidLink) }
    }

    /// Reads the text, or a link that carries it in its fragment.
    ///
    /// # Errors
    /// [`InvalidLink`].
    pub fn read(text_or_link: &str) -> Result<Self, InvalidLink> {
        let text = text_or_link.trim().rsplit_once('#').map_or(text_or_link.trim(), |(_, fragment)| fragment);
        if text.len() > MAX_LINK_BYTES {
            return Err(InvalidLink);
        }
        let link: Self = json::read(&decode_url(text).map_err(|_| InvalidLink)?).map_err(|_| InvalidLink)?;
        if link.version == 1 { Ok(link) } else { Err(InvalidLink) }
    }
}

/// The link, as the service's question names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPart {
    /// The login.
    pub login_id: LoginId,
    /// Where on the origin the browser comes back with the code: see [`is_return_path`].
    pub return_path: String,
}

/// Whether a text may be the way back to a site: a path on the very origin, without query and fragment.
#[must_use]
pub fn is_return_path(path: &str) -> bool {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~'));
    let is_climbing = path.split('/').any(|part| part == "." || part == "..");
    plain && path.starts_with('/') && !path.contains("//") && !is_climbing && path.len() <= MAX_RETURN_PATH_BYTES
}

/// Where the browser takes the code: in the fragment, which no server and no log sees.
#[must_use]
pub fn return_address(origin: &str, link: &LinkPart, code: &Base64Url) -> String {
    format!("{origin}{}#login={}&code={code}", link.return_path, link.login_id)
}

/// What the key of a browser signs (ES256, `r ‖ s`): nonce, origin, request and session of one login, one on each line.
#[must_use]
pub fn browser_text(request_id: RequestId, origin: &str, nonce: &Base64Url, session_hash: &Base64Url) -> String {
    format!("vettid/browser-login/1\n{request_id}\n{origin}\n{nonce}\n{session_hash}")
}

/// What ties a signed yes to the browser that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LoginProof {
    /// Counts only together with the code of this SHA-256, brought by the browser that holds the secret of the session.
    SameDevice {
        /// SHA-256 of the 32 bytes of the code.
        code_hash: Base64Url,
        /// Whether the browser becomes known with it.
        remember: bool,
    },
    /// The browser holds this key, which the vault knew.
    KnownBrowser {
        /// The key.
        browser_key: TypedKey,
    },
    /// The member gave the password and picked the number of the page.
    Number {
        /// Whether the browser becomes known with it.
        remember: bool,
    },
}

/// What the vault itself knows about a login that waits for the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginCheck {
    /// How it is protected.
    pub level: LoginLevel,
    /// Numbers to choose from: one of them stands on the waiting page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<u8>,
    /// A yes is not taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Whether the browser may be remembered.
    pub can_remember: bool,
    /// What keeps the key that the browser showed, if it showed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_kind: Option<BrowserKeyKind>,
}

/// Owner's command: the link of a waiting page was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenLogin {
    /// The text of the link.
    pub link: String,
    /// Whether the page waits on another device, so that no browser of this one can take a code back.
    pub other_device: bool,
}

/// The service was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenedLogin {
    /// The connection on which it will ask.
    pub connection_id: ConnectionId,
    /// Its name.
    pub display_name: String,
    /// The site.
    pub origin: String,
}

/// To the service: the member's app opened the link of a page that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginOpened {
    /// The login.
    pub login_id: LoginId,
    /// Whether the page waits on another device.
    pub other_device: bool,
}

/// From the service: the code came back through the browser, which is logged in. Only whoever got the code can say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginFinished {
    /// The request.
    pub request_id: RequestId,
    /// The code, 32 bytes.
    pub code: Base64Url,
}

/// A browser that counts as known on one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBrowser {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Its key.
    pub browser_key: TypedKey,
    /// What is kept of the authenticator of a WebAuthn key; there if and only if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticator: Option<Authenticator>,
    /// The site.
    pub origin: String,
    /// As the service described it when it became known.
    pub name: String,
    /// The level of the login that made it known.
    pub by: LoginLevel,
    /// When.
    pub known_since: Timestamp,
    /// When it was used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

/// The known browsers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserList {
    /// By connection and key.
    pub browsers: Vec<KnownBrowser>,
}

/// Names a known browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserRef {
    /// The connection.
    pub connection_id: ConnectionId,
    /// Its key.
    pub browser_key: TypedKey,
}

/// Owner's command: reads the settings, or changes what is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLogins {
    /// Whether an unknown browser may be let in by a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_numbers: Option<bool>,
}

/// The settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSettings {
    /// Whether an unknown browser may be let in by a number, if its service allows it, too.
    pub allow_numbers: bool,
}

/// With the password: agrees to one login from an unknown browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermitLogin {
    /// The request, as the owner knows it.
    pub request_id: RequestId,
}

/// The password was given for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginPermitted {
    /// The request.
    pub request_id: RequestId,
    /// Until then.
    pub until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> LoginLink {
        LoginLink {
            version: 1,
            service_id: "demo-shop".parse().unwrap(),
            origin: "https://shop.example".to_owned(),
            login_id: LoginId::from_bytes([7; 16]),
            expires_at: Timestamp::from_unix_ms(1_800_000_000_000),
        }
    }

    #[test]
    fn a_link_is_read_with_and_without_its_page() {
        let text = link().to_text().unwrap();
        assert_eq!(LoginLink::read(&text), Ok(link()));
        assert_eq!(LoginLink::read(&format!(" https://app.example/login#{text}\n")), Ok(link()));
        let later = LoginLink { version: 2, ..link() }.to_text().unwrap();
        for wrong in ["", "x", "https://app.example/login", &later, &text[1..]] {
            assert_eq!(LoginLink::read(wrong), Err(InvalidLink), "{wrong}");
        }
    }

    #[test]
    fn a_way_back_stays_on_its_site() {
        for right in ["/", "/login/return", "/.well-known/vettid/return"] {
            assert!(is_return_path(right), "{right}");
        }
        let wrong =
            ["", "x", "//evil.example", "/a//b", "/a?b", "/a#b", "/@evil.example", "/a/../b", "/\\evil", "/a b", ".x"];
        for wrong in wrong {
            assert!(!is_return_path(wrong), "{wrong}");
        }
    }
}
