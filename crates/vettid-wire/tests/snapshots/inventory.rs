//! Samples of the inventory of keys and of the upkeep of connections.

use crate::sample::Samples;
use crate::value;
use vettid_wire::connection::PeerKind;
use vettid_wire::inventory::{
    AskHealth, AskKeys, ConnectionHealth, HealthReport, KeyHolder, KeyInventory, KeyKind, KeyPolicy, KeyUse, KeyView,
    RotateSigning, SigningKeysMade,
};

fn health() -> ConnectionHealth {
    ConnectionHealth {
        connection_id: value::connection(),
        display_name: "Bob".to_owned(),
        kind: PeerKind::Member,
        epoch: 3,
        keys_since: Some(value::at(0)),
        suite: "X25519+XChaCha20-Poly1305".to_owned(),
        messages: 40,
        next_rotation: Some(value::at(5)),
        straggles_since: Some(value::at(4)),
        open_epochs: 1,
        last_sent: Some(value::at(1)),
        last_received: Some(value::at(2)),
        credential_until: Some(value::at(6)),
        profile_until: Some(value::at(7)),
    }
}

fn key() -> KeyView {
    KeyView {
        id: value::key_id().to_string(),
        role: KeyUse::Epoch,
        holder: KeyHolder::Vault,
        kind: KeyKind::Pair,
        suite: "X25519+XChaCha20-Poly1305".to_owned(),
        connection_id: Some(value::connection()),
        since: Some(value::at(0)),
        policy: KeyPolicy::Epoch,
        next_rotation: Some(value::at(5)),
    }
}

const ROLES: [KeyUse; 25] = [
    KeyUse::Identity,
    KeyUse::Session,
    KeyUse::OwnerAccount,
    KeyUse::AppSigning,
    KeyUse::MessageAccount,
    KeyUse::VaultSigning,
    KeyUse::ConnectionSigning,
    KeyUse::ServiceSigning,
    KeyUse::ClaimSigning,
    KeyUse::Epoch,
    KeyUse::Pairwise,
    KeyUse::BrokerUser,
    KeyUse::Storage,
    KeyUse::UnlockLane,
    KeyUse::AppIdentity,
    KeyUse::AppSealing,
    KeyUse::AppSession,
    KeyUse::Resumption,
    KeyUse::AppStore,
    KeyUse::Credential,
    KeyUse::IssuerToken,
    KeyUse::Transaction,
    KeyUse::DeviceSecret,
    KeyUse::Recovery,
    KeyUse::Grant,
];

const POLICIES: [KeyPolicy; 13] = [
    KeyPolicy::Epoch,
    KeyPolicy::Connection,
    KeyPolicy::Signing,
    KeyPolicy::Vault,
    KeyPolicy::App,
    KeyPolicy::Session,
    KeyPolicy::EachUse,
    KeyPolicy::Once,
    KeyPolicy::Password,
    KeyPolicy::Phrase,
    KeyPolicy::Ends,
    KeyPolicy::Host,
    KeyPolicy::Start,
];

const HOLDERS: [KeyHolder; 6] =
    [KeyHolder::Vault, KeyHolder::App, KeyHolder::Both, KeyHolder::Host, KeyHolder::Services, KeyHolder::Gateway];

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("inventory");
    let ask = AskHealth { connection_id: Some(value::connection()), after: Some(value::connection()) };
    samples.object("AskHealth", ask).optional(&["/connection_id", "/after"]);
    samples.object("ConnectionHealth", health()).optional(&[
        "/keys_since",
        "/next_rotation",
        "/straggles_since",
        "/last_sent",
        "/last_received",
        "/credential_until",
        "/profile_until",
    ]);
    samples.object("HealthReport", HealthReport { connections: vec![], more: true });
    samples.object("AskKeys", AskKeys { after: Some(value::connection()) }).optional(&["/after"]);
    samples.object("KeyView", key()).optional(&["/connection_id", "/since", "/next_rotation"]);
    let inventory = KeyInventory { keys: vec![], more_after: Some(value::connection()) };
    samples.object("KeyInventory", inventory).optional(&["/more_after"]);
    samples.object("RotateSigning", RotateSigning { cuts_off: true });
    samples.object("SigningKeysMade", SigningKeysMade { since: value::at(0) });
    samples.cases("KeyUse", ROLES);
    samples.cases("KeyPolicy", POLICIES);
    samples.cases("KeyHolder", HOLDERS);
    samples.cases("KeyKind", [KeyKind::Pair, KeyKind::Symmetric]);
    samples
}
