//! Samples of the types that are one text on the wire: ids, keys, byte strings, times and subjects.

use crate::sample::Samples;
use crate::{credential, value};
use vettid_wire::subject::Subject;

fn subjects() -> [Subject; 16] {
    let (member, event, connection) = (value::member(), value::event(), value::connection());
    let named = value::event_type;
    [
        Subject::ForVault(member, named("profile.update")),
        Subject::ForApp(member, named("profile.update"), event),
        Subject::EventTypes(member),
        Subject::ForServices(member, named("account.revoke_user")),
        Subject::ForOwner(member, connection, named("messaging.text")),
        Subject::Invite(member, value::invite()),
        Subject::FromService(member, value::service(), named("data.request")),
        Subject::OwnerProfile(member),
        Subject::OwnerProfileGet(member),
        Subject::Call(member, connection, named("call.offer")),
        Subject::ControlGlobal(named("handlers.reload")),
        Subject::ControlEnclave(value::host(), named("vault.deploy")),
        Subject::ControlUser(member, named("backup.request")),
        Subject::Broadcast(named("security.alert")),
        Subject::DirectoryService(value::service()),
        Subject::Journal(member),
    ]
}

fn ids(samples: &mut Samples) {
    samples.text("id::MemberId", value::member());
    samples.text("id::EventId", value::event());
    samples.text("id::ConnectionId", value::connection());
    samples.text("id::RequestId", value::request());
    samples.text("id::AgreementId", crate::agreement::id());
    samples.text("id::CallId", crate::call::id());
    samples.text("id::OperationId", value::operation());
    samples.text("id::ShareId", crate::location::id());
    samples.text("id::SecretId", crate::secret::secret_id());
    samples.text("id::InviteId", value::invite());
    samples.text("id::HandshakeId", value::handshake());
    samples.text("id::SessionKeyId", value::session_key());
    samples.text("id::FileId", crate::file::id());
    samples.text("id::ServiceId", value::service());
    samples.text("id::HostId", value::host());
    samples.text("id::DeviceId", value::device());
    samples.text("id::KeyId", value::key_id());
    samples.text("id::KeyId", value::transaction_key_id());
    samples.text("id::Fingerprint", value::fingerprint());
    samples.text("credential::LatId", credential::lat_id());
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("text");
    ids(&mut samples);
    for key in [value::ed25519(), value::x25519(), value::p256()] {
        samples.text("key::TypedKey", key);
    }
    samples.text("base64::Base64", value::bytes(5));
    samples.text("base64::Base64Url", value::bytes_url(5));
    samples.text("digest::Digest", value::digest());
    samples.text("time::Timestamp", value::at(0));
    samples.text("name::EventType", value::event_type("data.request"));
    for subject in subjects() {
        samples.text("subject::Subject", subject);
    }
    samples
}
