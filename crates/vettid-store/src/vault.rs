//! Where a member's vault runs and which public keys it made.

use vettid_wire::enrolment::VaultDeployed;
use vettid_wire::id::{HostId, MemberId};

/// How far a vault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaultState {
    /// A host is chosen; its keys are not known yet.
    Assigned,
    /// The host made its keys.
    Deployed,
    /// An app is enrolled.
    Active,
}

impl VaultState {
    const ALL: [Self; 3] = [Self::Assigned, Self::Deployed, Self::Active];

    /// The name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Deployed => "deployed",
            Self::Active => "active",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// Whose.
    pub guid: MemberId,
    /// Where it runs. It stays there: another host would make other keys.
    pub host: HostId,
    /// How far it is.
    pub state: VaultState,
    /// Once it is deployed.
    pub keys: Option<VaultKeys>,
}

/// The public keys around a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKeys {
    /// As its host reported them. They never change.
    pub deployed: VaultDeployed,
    /// Public NKey of the signing key for apps before the handshake; services hold the secret half.
    pub bootstrap_signing_nkey: String,
}
