//! The addresses of the provider, all made of the issuer of the configuration. Never made of what a request says about
//! itself.

use url::Url;

/// The issuer and what lies below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issuer(String);

impl Issuer {
    /// The issuer of a checked configuration.
    pub(super) fn new(issuer: &str) -> Self {
        Self(issuer.to_owned())
    }

    /// As it stands in tokens.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// An address below it.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Scheme and host, as members see it.
    pub(super) fn origin(&self) -> String {
        Url::parse(&self.0).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }

    /// The path below which it is served; empty for none.
    pub(super) fn path(&self) -> String {
        let path = Url::parse(&self.0).map(|url| url.path().trim_end_matches('/').to_owned());
        path.unwrap_or_default()
    }

    /// Whether browsers reach it by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.0.starts_with("https:")
    }
}
