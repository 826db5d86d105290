//! The registry whose word the app takes: the first one that it met where it was enrolled, and after that no other without the member's own
//! word. Must never take a new key because it is what came.

use super::{DirectoryApi, WhyNoComparison, WhyNot};
use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::services::ServicesAddress;
use crate::state::{self, KnownRegistry, Member, State};
use crate::store::Store;
use serde::Serialize;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::profile;
use vettid_wire::directory::AskStandings;
use vettid_wire::id::Fingerprint;
use vettid_wire::key_record::KeyRole;
use vettid_wire::profile::SignedProfile;
use vettid_wire::time::Timestamp;

/// The registry as the app knows it and as it shows itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryView {
    /// The identity that the app takes the word of; absent: none was met yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The identity that answers now; absent: nobody does, or nobody genuine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Fingerprint>,
    /// Whether what it says is shown.
    pub is_believed: bool,
}

/// Why the word of a registry is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It is none.
    NotGenuine,
    /// It is another one.
    Other,
}

impl From<Doubt> for WhyNot {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::NotGenuine => Self::NotGenuine,
            Doubt::Other => Self::OtherRegistry,
        }
    }
}

impl From<Doubt> for WhyNoComparison {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::NotGenuine => Self::NotGenuine,
            Doubt::Other => Self::OtherRegistry,
        }
    }
}

impl<P: Ports> App<P> {
    /// Which registry the app takes the word of, and which one answers now. The first one that answers is remembered.
    ///
    /// # Errors
    /// [`CommandError`] if the app's own state cannot be read or written.
    pub async fn registry(&self) -> Result<RegistryView, CommandError>
    where
        P::Services: DirectoryApi,
    {
        let (url, trust) = self.registry_address().await?;
        let asked = AskStandings { services: vec![] };
        let said = self.ports.services().standings(ServicesAddress { url: &url, trust: &trust }, &asked).await.ok();
        let found = said.and_then(|said| genuine(said.registry, self.ports.clock().now()));
        let is_believed = match &found {
            Some(key) => self.believed(Some(*key)).await?.is_ok(),
            None => false,
        };
        let known = self.with_member(|member| member.registry).await?;
        Ok(RegistryView {
            fingerprint: known.map(|known| known.fingerprint),
            since: known.map(|known| known.since),
            found: found.map(|key| key.fingerprint()),
            is_believed,
        })
    }

    /// Takes the word of this registry from now on, and of no other: the member's own decision.
    ///
    /// # Errors
    /// [`CommandError`] if the app's own state cannot be read or written.
    pub async fn trust_registry(&self, fingerprint: Fingerprint) -> Result<(), CommandError> {
        let mut hold = self.ports.store().hold().await?;
        let mut member = enrolled(state::load(&hold)?)?;
        member.registry = Some(KnownRegistry { fingerprint, since: self.ports.clock().now() });
        Ok(state::save_member(&mut hold, &member)?)
    }

    /// The key, if it is that of the registry that the app knows. The first one is remembered before it is believed.
    pub(super) async fn believed(
        &self,
        found: Option<VerifyingKey>,
    ) -> Result<Result<VerifyingKey, Doubt>, CommandError> {
        let Some(key) = found else { return Ok(Err(Doubt::NotGenuine)) };
        let mut hold = self.ports.store().hold().await?;
        let mut member = enrolled(state::load(&hold)?)?;
        let fingerprint = key.fingerprint();
        match member.registry {
            Some(known) if known.fingerprint == fingerprint => Ok(Ok(key)),
            Some(_) => Ok(Err(Doubt::Other)),
            None => {
                member.registry = Some(KnownRegistry { fingerprint, since: self.ports.clock().now() });
                state::save_member(&mut hold, &member)?;
                Ok(Ok(key))
            }
        }
    }

    /// Where the registry of the member's operator is, and the authority that certifies it.
    pub(super) async fn registry_address(&self) -> Result<(String, String), CommandError> {
        let of = |member: &Member| (member.origin.services_url.clone(), self.trust_of(member).to_owned());
        self.with_member(of).await
    }

    async fn with_member<T>(&self, look: impl FnOnce(&Member) -> T) -> Result<T, CommandError> {
        let hold = self.ports.store().hold().await?;
        Ok(look(&*enrolled(state::load(&hold)?)?))
    }
}

fn enrolled(state: Option<State>) -> Result<Box<Member>, CommandError> {
    match state {
        Some(State::Enrolled(member)) => Ok(member),
        _ => Err(CommandError::NotEnrolled),
    }
}

/// The identity of a registry that shows itself.
pub(super) fn genuine(signed: SignedProfile, now: Timestamp) -> Option<VerifyingKey> {
    let verified = profile::verify(signed, now).ok()?;
    let is_registry = verified.key_record().record().role == KeyRole::Registry;
    is_registry.then(|| VerifyingKey::from_typed(&verified.get().public_key).ok()).flatten()
}
