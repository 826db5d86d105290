//! Samples of invitations, as objects and as the text of a QR code.

use crate::sample::Samples;
use crate::{handshake, value};
use vettid_wire::handshake::{EnrolmentPointer, Invitation, InvitationKind, InvitationSecret};

fn connect() -> Invitation {
    Invitation {
        kind: InvitationKind::Connect,
        space: handshake::space(),
        token: value::jwt(),
        expires_at: value::at(10),
        inviter_hint: "Alice".to_owned(),
        inviter_fp: value::fingerprint(),
        invite_key: [0x1b; 32],
        invite_id: value::invite(),
        secret: InvitationSecret::from_bytes([0x1c; 32]),
        suites: vec![1, 3],
        enrolment: None,
    }
}

fn enroll() -> Invitation {
    let pointer = EnrolmentPointer { services_url: "https://vettid.dev".to_owned(), session_id: value::enrolment() };
    Invitation {
        kind: InvitationKind::Enroll,
        token: "one-time-token".to_owned(),
        enrolment: Some(pointer),
        ..connect()
    }
}

fn service() -> Invitation {
    Invitation { kind: InvitationKind::Service, inviter_hint: "Demo Shop".to_owned(), ..connect() }
}

#[test]
fn invitations_have_one_text() {
    let lines = [connect(), service(), enroll()].map(|invitation| {
        let text = invitation.to_text().unwrap();
        assert_eq!(Invitation::read(&text).unwrap(), invitation);
        text
    });
    insta::assert_snapshot!("invitation_text", lines.join("\n"));
}

#[test]
fn a_link_carries_the_text_in_its_fragment() {
    let link = connect().to_link("https://app.vettid.dev/c").unwrap();
    assert_eq!(link, format!("https://app.vettid.dev/c#{}", connect().to_text().unwrap()));
    assert_eq!(Invitation::read(&link).unwrap(), connect());
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("invitation");
    samples.cases("InvitationKind", [InvitationKind::Enroll, InvitationKind::Connect, InvitationKind::Service]);
    samples.cases("Invitation", [connect(), service(), enroll()]);
    samples.text("SpaceUri", handshake::space());
    samples
}
