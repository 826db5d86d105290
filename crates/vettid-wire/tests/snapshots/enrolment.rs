//! Samples of enrolment: the bodies of the services' HTTP API, and what hosts and services tell each other.

use crate::sample::Samples;
use crate::value;
use vettid_wire::enrolment::{
    AccountCreated, Authenticate, Authenticated, CreateAccount, DeployVault, EnrolVault, EnrolmentCode,
    EnrolmentStarted, EnrolmentState, Finalized, HostJoined, JoinHost, NatsBootstrap, NatsBootstrapped,
    RegisterService, RenewBootstrap, RevokeUser, RotateSigningKeys, Scan, Scanned, ServiceRegistered,
    SigningKeysRotated, SigningNkeys, UserRevoked, VaultDeployed,
};

const ENDPOINT: &str = "tls://nats.vettid.dev:4222";
const TOKEN: &str = "one-time-token";
const QR: &str = "VklUWFQ";

fn authenticate() -> Authenticate {
    Authenticate {
        session_id: value::enrolment(),
        token: TOKEN.to_owned(),
        app_key: value::ed25519(),
        challenge: value::bytes_url(32),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn started() -> EnrolmentStarted {
    EnrolmentStarted {
        session_id: value::enrolment(),
        qr: QR.to_owned(),
        vault_fp: value::fingerprint(),
        expires_at: value::at(10),
    }
}

fn bootstrapped() -> NatsBootstrapped {
    NatsBootstrapped {
        guid: value::member(),
        nats_endpoint: ENDPOINT.to_owned(),
        nats_jwt: value::jwt(),
        expires_at: value::at(60),
    }
}

fn renew_bootstrap() -> RenewBootstrap {
    RenewBootstrap {
        guid: value::member(),
        app_key: value::ed25519(),
        nkey_pub: value::nkey('U'),
        issued_at: value::at(0),
        nonce: value::bytes_url(16),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn of_members(samples: &mut Samples) {
    let states = [
        EnrolmentState::WebInitiated,
        EnrolmentState::Pending,
        EnrolmentState::Authenticated,
        EnrolmentState::NatsConnected,
        EnrolmentState::Completed,
    ];
    samples.cases("EnrolmentState", states);
    samples.object("CreateAccount", CreateAccount { name: "alice".to_owned() });
    samples.object("AccountCreated", AccountCreated { guid: value::member(), portal_token: TOKEN.to_owned() });
    samples.object("EnrolmentStarted", started());
    samples.object("Scan", Scan { session_id: value::enrolment() });
    samples.object("Scanned", Scanned { challenge: value::bytes_url(32) });
    samples.object("Authenticate", authenticate());
    let authenticated = Authenticated { enrolment_token: TOKEN.to_owned(), expires_at: value::at(10) };
    samples.object("Authenticated", authenticated);
    samples.object("NatsBootstrap", NatsBootstrap { nkey_pub: value::nkey('U') });
    samples.object("NatsBootstrapped", bootstrapped());
    samples.object("RenewBootstrap", renew_bootstrap());
    samples.object("Finalized", Finalized { state: EnrolmentState::Completed });
}

fn joined() -> HostJoined {
    HostJoined {
        nats_endpoint: ENDPOINT.to_owned(),
        subscriber_jwt: value::jwt(),
        publisher_jwt: value::jwt(),
        control_key: value::ed25519(),
        services_kem: value::x25519(),
        expires_at: value::at(30 * 24 * 60),
    }
}

fn register_service() -> RegisterService {
    RegisterService {
        service_id: value::service(),
        guid: value::peer(),
        account_nkey: value::nkey('A'),
        vault_signing_nkey: value::nkey('A'),
        connection_signing_nkey: value::nkey('A'),
        claim_signing_nkey: value::nkey('A'),
    }
}

fn deployed() -> VaultDeployed {
    VaultDeployed {
        guid: value::member(),
        identity_key: value::ed25519(),
        owner_account_nkey: value::nkey('A'),
        app_signing_nkey: value::nkey('A'),
        message_account_nkey: value::nkey('A'),
        connection_signing_nkey: value::nkey('A'),
        service_signing_nkey: value::nkey('A'),
        claim_signing_nkey: value::nkey('A'),
    }
}

fn enrol_vault() -> EnrolVault {
    EnrolVault {
        guid: value::member(),
        expires_at: value::at(10),
        token: TOKEN.to_owned(),
        services_url: "https://vettid.dev".to_owned(),
        session_id: value::enrolment(),
    }
}

fn of_hosts_and_services(samples: &mut Samples) {
    let (subscriber_nkey, publisher_nkey) = (value::nkey('U'), value::nkey('U'));
    samples.object("JoinHost", JoinHost { host_id: value::host(), subscriber_nkey, publisher_nkey });
    samples.object("HostJoined", joined());
    samples.object("RegisterService", register_service());
    samples.object("ServiceRegistered", ServiceRegistered { nats_endpoint: ENDPOINT.to_owned() });
    samples.object("DeployVault", DeployVault { guid: value::member() });
    samples.object("VaultDeployed", deployed());
    samples.object("EnrolVault", enrol_vault());
    samples.object("EnrolmentCode", EnrolmentCode { qr: QR.to_owned() });
    let (account_nkey, user_nkey) = (value::nkey('A'), value::nkey('U'));
    let revoke = RevokeUser { account_nkey, user_nkey: user_nkey.clone(), revoked_at: value::at(0) };
    samples.object("RevokeUser", revoke);
    samples.object("UserRevoked", UserRevoked { user_nkey });
    let [app, connection, service, claim] = std::array::from_fn(|_| value::nkey('A'));
    let keys = SigningNkeys { app, connection, service, claim };
    samples.object("SigningNkeys", keys.clone());
    samples.object("RotateSigningKeys", RotateSigningKeys { since: value::at(0), keys, keeps_former: true });
    samples.object("SigningKeysRotated", SigningKeysRotated { since: value::at(0), keeps_former: true });
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("enrolment");
    of_members(&mut samples);
    of_hosts_and_services(&mut samples);
    samples
}
