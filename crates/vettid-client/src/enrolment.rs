//! Enrolment (S4): from the text of a code to a member's app. Each step is stored before the next one, so an enrolment
//! that was interrupted goes on where it stopped when the same code is given again.
//!
//! The vault must prove the fingerprint that stands in the code; nothing is stored of one that does not.

use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::command::{CommandError, WentBack};
use crate::credential::{NatsCredential, WrongCredential, device_of, key_of, member_credential};
use crate::handshake::{self, HandshakeError, Sending};
use crate::identity::{AppIdentity, IdentityFailure};
use crate::line::Line;
use crate::lock::KnownLock;
use crate::random;
use crate::services::{ServicesAddress, ServicesApi, ServicesError};
use crate::session::Session;
use crate::state::{self, Member, Origin, Recovering, State, Vault};
use crate::store::{Store, StoreError};
use crate::transport::{Connection, SignIn, Transport, TransportError};
use serde::{Deserialize, Serialize};
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::handshake::{Initiator, Opening, Target};
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_crypto::stored;
use vettid_wire::base64::Base64;
use vettid_wire::enrolment::{Authenticate, NatsBootstrap, Scan};
use vettid_wire::event::{AppBootstrap, EventRow, Nothing, VaultHealth};
use vettid_wire::handshake::{EnrolmentPointer, InvalidInvitation, Invitation, InvitationKind};
use vettid_wire::id::{DeviceId, EventId, Fingerprint, MemberId};
use vettid_wire::time::Timestamp;

/// What to do with an app that is enrolled already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to enrol another one.
    Keep,
    /// Forget it.
    Replace,
}

/// What enrolling brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The member.
    pub guid: MemberId,
    /// This device.
    pub device: DeviceId,
    /// The vault's identity, to be compared with what the portal or the appliance shows.
    pub vault_fingerprint: Fingerprint,
    /// Until when the broker takes this app, if it is not used before.
    pub nats_expires_at: Timestamp,
    /// Whether services confirmed that the enrolment is complete.
    pub services_informed: bool,
}

/// Why enrolling did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// The text is no invitation.
    #[error(transparent)]
    Invitation(#[from] InvalidInvitation),
    /// It is an invitation for a connection.
    #[error("this is an invitation for a connection, not a code for an app")]
    WrongKind,
    /// The code is past its time.
    #[error("the code expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// There is an enrolled app, and it is to be kept.
    #[error("this profile holds an enrolled app already")]
    AlreadyEnrolled,
    /// No authority to trust was given.
    #[error("the certificate authority of the operator is not known")]
    NoTrust,
    /// The state cannot be read or saved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Services refused or cannot be reached.
    #[error("{step}: {source}")]
    Services {
        /// At which step.
        step: &'static str,
        /// Why.
        source: ServicesError,
    },
    /// The broker cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The vault was silent.
    #[error("the vault did not answer")]
    NoAnswer,
    /// The vault that answered does not have the fingerprint of the code.
    #[error("the vault that answered does not have the fingerprint of the code")]
    WrongVault,
    /// Services lead to the space of somebody else.
    #[error("services lead to the vault of another member")]
    OtherMember,
    /// A credential is not for this app.
    #[error(transparent)]
    Credential(#[from] WrongCredential),
    /// A message of our own cannot be made.
    #[error(transparent)]
    Handshake(HandshakeError),
    /// The app's keys cannot be made.
    #[error(transparent)]
    Identity(#[from] IdentityFailure),
    /// The proof for services cannot be signed.
    #[error("the proof cannot be signed: {0}")]
    Proof(#[from] SignatureError),
    /// The handshake is done, and the first command did not succeed.
    #[error(transparent)]
    First(#[from] CommandError),
}

impl From<HandshakeError> for EnrolmentError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::WrongVault => Self::WrongVault,
            HandshakeError::Transport(error) => Self::Transport(error),
            error => Self::Handshake(error),
        }
    }
}

/// An app on its way to its vault: services know it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    invitation: Invitation,
    trust: String,
    identity: AppIdentity,
    #[serde(with = "stored")]
    app_seed: SecretBytes,
    #[serde(with = "stored")]
    bootstrap_seed: SecretBytes,
    #[serde(with = "stored")]
    token: SecretBytes,
    broker: Option<Broker>,
    asking: Option<Asking>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovering: Option<Recovering>,
    /// The lock of the vault, as the app before knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<KnownLock>,
}

