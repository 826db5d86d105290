//! Enrolment: what the QR code holds, the services' HTTP API, and what vault and services tell each other.

use crate::base64::{Base64, Base64Url};
use crate::id::{EventId, Fingerprint, HostId, KeyId, MemberId, ServiceId};
use crate::key::TypedKey;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnrolmentState {
    /// The member asked for it; the QR code is shown.
    WebInitiated,
    /// An app has scanned the code.
    Pending,
    /// The app has proved that it holds the code and its own key.
    Authenticated,
    /// The app may speak to its vault on NATS.
    NatsConnected,
    /// App and vault share keys; the account is active.
    Completed,
}

/// `POST /v1/accounts`: opens an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// How the member signs in to the portal; unique.
    pub name: String,
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountCreated {
    /// The member.
    pub guid: MemberId,
    /// Bearer token of the portal session; shown once.
    pub portal_token: String,
}

/// `POST /v1/vault/enroll/start` (portal token): deploys the vault if needed and makes a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentStarted {
    /// Names the enrolment.
    pub session_id: EventId,
    /// The text of the QR code.
    pub qr: String,
    /// The vault's identity, to compare with what the app shows.
    pub vault_fp: Fingerprint,
    /// When the code dies.
    pub expires_at: Timestamp,
}

/// `POST /v1/vault/enroll/scan`: an app has read the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// The enrolment.
    pub session_id: EventId,
}

/// The server's challenge for the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scanned {
    /// 32 random bytes, for one use.
    pub challenge: Base64Url,
}

/// `POST /v1/vault/enroll/authenticate`: proves the code and the app's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authenticate {
    /// The enrolment.
    pub session_id: EventId,
    /// The one-time token of the code.
    pub token: String,
    /// The app's identity key.
    pub app_key: TypedKey,
    /// The server's challenge.
    pub challenge: Base64Url,
    /// The signing key.
    pub key_id: KeyId,
    /// By the app's key, over everything else (ctx `vettid/service-request/1`).
    pub signature: Base64,
}

/// The app is known for ten minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authenticated {
    /// Bearer token of the next two steps.
    pub enrolment_token: String,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// `POST /v1/vault/enroll/nats-bootstrap` (enrolment token).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsBootstrap {
    /// The app's own public NKey; the private half never travels.
    pub nkey_pub: String,
}

/// How the app reaches its vault for the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsBootstrapped {
    /// The member.
    pub guid: MemberId,
    /// Address of the NATS server.
    pub nats_endpoint: String,
    /// User JWT of one hour for the bootstrap subjects alone.
    pub nats_jwt: String,
    /// When it dies.
    pub expires_at: Timestamp,
}

/// `POST /v1/vault/bootstrap`: an enrolled app whose NATS credential died asks for one that leads back to its vault.
/// Answered with [`NatsBootstrapped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewBootstrap {
    /// The member.
    pub guid: MemberId,
    /// The app's identity key, as in its enrolment.
    pub app_key: TypedKey,
    /// A public NKey of the app; the private half never travels.
    pub nkey_pub: String,
    /// When it was signed; taken within two minutes.
    pub issued_at: Timestamp,
    /// 16 to 64 random bytes; taken once.
    pub nonce: Base64Url,
    /// The signing key.
    pub key_id: KeyId,
    /// By the app's key, over everything else (ctx `vettid/service-request/1`).
    pub signature: Base64,
}

/// `POST /v1/vault/enroll/finalize` (enrolment token): the handshake is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finalized {
    /// Where the enrolment stands now.
    pub state: EnrolmentState,
}

/// `POST /v1/hosts` (join token): a host asks to run vaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinHost {
    /// The name of the host.
    pub host_id: HostId,
    /// Public NKey of its subscribing identity.
    pub subscriber_nkey: String,
    /// Public NKey of its publishing identity.
    pub publisher_nkey: String,
}

/// How a host reaches the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostJoined {
    /// Address of the NATS server.
    pub nats_endpoint: String,
    /// User JWT of the subscribing identity.
    pub subscriber_jwt: String,
    /// User JWT of the publishing identity.
    pub publisher_jwt: String,
    /// The key that signs control commands; also the identity of services for sealed requests to them.
    pub control_key: TypedKey,
    /// The KEM key (X25519) to which vaults seal their requests to services, in mode `signed`.
    pub services_kem: TypedKey,
    /// When the credentials die.
    pub expires_at: Timestamp,
}

/// `POST /v1/services` (join token): a service registers its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterService {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// Public NKey of its account.
    pub account_nkey: String,
    /// Public NKey of the signing key for its own users.
    pub vault_signing_nkey: String,
    /// Public NKey of the signing key for connections.
    pub connection_signing_nkey: String,
    /// Public NKey of the signing key for invitations.
    pub claim_signing_nkey: String,
}

/// The service's account is live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRegistered {
    /// Address of the NATS server.
    pub nats_endpoint: String,
}

/// Parameters of the control command `vault.deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployVault {
    /// The member.
    pub guid: MemberId,
}

/// A vault's public keys, made where they are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultDeployed {
    /// The member.
    pub guid: MemberId,
    /// The vault's identity key.
    pub identity_key: TypedKey,
    /// Public NKey of the OwnerSpace account.
    pub owner_account_nkey: String,
    /// Public NKey of the signing key for apps.
    pub app_signing_nkey: String,
    /// Public NKey of the MessageSpace account.
    pub message_account_nkey: String,
    /// Public NKey of the signing key for connections.
    pub connection_signing_nkey: String,
    /// Public NKey of the signing key for services.
    pub service_signing_nkey: String,
    /// Public NKey of the signing key for invitations.
    pub claim_signing_nkey: String,
}

/// Parameters of the control command `vault.enroll`: make an enrolment code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolVault {
    /// The member.
    pub guid: MemberId,
    /// When the code dies.
    pub expires_at: Timestamp,
    /// Put into the code; proves to services that the app has read it.
    pub token: String,
    /// Address of services, put into the code.
    pub services_url: String,
    /// The enrolment, put into the code.
    pub session_id: EventId,
}

/// The vault's enrolment code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentCode {
    /// The text of the QR code.
    pub qr: String,
}

/// Vault to services: cut off a NATS user. Inside an envelope of mode `signed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeUser {
    /// Public NKey of the account in which the user lives.
    pub account_nkey: String,
    /// Public NKey of the user.
    pub user_nkey: String,
    /// JWTs issued until then are refused.
    pub revoked_at: Timestamp,
}

/// Vault to services: these keys sign the credentials of a vault's users from now on. Inside an envelope of mode `signed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKeys {
    /// When the vault made them; services take only keys that are younger than those they know.
    pub since: Timestamp,
    /// The keys.
    pub keys: SigningNkeys,
    /// Whether credentials under the keys that sign now are taken until the next rotation; if not, they are cut off at once.
    pub keeps_former: bool,
}

/// The public NKeys that sign the credentials of a vault's users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningNkeys {
    /// Signs the users of apps.
    pub app: String,
    /// Signs the users of connected members.
    pub connection: String,
    /// Signs the users of connected services.
    pub service: String,
    /// Signs the tokens of invitations.
    pub claim: String,
}

/// The broker has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKeysRotated {
    /// As asked.
    pub since: Timestamp,
    /// As asked.
    pub keeps_former: bool,
}

/// The broker has the revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRevoked {
    /// Public NKey of the user.
    pub user_nkey: String,
}
