//! Samples of critical secrets: what is known of them, the actions over them, and their form in the credential.

use crate::sample::Samples;
use crate::value;
use vettid_wire::credential::SecretField;
use vettid_wire::id::SecretId;
use vettid_wire::secret::{
    AddSecret, Curve, GrantOpened, GrantRef, INNER_LAYER_VERSION, InnerLayer, Input, OpenGrant, Operation,
    RotateSecret, SecretKind, SecretList, SecretRef, SecretSummary, StoredSecret, UseSecret, Used,
};

const LABEL: &str = "Signing key of the association";

pub(crate) fn secret_id() -> SecretId {
    SecretId::v7(value::at(0), [0x51; 10])
}

fn summary() -> SecretSummary {
    SecretSummary {
        secret_id: secret_id(),
        label: LABEL.to_owned(),
        kind: SecretKind::SigningKey,
        curve: Some(Curve::Ed25519),
        public_key: Some(value::bytes(32)),
        category: Some("work".to_owned()),
        created_at: value::at(0),
        rotated_at: Some(value::at(1)),
        last_used_at: Some(value::at(2)),
        uses: 3,
    }
}

fn stored() -> StoredSecret {
    StoredSecret {
        secret_id: secret_id(),
        kind: SecretKind::SigningKey,
        curve: Some(Curve::Ed25519),
        grant_minutes: Some(0),
        value: SecretField::new(vec![0x5e; 32]),
    }
}

fn add() -> AddSecret {
    AddSecret {
        secret_id: secret_id(),
        label: LABEL.to_owned(),
        kind: SecretKind::SigningKey,
        curve: Some(Curve::Ed25519),
        category: Some("work".to_owned()),
        grant_minutes: Some(0),
        sealed: value::bytes(328),
    }
}

fn known(samples: &mut Samples) {
    let optional = &["/curve", "/public_key", "/category", "/rotated_at", "/last_used_at"];
    samples.object("SecretSummary", summary()).optional(optional);
    let optional = &[
        "/secrets/0/curve",
        "/secrets/0/public_key",
        "/secrets/0/category",
        "/secrets/0/rotated_at",
        "/secrets/0/last_used_at",
    ];
    samples.object("SecretList", SecretList { secrets: vec![summary()] }).optional(optional);
    let kinds = [
        SecretKind::SeedPhrase,
        SecretKind::PrivateKey,
        SecretKind::SigningKey,
        SecretKind::Password,
        SecretKind::Number,
        SecretKind::Note,
        SecretKind::File,
    ];
    samples.cases("SecretKind", kinds);
    samples.cases("Curve", [Curve::Ed25519, Curve::Secp256k1, Curve::P256]);
    samples.cases("Operation", [Operation::Sign, Operation::Decrypt, Operation::Reveal]);
}

fn actions(samples: &mut Samples) {
    let message = || Input::Message(value::bytes(5));
    samples.object("AddSecret", add()).optional(&["/curve", "/category", "/grant_minutes"]);
    samples.object("RotateSecret", RotateSecret { secret_id: secret_id(), sealed: value::bytes(328) });
    samples.object("SecretRef", SecretRef { secret_id: secret_id() });
    let used = UseSecret { secret_id: secret_id(), operation: Operation::Sign, input: Some(message()) };
    samples.object("UseSecret", used).optional(&["/input"]);
    samples.cases("Input", [message(), Input::Digest(value::bytes(32)), Input::Age(value::bytes(200))]);
    samples.cases("Used", [Used::Signature(value::bytes(64)), Used::Sealed(value::bytes(328))]);
}

fn grants(samples: &mut Samples) {
    let open = OpenGrant { secret_id: secret_id(), operation: Operation::Sign, uses: 5, minutes: 15 };
    samples.object("OpenGrant", open);
    let (secret_id, operation) = (secret_id(), Operation::Sign);
    let opened = GrantOpened { secret_id, operation, expires_at: value::at(15), sealed_key: value::bytes(328) };
    samples.object("GrantOpened", opened);
    samples.object("GrantRef", GrantRef { secret_id, operation });
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("secret");
    known(&mut samples);
    actions(&mut samples);
    grants(&mut samples);
    let layer = InnerLayer { version: INNER_LAYER_VERSION, secrets: vec![stored()] };
    samples.object("InnerLayer", layer).optional(&["/secrets/0/curve", "/secrets/0/grant_minutes"]);
    samples.object("StoredSecret", stored()).optional(&["/curve", "/grant_minutes"]);
    samples
}
