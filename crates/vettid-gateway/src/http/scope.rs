//! What an API key may be used for. The scope that a call needs stands in its description; a call without one is refused.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One thing that a key may do. `admin` contains all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Scope {
    /// List connections and look at them.
    ConnectionsRead,
    /// Invite members and end connections.
    ConnectionsWrite,
    /// Ask members for data, and read the answers.
    DataRead,
    /// Store data with members, read it back, and delete it.
    DataWrite,
    /// Ask members to log in, and read the answers.
    Login,
    /// Ask members for anything else (consent, transactions, payments, signatures), and read the answers.
    Requests,
    /// Send messages to members.
    Messages,
    /// Register webhooks and send events again.
    Webhooks,
    /// Read and change the contract on offer.
    Contract,
    /// Read the metrics.
    Metrics,
    /// Make and revoke keys; everything else too.
    Admin,
}

/// No such scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope: one of {list} is", list = Scope::list())]
pub struct UnknownScope(String);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 11] = [
        Self::ConnectionsRead,
        Self::ConnectionsWrite,
        Self::DataRead,
        Self::DataWrite,
        Self::Login,
        Self::Requests,
        Self::Messages,
        Self::Webhooks,
        Self::Contract,
        Self::Metrics,
        Self::Admin,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsRead => "connections:read",
            Self::ConnectionsWrite => "connections:write",
            Self::DataRead => "data:read",
            Self::DataWrite => "data:write",
            Self::Login => "login",
            Self::Requests => "requests",
            Self::Messages => "messages",
            Self::Webhooks => "webhooks",
            Self::Contract => "contract",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }

    fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, UnknownScope> {
        text.parse()
    }
}

impl From<Scope> for &'static str {
    fn from(scope: Scope) -> Self {
        scope.name()
    }
}
