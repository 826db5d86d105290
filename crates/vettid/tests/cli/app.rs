//! `vettid app` where no vault is needed: wrong usage, codes that cannot be used, a state that cannot be read.

use crate::Place;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use vettid_wire::handshake::{EnrolmentPointer, Invitation, InvitationKind, InvitationSecret, SpaceUri};
use vettid_wire::id::{EventId, Fingerprint, InviteId, MemberId};

const CA: &str = "-----BEGIN CERTIFICATE-----\n";

fn code(kind: InvitationKind, expires_at: &str) -> Invitation {
    let enrolment = (kind == InvitationKind::Enroll).then(|| EnrolmentPointer {
        services_url: "https://127.0.0.1:1".into(),
        session_id: EventId::from_bytes([9; 16]),
    });
    Invitation {
        kind,
        space: SpaceUri::new("tls://127.0.0.1:1", MemberId::from_bytes([1; 16])).unwrap(),
        token: "one-time".into(),
        expires_at: expires_at.parse().unwrap(),
        inviter_hint: "Alice".into(),
        inviter_fp: Fingerprint::from_bytes([2; 32]),
        invite_key: [3; 32],
        invite_id: InviteId::from_bytes([4; 16]),
        secret: InvitationSecret::from_bytes([5; 32]),
        suites: vec![1],
        enrolment,
    }
}

fn text(kind: InvitationKind, expires_at: &str) -> String {
    code(kind, expires_at).to_text().unwrap()
}

const NEVER: &str = "9999-12-31T23:59:59.999Z";

#[test]
fn usage() {
    let place = Place::new();
    for (name, arguments) in [
        ("no_command", "app"),
        ("unknown_command", "app fly"),
        ("unknown_option", "app status --loud"),
        ("unknown_option_json", "--json app status --loud"),
        ("bad_connection_id", "app connection review bob"),
        ("bad_field_name", "app data get My-Address"),
        ("bad_profile_name", "app --profile ../other status"),
        ("decide_what", "app connection decide 018f6b1e-7c1a-7000-8000-000000000001"),
        ("revoke_without_reason", "app connection revoke 018f6b1e-7c1a-7000-8000-000000000001"),
        ("reject_with_fields", "app connection decide 018f6b1e-7c1a-7000-8000-000000000001 --reject --optional email"),
        ("bad_life", "app connection invite --life 10"),
        ("feed_limit", "app feed list --limit 201"),
        ("feed_tag", "app feed tag 1 --add Two,Words"),
        ("feed_since", "app feed search tax --since yesterday"),
        ("feed_policy", "app feed policy --archive-after 0"),
        ("nothing_to_set", "app profile set"),
        ("code_in_argv", "app enroll VkkBAw"),
        ("ca_file_missing", "app --ca-file none.pem status"),
    ] {
        insta::assert_snapshot!(format!("usage_{name}"), place.run(arguments, ""));
    }
}

#[test]
fn codes_that_cannot_be_used() {
    let place = Place::new();
    place.write("ca.pem", CA);
    place.write("expired", text(InvitationKind::Enroll, "2026-01-01T00:00:00.000Z"));
    place.write("connect", text(InvitationKind::Connect, NEVER));
    place.write("fine", format!("https://app.vettid.dev/e#{}\n", text(InvitationKind::Enroll, NEVER)));
    place.write("long", "A".repeat(2_000));
    for (name, arguments, input) in [
        ("none", "app enroll", ""),
        ("garbage", "app enroll", "hello"),
        ("garbage_json", "app --json enroll", "hello"),
        ("too_long", "app enroll --code-file long", ""),
        ("missing_file", "app enroll --code-file none", ""),
        ("expired", "app --ca-file ca.pem enroll --code-file expired", ""),
        ("wrong_kind", "app --ca-file ca.pem enroll --code-file connect", ""),
        ("no_authority", "app enroll --code-file fine", ""),
        ("no_certificate", "app --ca-file expired enroll --code-file fine", ""),
        ("accept_enrolment", "app connection accept --link-file fine", ""),
        ("accept_garbage", "app connection accept", "https://example.com/"),
    ] {
        insta::assert_snapshot!(format!("code_{name}"), place.run(arguments, input));
    }
}

#[test]
fn an_empty_message_and_a_wrong_value_are_refused() {
    let place = Place::new();
    let id = "018f6b1e-7c1a-7000-8000-000000000001";
    insta::assert_snapshot!("input_empty_message", place.run(&format!("app message send {id}"), " \n"));
    insta::assert_snapshot!("input_not_json", place.run("app data set age --format json", "1.5"));
    insta::assert_snapshot!("input_too_large", place.run("app data set age", &"x".repeat(70_000)));
}

#[test]
fn a_state_that_is_missing_or_unreadable() {
    let place = Place::new();
    insta::assert_snapshot!("state_missing", place.run("app status", ""));
    insta::assert_snapshot!("state_missing_json", place.run("app --json --state here --profile bob status", ""));

    let app = ".local/share/vettid/app/default";
    place.write(&format!("{app}/state"), "something else");
    insta::assert_snapshot!("state_without_key", place.run("app status", ""));
    let key = format!("{app}/key");
    place.write(&key, "AAAA\n");
    let set = |mode| fs::set_permissions(place.path().join(&key), fs::Permissions::from_mode(mode)).unwrap();
    set(0o644);
    insta::assert_snapshot!("state_exposed_key", place.run("app status", ""));
    set(0o600);
    insta::assert_snapshot!("state_invalid_key", place.run("app status", ""));
    place.write(&key, format!("{}\n", vettid_wire::base64::encode(&[7; 32])));
    insta::assert_snapshot!("state_unreadable", place.run("app status", ""));
}

#[test]
fn state_is_private_from_the_start() {
    let place = Place::new();
    place.run("app status", "");
    let folder = place.path().join(".local/share/vettid/app/default");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(folder.join("lock")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn services_that_cannot_be_reached() {
    let place = Place::new();
    place.write("ca.pem", CA);
    let code = text(InvitationKind::Enroll, NEVER);
    let shown = place.run("app --ca-file ca.pem enroll", &code);
    assert!(
        shown.contains("exit 4") && shown.contains("error: scanning the code: services cannot be reached"),
        "{shown}"
    );
    assert!(!shown.contains(&code) && !shown.contains("one-time"), "{shown}");
}
