//! The way back of an app whose NATS credential the broker does not take any more, or that does not find the broker where
//! it was: services say where it is and give the known app a credential for the handshake, and over it the vault gives a
//! fresh one. Nothing but session events travels there.

use crate::app::{App, ConnectionOf, Ports, is_lost};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::credential::{device_of, key_of, member_credential};
use crate::enrolment::new_seed;
use crate::line::Line;
use crate::random;
use crate::services::{ServicesAddress, ServicesApi, ServicesError};
use crate::state::Member;
use crate::store::Store;
use crate::transport::{Connection, SignIn, Transport, TransportError};
use vettid_core::grants::mint::MemberIdentity;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::secret::SecretBytes;
use vettid_crypto::signature::{self, Context};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::enrolment::{NatsBootstrapped, RenewBootstrap};
use vettid_wire::id::MemberId;

/// The HTTP status with which services say that too much was asked in this time.
const TOO_MANY_REQUESTS: u16 = 429;

impl<P: Ports> App<P> {
    /// Opens a line for an app that is shut out or finds no broker. `lost` says which, and is the error if services refuse
    /// the way back; also if they cannot help an app that finds no broker.
    pub(crate) async fn way_back(
        &self,
        hold: <P::Store as Store>::Hold,
        mut member: Member,
        lost: CommandError,
    ) -> Result<Line<'_, P>, CommandError> {
        let connection = self.bootstrap_connection(&mut member, lost).await?;
        let mut line = Line::new(self, hold, member, connection);
        match line.go_on_as_app().await {
            Ok(()) => Ok(line),
            Err(error) => {
                line.close().await;
                Err(error)
            }
        }
    }

    /// Connects as the app or, where it is shut out, for the events that come before a session.
    pub(crate) async fn connect_somehow(&self, member: &mut Member) -> Result<ConnectionOf<P>, CommandError> {
        match self.connect(member).await {
            Err(error) if is_lost(&error) => self.bootstrap_connection(member, error).await,
            outcome => outcome,
        }
    }

    async fn bootstrap_connection(
        &self,
        member: &mut Member,
        lost: CommandError,
    ) -> Result<ConnectionOf<P>, CommandError> {
        let finds_no_broker = matches!(lost, CommandError::Transport(TransportError::Unreachable(_)));
        let seed = new_seed(&mut self.ports.random())?;
        let answer = match self.ask_services(member, &seed).await? {
            Ok(answer) if finds_no_broker && answer.nats_endpoint == member.endpoint => return Err(lost),
            Ok(answer) => answer,
            Err(_) if finds_no_broker => return Err(lost),
            Err(ServicesError::Refused { status }) if status != TOO_MANY_REQUESTS => return Err(lost),
            Err(error) => return Err(CommandError::Services(error)),
        };
        if answer.guid != member.guid {
            return Err(CommandError::Services(ServicesError::Unreadable("it is about another member".into())));
        }
        let connection = self.connect_back(member, &seed, &answer).await?;
        member.endpoint = answer.nats_endpoint;
        Ok(connection)
    }

    async fn ask_services(
        &self,
        member: &Member,
        seed: &SecretBytes,
    ) -> Result<Result<NatsBootstrapped, ServicesError>, CommandError> {
        let at = ServicesAddress { url: &member.origin.services_url, trust: self.trust_of(member) };
        self.ask_as(at, (member.guid, member.identity.signing()), seed).await
    }

    /// Asks services for a way to the broker, as the app with this key.
    async fn ask_as(
        &self,
        at: ServicesAddress<'_>,
        (guid, signing): (MemberId, &SigningKey),
        seed: &SecretBytes,
    ) -> Result<Result<NatsBootstrapped, ServicesError>, CommandError> {
        let mut request = RenewBootstrap {
            guid,
            app_key: signing.verifying_key().typed(),
            nkey_pub: key_of(seed)?.public().to_string(),
            issued_at: self.ports.clock().now(),
            nonce: Base64Url::new(random::bytes::<16>(&mut self.ports.random())),
            key_id: signing.key_id(),
            signature: Base64::default(),
        };
        request.signature = signature::sign(Context::ServiceRequest, signing, &request)?;
        Ok(self.ports.services().renew_bootstrap(at, &request).await)
    }

    /// Connects a device that services know and the vault does not yet: for what comes before a session, and nothing else.
    pub(crate) async fn connect_as(
        &self,
        at: ServicesAddress<'_>,
        (guid, signing): (MemberId, &SigningKey),
    ) -> Result<ConnectionOf<P>, CommandError> {
        let (now, seed) = (self.ports.clock().now(), new_seed(&mut self.ports.random())?);
        let answer = self.ask_as(at, (guid, signing), &seed).await?.map_err(CommandError::Services)?;
        if answer.guid != guid {
            return Err(CommandError::Services(ServicesError::Unreadable("it is about another member".into())));
        }
        let identity = MemberIdentity::AppBootstrap(device_of(&answer.nats_jwt, now)?);
        let credential = member_credential(&identity, guid, &seed, &answer.nats_jwt, now)?;
        let sign_in = SignIn { endpoint: &answer.nats_endpoint, trust: at.trust, credential };
        Ok(self.ports.transport().connect(sign_in).await?)
    }

    async fn connect_back(
        &self,
        member: &Member,
        seed: &SecretBytes,
        answer: &NatsBootstrapped,
    ) -> Result<ConnectionOf<P>, CommandError> {
        let identity = MemberIdentity::AppBootstrap(member.device.clone());
        let credential = member_credential(&identity, member.guid, seed, &answer.nats_jwt, self.ports.clock().now())?;
        let sign_in = SignIn { endpoint: &answer.nats_endpoint, trust: self.trust_of(member), credential };
        Ok(self.ports.transport().connect(sign_in).await?)
    }
}

impl<P: Ports> Line<'_, P> {
    /// Gets a fresh credential and connects with it.
    async fn go_on_as_app(&mut self) -> Result<(), CommandError> {
        self.replace_credential().await?;
        let connection = self.app.connect(&self.member).await?;
        std::mem::replace(&mut self.connection, connection).close().await;
        // The new connection stands on the new credential.
        self.credential_is_fresh = false;
        Ok(())
    }
}
