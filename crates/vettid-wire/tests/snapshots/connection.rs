//! Samples of connections: the owner's commands, what the owner sees, and what the two sides tell each other.

use crate::sample::Samples;
use crate::{contract, profile, value};
use vettid_wire::connection::{
    AcceptInvitation, ConnectionCredential, ConnectionList, ConnectionRef, ConnectionState, ConnectionView, Decide,
    Ending, InvitationList, InvitationRef, Invite, Invited, LabelConnection, ListConnections, OpenInvitation, PeerKind,
    Ready, RevocationNotice, RevocationReason, Revoke, RevokedBy, RotateKeys, RotationReport, Straggler, TagConnection,
    Tombstone, Verification,
};

fn view() -> ConnectionView {
    ConnectionView {
        connection_id: value::connection(),
        kind: PeerKind::Service,
        state: ConnectionState::Review,
        verification: Verification::Verified,
        display_name: "Demo Shop".to_owned(),
        label: Some("The shop at the corner".to_owned()),
        tags: ["shop".parse().unwrap()].into(),
        peer: Some(value::peer()),
        service_id: Some(value::service()),
        peer_fingerprint: Some(value::peer_fingerprint()),
        safety_number: Some("12345 ".repeat(12).trim().to_owned()),
        symbols: Some(vec![0, 1, 2, 3, 61, 62, 63]),
        profile: Some(profile::signed()),
        profile_stale: true,
        contract: Some(contract::contract()),
        missing_fields: vec!["address".to_owned()],
        created_at: value::at(0),
        ending: Some(Ending { at: value::at(3), by: RevokedBy::Peer, reason: Some(RevocationReason::UserRequested) }),
    }
}

fn notice() -> RevocationNotice {
    RevocationNotice {
        kind: "connection_revocation".to_owned(),
        notice_id: value::event(),
        connection_id: value::connection(),
        revoked_at: value::at(3),
        reason: RevocationReason::UserRequested,
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn tombstone() -> Tombstone {
    Tombstone {
        connection_id: value::connection(),
        guid: value::peer(),
        display_name: "Bob".to_owned(),
        revoked_at: value::at(3),
        revoked_by: RevokedBy::Owner,
        reason: Some(RevocationReason::KeyCompromise),
    }
}

fn states() -> [ConnectionState; 9] {
    [
        ConnectionState::Requested,
        ConnectionState::Review,
        ConnectionState::Accepted,
        ConnectionState::Active,
        ConnectionState::Reconciling,
        ConnectionState::Rejected,
        ConnectionState::Expired,
        ConnectionState::Aborted,
        ConnectionState::Revoked,
    ]
}

fn commands(samples: &mut Samples) {
    let connection_id = value::connection();
    let invite = Invite { label: Some("Bob, from work".to_owned()), life_seconds: Some(600) };
    samples.object("Invite", invite).optional(&["/label", "/life_seconds"]);
    let link = "https://app.vettid.dev/c#VklUWFQ".to_owned();
    samples.object("Invited", Invited { invite_id: value::invite(), link: link.clone(), expires_at: value::at(10) });
    let open = OpenInvitation {
        invite_id: value::invite(),
        label: Some("Bob, from work".to_owned()),
        made_at: value::at(0),
        expires_at: value::at(10),
    };
    samples.object("OpenInvitation", open.clone()).optional(&["/label"]);
    samples.object("InvitationList", InvitationList { invitations: vec![open] }).optional(&["/invitations/0/label"]);
    samples.object("InvitationRef", InvitationRef { invite_id: value::invite() });
    samples.object("AcceptInvitation", AcceptInvitation { link, in_person: true }).optional(&["/in_person"]);
    samples.object("ConnectionRef", ConnectionRef { connection_id });
    let decide = Decide { connection_id, accept: true, optional_fields: vec!["birth_date".to_owned()] };
    samples.object("Decide", decide).optional(&["/optional_fields"]);
    let list = ListConnections {
        text: Some("bob".to_owned()),
        tags: ["work".parse().unwrap()].into(),
        state: Some(ConnectionState::Active),
        after: Some(connection_id),
        limit: Some(20),
    };
    samples.object("ListConnections", list).optional(&["/text", "/tags", "/state", "/after", "/limit"]);
    let label = LabelConnection { connection_id, label: Some("Bob, from work".to_owned()) };
    samples.object("LabelConnection", label).optional(&["/label"]);
    let tags =
        TagConnection { connection_id, add: ["work".parse().unwrap()].into(), remove: ["new".parse().unwrap()].into() };
    samples.object("TagConnection", tags).optional(&["/add", "/remove"]);
    samples.object("Revoke", Revoke { connection_id, reason: RevocationReason::KeyCompromise });
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("connection");
    commands(&mut samples);
    let reasons =
        [RevocationReason::UserRequested, RevocationReason::KeyCompromise, RevocationReason::ContractRejected];
    samples.cases("RevocationReason", reasons);
    samples.cases("PeerKind", [PeerKind::Member, PeerKind::Service]);
    samples.cases("ConnectionState", states());
    samples.cases("Verification", [Verification::Unverified, Verification::Verified]);
    samples
        .object("ConnectionView", view())
        .optional(&[
            "/label",
            "/tags",
            "/peer",
            "/service_id",
            "/peer_fingerprint",
            "/safety_number",
            "/symbols",
            "/profile",
            "/profile_stale",
            "/contract",
            "/missing_fields",
            "/ending/reason",
            "/ending",
        ])
        .open(&["/profile/public/more"]);
    samples
        .object("ConnectionList", ConnectionList { connections: vec![view()], more: true })
        .optional(&["/more"])
        .open(&["/connections/0/profile/public/more"]);
    let ready = Ready { connection_id: value::connection(), counter_signature: Some(contract::counter_signature()) };
    samples.object("Ready", ready).optional(&["/counter_signature"]);
    let rotate = RotateKeys { connection_id: Some(value::connection()) };
    samples.object("RotateKeys", rotate).optional(&["/connection_id"]);
    let straggler =
        Straggler { connection_id: value::connection(), display_name: "Bob".to_owned(), since: value::at(1) };
    let report = RotationReport { begun: vec![value::connection()], stragglers: vec![straggler.clone()], more: true };
    samples.object("Straggler", straggler);
    samples.object("RotationReport", report);
    let credential =
        ConnectionCredential { jwt: "eyJ0.eyJq.c2ln".to_owned(), way_back: "eyJ0.eyJr.c2ln".to_owned(), asks: true };
    samples.object("ConnectionCredential", credential);
    samples.object("RevocationNotice", notice());
    samples.object("Tombstone", tombstone()).optional(&["/reason"]);
    samples.object("Ending", view().ending.unwrap()).optional(&["/reason"]);
    samples.cases("RevokedBy", [RevokedBy::Owner, RevokedBy::Peer]);
    samples
}
