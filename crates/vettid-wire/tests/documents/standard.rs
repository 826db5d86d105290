//! `docs/wire.md` is complete where completeness can be counted: subjects, lanes, refusals.

use crate::root;
use serde::Serialize;
use std::fs;
use vettid_wire::event::Lane;
use vettid_wire::id::{ConnectionId, EventId, InviteId, MemberId};
use vettid_wire::subject::{Pattern, PeerName, Subject};

fn standard() -> String {
    fs::read_to_string(root().join("docs/wire.md")).unwrap()
}

fn assert_described(term: &str) {
    assert!(standard().contains(&format!("`{term}`")), "docs/wire.md does not name {term}");
}

fn wire_name(value: impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

/// A subject with what stands in each of its places.
fn described(pattern: impl ToString) -> String {
    let filled = [
        (member().to_string(), "{guid}"),
        (connection().to_string(), "{connection_id}"),
        (event_id().to_string(), "{event_id}"),
        (invite().to_string(), "{invite_id}"),
        ("some.event".to_owned(), "{event}"),
        ("some.command".to_owned(), "{command}"),
        ("some.kind".to_owned(), "{kind}"),
        ("some-service".to_owned(), "{service_id}"),
        ("some-host".to_owned(), "{host_id}"),
        ("some-device".to_owned(), "{device}"),
    ];
    filled.iter().fold(pattern.to_string(), |text, (value, place)| text.replace(value, place))
}

fn member() -> MemberId {
    MemberId::from_bytes([1; 16])
}

fn connection() -> ConnectionId {
    ConnectionId::from_bytes([2; 16])
}

fn event_id() -> EventId {
    EventId::from_bytes([3; 16])
}

fn invite() -> InviteId {
    InviteId::from_bytes([4; 16])
}

#[test]
fn every_subject_is_described() {
    let event = || "some.event".parse().unwrap();
    let command = || "some.command".parse().unwrap();
    let subjects = [
        Subject::ForVault(member(), event()),
        Subject::ForApp(member(), event(), event_id()),
        Subject::EventTypes(member()),
        Subject::ForServices(member(), event()),
        Subject::ForOwner(member(), connection(), event()),
        Subject::Invite(member(), invite()),
        Subject::FromService(member(), "some-service".parse().unwrap(), event()),
        Subject::OwnerProfile(member()),
        Subject::OwnerProfileGet(member()),
        Subject::Call(member(), connection(), event()),
        Subject::ControlGlobal(command()),
        Subject::ControlEnclave("some-host".parse().unwrap(), command()),
        Subject::ControlUser(member(), command()),
        Subject::Broadcast("some.kind".parse().unwrap()),
        Subject::DirectoryService("some-service".parse().unwrap()),
        Subject::Journal(member()),
    ];
    subjects.into_iter().for_each(|subject| assert_described(&described(subject)));
    assert_described(&described(Pattern::AppInbox(Some(member()), Some("some-device".parse().unwrap()))));
    let peer_inbox = described(Pattern::PeerInbox(Some(member()), Some(PeerName::Template)));
    assert_described(&peer_inbox.replace("{{name()}}", "{name}"));
}

#[test]
fn every_lane_is_described() {
    Lane::ALL.into_iter().for_each(|lane| assert_described(&wire_name(lane)));
}

#[test]
fn every_refusal_is_described() {
    let golden = include_str!("../snapshots/snapshots/snapshots__refusal.snap");
    let codes: Vec<&str> = golden.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"')).collect();
    assert!(codes.len() > 10, "{codes:?}");
    codes.into_iter().for_each(assert_described);
}