/// How the app reaches its vault for the handshake.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Broker {
    endpoint: String,
    jwt: String,
    device: DeviceId,
}

/// The first handshake message is made, and may be under way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    sending: Sending,
    initiator: Initiator,
}

/// What the state says about this code.
enum Found {
    Fresh,
    Halfway(Box<Pending>),
    Enrolled(Box<Member>),
}

impl<P: Ports> App<P> {
    /// Enrols with the text of a code or the link that carries it.
    ///
    /// # Errors
    /// [`EnrolmentError`]; where it says so, the same code may be given again.
    pub async fn enrol(&self, code: &str, existing: Existing) -> Result<Enrolled, EnrolmentError> {
        let invitation = Invitation::read(code)?;
        let pointer = match (invitation.kind, &invitation.enrolment) {
            (InvitationKind::Enroll, Some(pointer)) => pointer.clone(),
            _ => return Err(EnrolmentError::WrongKind),
        };
        let mut hold = self.ports.store().hold().await?;
        let member = match find(&hold, &invitation, existing)? {
            Found::Enrolled(member) => *member,
            Found::Halfway(pending) => self.reach_vault(&mut hold, *pending, &pointer).await?,
            Found::Fresh => {
                let identity = self.new_identity(&invitation)?;
                let pending = self.introduce(&invitation, &pointer, (identity, None, None)).await?;
                state::save_pending(&mut hold, &pending)?;
                self.reach_vault(&mut hold, pending, &pointer).await?
            }
        };
        self.conclude(hold, member).await
    }

    /// Enrols a device that brought the recovery phrase, with the key by which services know it. The vault takes nothing from
    /// it but the password.
    pub(crate) async fn enrol_recovering(
        &self,
        hold: &mut <P::Store as Store>::Hold,
        code: &str,
        (identity, recovering, lock): (AppIdentity, Recovering, Option<KnownLock>),
    ) -> Result<(), EnrolmentError> {
        let invitation = Invitation::read(code)?;
        let pointer = match (invitation.kind, &invitation.enrolment) {
            (InvitationKind::Enroll, Some(pointer)) => pointer.clone(),
            _ => return Err(EnrolmentError::WrongKind),
        };
        let pending = self.introduce(&invitation, &pointer, (identity, Some(recovering), lock)).await?;
        state::save_pending(hold, &pending)?;
        self.reach_vault(hold, pending, &pointer).await?;
        Ok(())
    }

    fn new_identity(&self, invitation: &Invitation) -> Result<AppIdentity, EnrolmentError> {
        Ok(AppIdentity::new(invitation.space.guid(), self.ports.clock().now(), &mut self.ports.random())?)
    }

    /// Services come to know the app: it proves the code and its own key.
    async fn introduce(
        &self,
        invitation: &Invitation,
        pointer: &EnrolmentPointer,
        (identity, recovering, lock): (AppIdentity, Option<Recovering>, Option<KnownLock>),
    ) -> Result<Pending, EnrolmentError> {
        let (now, mut rng) = (self.ports.clock().now(), self.ports.random());
        if now >= invitation.expires_at {
            return Err(EnrolmentError::Expired { at: invitation.expires_at });
        }
        let trust = self.trust.clone().ok_or(EnrolmentError::NoTrust)?;
        let at = ServicesAddress { url: &pointer.services_url, trust: &trust };
        let services = self.ports.services();
        let scanned =
            services.scan(at, &Scan { session_id: pointer.session_id }).await.map_err(step("scanning the code"))?;
        let mut proof = Authenticate {
            session_id: pointer.session_id,
            token: invitation.token.clone(),
            app_key: identity.signing().verifying_key().typed(),
            challenge: scanned.challenge,
            key_id: identity.signing().key_id(),
            signature: Base64::default(),
        };
        proof.signature = signature::sign(Context::ServiceRequest, identity.signing(), &proof)?;
        let known = services.authenticate(at, &proof).await.map_err(step("proving the code"))?;
        Ok(Pending {
            invitation: invitation.duplicate(),
            trust,
            identity,
            app_seed: new_seed(&mut rng)?,
            bootstrap_seed: new_seed(&mut rng)?,
            token: SecretBytes::new(known.enrolment_token.into_bytes()),
            broker: None,
            asking: None,
            recovering,
            lock,
        })
    }

