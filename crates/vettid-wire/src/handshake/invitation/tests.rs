//! Tests of the invitation: one object, one text, nothing secret outside the fragment.

use super::*;
use proptest::prelude::*;

fn jwt(claims: &str) -> String {
    format!("{}.{}.{}", encode_url(JWT_HEADER.as_bytes()), encode_url(claims.as_bytes()), encode_url(&[5; 64]))
}

fn connect() -> Invitation {
    Invitation {
        kind: InvitationKind::Connect,
        space: SpaceUri::new("tls://ms.vettid.dev:4222", MemberId::from_bytes([1; 16])).unwrap(),
        token: jwt(&"c".repeat(390)),
        expires_at: "2026-11-21T00:10:00.000Z".parse().unwrap(),
        inviter_hint: "Jane D.".to_owned(),
        inviter_fp: Fingerprint::from_bytes([2; 32]),
        invite_key: [3; 32],
        invite_id: InviteId::from_bytes([4; 16]),
        secret: InvitationSecret::from_bytes([5; 32]),
        suites: vec![1, 3],
        enrolment: None,
    }
}

fn enroll() -> Invitation {
    let session_id = EventId::from_bytes([9; 16]);
    Invitation {
        kind: InvitationKind::Enroll,
        token: "one-time".to_owned(),
        enrolment: Some(EnrolmentPointer { services_url: "https://vettid.dev".to_owned(), session_id }),
        ..connect()
    }
}

#[test]
fn text_and_link_come_back() {
    for invitation in [connect(), enroll(), Invitation { kind: InvitationKind::Service, ..connect() }] {
        let text = invitation.to_text().unwrap();
        assert_eq!(Invitation::read(&text).unwrap(), invitation);
        let link = invitation.to_link("https://app.vettid.dev/c").unwrap();
        assert!(link.len() <= MAX_TEXT_BYTES, "{}", link.len());
        assert_eq!(Invitation::read(&link).unwrap(), invitation);
        let json = serde_json::to_string(&invitation).unwrap();
        assert_eq!(serde_json::from_str::<Invitation>(&json).unwrap(), invitation);
    }
}

#[test]
fn the_secret_of_a_link_stands_in_its_fragment_only() {
    let link = connect().to_link("https://app.vettid.dev/c").unwrap();
    assert_eq!(link.split('#').next(), Some("https://app.vettid.dev/c"));
    let shown = format!("{:?}", connect());
    assert!(!shown.contains(&encode_url(&[5; 32])) && !shown.contains(&connect().token), "{shown}");
}

#[test]
fn object_has_the_fields_of_the_standard() {
    let value = serde_json::to_value(connect()).unwrap();
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let wanted = [
        "expires_at",
        "invite_id",
        "invite_key",
        "inviter_fp",
        "inviter_hint",
        "messagespace_uri",
        "secret",
        "suites",
        "token",
        "type",
        "version",
    ];
    assert_eq!(names, wanted);
    assert_eq!(value["messagespace_uri"], "tls://ms.vettid.dev:4222/01010101-0101-0101-0101-010101010101");
    assert_eq!(serde_json::to_value(enroll()).unwrap()["type"], "vettid_enroll");
}

#[test]
fn what_does_not_fit_a_qr_code_is_refused() {
    let long = Invitation { token: jwt(&"c".repeat(600)), ..connect() };
    assert_eq!(long.to_text(), Err(InvalidInvitation::TooLong));
    assert_eq!(Invitation::read(&"A".repeat(901)), Err(InvalidInvitation::TooLong));
}

#[test]
fn kind_and_fields_agree() {
    let mut value = serde_json::to_value(connect()).unwrap();
    value["type"] = "vettid_enroll".into();
    assert!(serde_json::from_value::<Invitation>(value).is_err());
    let wrong = Invitation { enrolment: enroll().enrolment, ..connect() };
    assert_eq!(wrong.to_text(), Err(InvalidInvitation::Malformed));
    let mut value = serde_json::to_value(connect()).unwrap();
    value["extra"] = 1.into();
    assert!(serde_json::from_value::<Invitation>(value).is_err());
}

proptest! {
    #[test]
    fn reading_never_panics_and_one_invitation_has_one_text(bytes: Vec<u8>, cut: usize, flip: usize) {
        let _ = Invitation::read(&encode_url(&bytes));
        let mut packed = connect().pack().unwrap().to_vec();
        let place = flip % packed.len();
        packed[place] ^= 1;
        packed.truncate(packed.len() - cut % 3);
        let text = encode_url(&packed);
        if let Ok(read) = Invitation::read(&text) {
            prop_assert_eq!(read.to_text().unwrap(), text);
        }
    }
}

/// Wiping is part of the type, and no copy is made by accident.
#[test]
fn a_secret_is_wiped_and_copied_only_on_purpose() {
    fn is_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let invitation = connect();
    is_wiped(&invitation.secret);
    assert_eq!(invitation.duplicate(), invitation);
    for byte in 0..32 {
        let mut other = *invitation.secret.expose();
        other[byte] ^= 1;
        assert_ne!(InvitationSecret::from_bytes(other), invitation.secret);
    }
}
