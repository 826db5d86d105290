//! Where a member's vault runs and which public keys it made.

use serde::{Deserialize, Serialize};
use vettid_wire::enrolment::{RotateSigningKeys, SigningNkeys, VaultDeployed};
use vettid_wire::id::{HostId, MemberId};
use vettid_wire::time::Timestamp;

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
    /// As its host reported them. Identity and accounts never change; `signing` stands for the signing keys once they did.
    pub deployed: VaultDeployed,
    /// Public NKey of the signing key for apps before the handshake; services hold the secret half.
    pub bootstrap_signing_nkey: String,
    /// The keys that sign the credentials of users, once they were changed.
    pub signing: Option<SigningRotation>,
}

/// The signing keys of a vault, or of a service's account, after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningRotation<K = SigningNkeys> {
    /// When they were made.
    pub since: Timestamp,
    /// They sign now.
    pub current: K,
    /// What they signed is still taken.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub former: Option<K>,
}

/// Keys that somebody asks for in the place of those that sign.
#[derive(Debug)]
pub struct Wanted<'a, K> {
    /// When they were made.
    pub since: Timestamp,
    /// The keys.
    pub keys: &'a K,
    /// Whether what the keys before them signed is still taken.
    pub keeps_former: bool,
}

impl<K: Clone + PartialEq> SigningRotation<K> {
    /// What stands on record after a request; `None` if it is older than what does, or about other keys of the same time. Asking again
    /// changes nothing, except that former keys may be given up. `first` are the keys that sign before any change.
    #[must_use]
    pub fn after(known: Option<&Self>, first: impl FnOnce() -> K, wanted: &Wanted<'_, K>) -> Option<Self> {
        let former = match known {
            Some(known) if known.since > wanted.since => return None,
            Some(known) if known.since == wanted.since && known.current != *wanted.keys => return None,
            Some(known) if known.since == wanted.since => known.former.clone(),
            Some(known) => Some(known.current.clone()),
            None => Some(first()),
        };
        let former = former.filter(|_| wanted.keeps_former);
        Some(Self { since: wanted.since, current: wanted.keys.clone(), former })
    }
}

impl VaultKeys {
    /// The keys that sign now.
    #[must_use]
    pub fn current_signing(&self) -> SigningNkeys {
        if let Some(rotation) = &self.signing {
            return rotation.current.clone();
        }
        SigningNkeys {
            app: self.deployed.app_signing_nkey.clone(),
            connection: self.deployed.connection_signing_nkey.clone(),
            service: self.deployed.service_signing_nkey.clone(),
            claim: self.deployed.claim_signing_nkey.clone(),
        }
    }

    /// What stands on record after a request of the vault; `None` if the request is older than that, or about other keys of the same time.
    /// Asking again changes nothing, except that former keys may be given up.
    #[must_use]
    pub fn rotated(&self, asked: &RotateSigningKeys) -> Option<SigningRotation> {
        let wanted = Wanted { since: asked.since, keys: &asked.keys, keeps_former: asked.keeps_former };
        SigningRotation::after(self.signing.as_ref(), || self.current_signing(), &wanted)
    }
}