    /// The handshake with the vault, over a connection that can do nothing else.
    async fn reach_vault(
        &self,
        hold: &mut <P::Store as Store>::Hold,
        mut pending: Pending,
        pointer: &EnrolmentPointer,
    ) -> Result<Member, EnrolmentError> {
        let broker = match pending.broker.clone() {
            Some(broker) => broker,
            None => self.bootstrap(hold, &mut pending, pointer).await?,
        };
        let mut asking = match pending.asking.take() {
            Some(asking) => asking,
            None => self.first_message(hold, &mut pending, &broker)?,
        };
        let (now, guid) = (self.ports.clock().now(), pending.invitation.space.guid());
        let identity = MemberIdentity::AppBootstrap(broker.device.clone());
        let credential = member_credential(&identity, guid, &pending.bootstrap_seed, &broker.jwt, now)?;
        let sign_in = SignIn { endpoint: &broker.endpoint, trust: &pending.trust, credential };
        let connection = self.ports.transport().connect(sign_in).await?;
        let answered = handshake::await_second(&connection, guid, &asking.sending, &mut asking.initiator, now).await?;
        if !answered {
            connection.close().await;
            return Err(EnrolmentError::NoAnswer);
        }
        let mut member = self.become_member(pending, broker, asking, pointer)?;
        state::save_member(hold, &member)?;
        let last = member.session.as_ref().and_then(|session| session.unconfirmed.clone());
        if let (Some(last), Some(session)) = (last, member.session.as_mut()) {
            session.channel.stored();
            if handshake::await_end(&connection, guid, &last).await? {
                session.unconfirmed = None;
            }
        }
        connection.close().await;
        Ok(member)
    }

    async fn bootstrap(
        &self,
        hold: &mut <P::Store as Store>::Hold,
        pending: &mut Pending,
        pointer: &EnrolmentPointer,
    ) -> Result<Broker, EnrolmentError> {
        let at = ServicesAddress { url: &pointer.services_url, trust: &pending.trust };
        let nkey_pub = key_of(&pending.bootstrap_seed)?.public().to_string();
        let request = NatsBootstrap { nkey_pub };
        let answer = self.ports.services().nats_bootstrap(at, &pending.token, &request).await;
        let answer = answer.map_err(step("getting access to the broker"))?;
        if answer.guid != pending.invitation.space.guid() {
            return Err(EnrolmentError::OtherMember);
        }
        let device = device_of(&answer.nats_jwt, self.ports.clock().now())?;
        let broker = Broker { endpoint: answer.nats_endpoint, jwt: answer.nats_jwt, device };
        pending.broker = Some(broker.clone());
        state::save_pending(hold, pending)?;
        Ok(broker)
    }

    /// Makes the first message and stores it before it is sent.
    fn first_message(
        &self,
        hold: &mut <P::Store as Store>::Hold,
        pending: &mut Pending,
        broker: &Broker,
    ) -> Result<Asking, EnrolmentError> {
        let (now, mut rng) = (self.ports.clock().now(), self.ports.random());
        let nkey_pub = key_of(&pending.app_seed)?.public().to_string();
        let opening = Opening { nkey_pub: Some(nkey_pub), device: Some(broker.device.clone()), ..Opening::default() };
        let target = Target::invitation(&pending.invitation).map_err(HandshakeError::from)?;
        let (initiator, first) = Initiator::start(now, &mut rng, &pending.identity.party(), target, &opening)
            .map_err(HandshakeError::from)?;
        let event_id = EventId::v7(now, random::bytes(&mut rng));
        let message = first.send.unwrap_or_default();
        let sending =
            Sending::new(AppBootstrap::ROW.event_type(), event_id, now, &message).map_err(HandshakeError::from)?;
        pending.asking = Some(Asking { sending, initiator });
        state::save_pending(hold, pending)?;
        pending.asking.take().ok_or(EnrolmentError::NoAnswer)
    }

    /// The vault answered and is the right one: the third message is made, and with it the session.
    fn become_member(
        &self,
        pending: Pending,
        broker: Broker,
        asking: Asking,
        pointer: &EnrolmentPointer,
    ) -> Result<Member, EnrolmentError> {
        let (now, mut rng, mut initiator) = (self.ports.clock().now(), self.ports.random(), asking.initiator);
        let (guid, event_id) = (pending.invitation.space.guid(), EventId::v7(now, random::bytes(&mut rng)));
        let event_type = AppBootstrap::ROW.event_type();
        let (last, outcome) =
            handshake::third(&mut initiator, &pending.identity.party(), event_type, event_id, now, &mut rng)?;
        let peer = outcome.peer().clone();
        let jwt = peer.jwt.ok_or(WrongCredential::Missing)?;
        let resume = outcome.resume().duplicate();
        let journal_sequence = seen(pending.recovering, peer.incarnation)?;
        Ok(Member {
            guid,
            credential: NatsCredential::new(pending.app_seed, jwt, guid, &broker.device, now)?,
            device: broker.device,
            identity: pending.identity,
            endpoint: broker.endpoint,
            trust: pending.trust,
            origin: Origin {
                invite_id: pending.invitation.invite_id,
                services_url: pointer.services_url.clone(),
                token: Some(pending.token),
            },
            vault: Vault {
                fingerprint: pending.invitation.inviter_fp,
                key_record: peer.key_record,
                incarnation: peer.incarnation,
                journal_sequence,
                journal_hash: None,
            },
            session: Some(Session::new(outcome, last, now)),
            resumptions: vec![resume],
            intent: None,
            checkpoint: None,
            lock: pending.lock,
            registry: None,
            recovering: pending.recovering,
        })
    }

    /// The first question under the new keys proves that both sides have them; then services are told.
    async fn conclude(&self, hold: <P::Store as Store>::Hold, member: Member) -> Result<Enrolled, EnrolmentError> {
        let mut line = self.line(hold, member).await?;
        let proved = line.ask::<VaultHealth>(&Nothing {}).await;
        let told = if proved.is_ok() { self.tell_services(&mut line).await } else { Ok(false) };
        let member = &line.member;
        let enrolled = told.map(|services_informed| Enrolled {
            guid: member.guid,
            device: member.device.clone(),
            vault_fingerprint: member.vault.fingerprint,
            nats_expires_at: member.credential.expires_at,
            services_informed,
        });
        line.close().await;
        proved?;
        enrolled
    }

    /// Says that the enrolment is complete. It is, whatever services answer.
    pub(crate) async fn tell_services(&self, line: &mut Line<'_, P>) -> Result<bool, EnrolmentError> {
        let Some(token) = line.member.origin.token.take() else {
            return Ok(true);
        };
        let at = ServicesAddress { url: &line.member.origin.services_url, trust: &line.member.trust };
        let told = self.ports.services().finalize(at, &token).await;
        if let Err(ServicesError::Unreachable(_)) = &told {
            line.member.origin.token = Some(token);
        }
        line.save()?;
        Ok(told.is_ok())
    }
}

/// What the state says about this code. A state that cannot be read stands in nobody's way who wants to replace it.
fn find(hold: &impl crate::store::Hold, invitation: &Invitation, existing: Existing) -> Result<Found, EnrolmentError> {
    match (state::load(hold), existing) {
        (Ok(Some(State::Enrolled(member))), _) if member.origin.invite_id == invitation.invite_id => {
            Ok(Found::Enrolled(member))
        }
        (Ok(Some(State::Enrolled(_))), Existing::Keep) => Err(EnrolmentError::AlreadyEnrolled),
        (Ok(Some(State::Enrolling(pending))), _) if pending.invitation == *invitation => Ok(Found::Halfway(pending)),
        (Ok(_), _) | (Err(_), Existing::Replace) => Ok(Found::Fresh),
        (Err(error), Existing::Keep) => Err(error.into()),
    }
}

/// How long the journal has to be at least; a device that recovers takes no vault that is older than the one before saw it.
fn seen(recovering: Option<Recovering>, incarnation: u64) -> Result<u64, CommandError> {
    match recovering.and_then(|recovering| recovering.seen) {
        Some(seen) if incarnation < seen.incarnation => {
            Err(WentBack::Incarnation { known: seen.incarnation, found: incarnation }.into())
        }
        Some(seen) if incarnation == seen.incarnation => Ok(seen.journal_sequence),
        _ => Ok(0),
    }
}

pub(crate) fn new_seed(rng: &mut dyn rand_core::CryptoRng) -> Result<SecretBytes, WrongCredential> {
    UserKey::random(rng).and_then(|key| key.seed()).map_err(|_| WrongCredential::Seed)
}

fn step(step: &'static str) -> impl FnOnce(ServicesError) -> EnrolmentError {
    move |source| EnrolmentError::Services { step, source }
}
