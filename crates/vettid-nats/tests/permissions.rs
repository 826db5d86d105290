//! Every role on the real server: what its grant allows is let through, everything else of a long list is denied.
#![expect(clippy::unwrap_used, reason = "tests")]

mod raw;
#[path = "raw/tries.rs"]
mod tries;

use std::collections::BTreeSet;

use tries::Raw;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::{Grant, MemberRole, OperatorRole};
use vettid_nats::connection::Endpoint;
use vettid_testkit::broker::TestServer;
use vettid_testkit::space::{Placement, Space};
use vettid_wire::event::ROWS;
use vettid_wire::id::{ConnectionId, EventId, InviteId, MemberId};
use vettid_wire::subject::{Pattern, PeerName, Subject};

const OWN: [u8; 16] = [7; 16];
const OTHER: [u8; 16] = [8; 16];
const DEVICE: &str = "phone";
const SERVICE: &str = "demo-shop";
const PROCESS: &str = "host-1";

/// To publish is to name one subject, in which a wildcard is a token like any other; to subscribe is to name many.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Publish,
    Subscribe,
}

/// Whether everything that `subject` stands for is something that `pattern` stands for.
fn covers(pattern: &str, subject: &str, used: Use) -> bool {
    let (mut patterns, mut subjects) = (pattern.split('.'), subject.split('.'));
    loop {
        match (patterns.next(), subjects.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if used == Use::Publish || token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

fn subjects_of(member: MemberId) -> Vec<Subject> {
    let event = EventId::from_bytes(OWN);
    let mut all = vec![
        Subject::EventTypes(member),
        Subject::OwnerProfile(member),
        Subject::OwnerProfileGet(member),
        Subject::Journal(member),
        Subject::DirectoryService(SERVICE.parse().unwrap()),
    ];
    for kind in ROWS.iter().map(vettid_wire::event::Row::event_type).chain(["not.known".parse().unwrap()]) {
        all.push(Subject::ForVault(member, kind.clone()));
        all.push(Subject::ForApp(member, kind.clone(), event));
        all.push(Subject::ForServices(member, kind.clone()));
    }
    for kind in ["messaging.text", "event.refused", "data.response", "auth.response", "not.known"] {
        let connection = ConnectionId::from_bytes(OWN);
        all.push(Subject::ForOwner(member, connection, kind.parse().unwrap()));
    }
    for id in [OWN, OTHER] {
        all.push(Subject::ForOwner(member, ConnectionId::from_bytes(id), "messaging.text".parse().unwrap()));
        for kind in ["call.offer", "call.end", "not.known"] {
            all.push(Subject::Call(member, ConnectionId::from_bytes(id), kind.parse().unwrap()));
        }
        all.push(Subject::Invite(member, InviteId::from_bytes(id)));
    }
    for service in [SERVICE, "other-shop"] {
        all.push(Subject::FromService(member, service.parse().unwrap(), "data.request".parse().unwrap()));
    }
    let command = "health.request".parse::<vettid_wire::event::EventType>().unwrap();
    all.push(Subject::ControlGlobal(command.clone()));
    all.push(Subject::ControlUser(member, command.clone()));
    all.push(Subject::Broadcast("security.alert".parse().unwrap()));
    for host in [PROCESS, "host-2"] {
        all.push(Subject::ControlEnclave(host.parse().unwrap(), command.clone()));
    }
    all
}

fn patterns_of(member: Option<MemberId>) -> Vec<Pattern> {
    let peers = [
        PeerName::Connection(ConnectionId::from_bytes(OWN)),
        PeerName::Connection(ConnectionId::from_bytes(OTHER)),
        PeerName::Service(SERVICE.parse().unwrap()),
        PeerName::Invite(InviteId::from_bytes(OWN)),
    ];
    let mut all = vec![
        Pattern::ForVault(member, None),
        Pattern::ForApp(member, None),
        Pattern::AppInbox(member, None),
        Pattern::AppInbox(member, Some(DEVICE.parse().unwrap())),
        Pattern::AppInbox(member, Some("tablet".parse().unwrap())),
        Pattern::EventTypes(member),
        Pattern::ForServices(member, None),
        Pattern::ForOwner(member, None, None),
        Pattern::ForOwner(member, Some(ConnectionId::from_bytes(OWN)), None),
        Pattern::ForOwner(member, Some(ConnectionId::from_bytes(OTHER)), None),
        Pattern::Invite(member, None),
        Pattern::FromService(member, None, None),
        Pattern::OwnerProfile(member),
        Pattern::OwnerProfileGet(member),
        Pattern::PeerInbox(member, None),
        Pattern::Call(member, None, None),
        Pattern::Call(member, Some(ConnectionId::from_bytes(OWN)), None),
        Pattern::Call(member, Some(ConnectionId::from_bytes(OTHER)), None),
        Pattern::ControlGlobal,
        Pattern::ControlEnclave(None),
        Pattern::ControlUser(member),
        Pattern::Broadcast,
        Pattern::Directory,
        Pattern::Journal(member),
    ];
    all.extend(peers.into_iter().map(|peer| Pattern::PeerInbox(member, Some(peer))));
    all
}

/// Whatever anybody might try: everything that anybody is granted, every subject and pattern for this member, another
/// one and all, and what belongs to the broker.
fn candidates(member: MemberId, other: MemberId) -> Vec<String> {
    let of_the_broker = [
        ">",
        "*",
        "*.>",
        "$JS.>",
        "$JS.API.>",
        "$JS.API.INFO",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.DELETE.INBOX",
        "$JS.API.STREAM.UPDATE.INBOX",
        "$JS.API.STREAM.PURGE.INBOX",
        "$JS.API.CONSUMER.LIST.INBOX",
        "$JS.API.CONSUMER.CREATE.INBOX.host-2",
        "$JS.API.CONSUMER.MSG.NEXT.INBOX.host-2",
        "$JS.API.CONSUMER.CREATE.JOURNAL",
        "$JS.ACK.INBOX.host-2.1.1.1.1.0",
        "$JS.API.DIRECT.GET.PROFILES",
        "$JS.API.STREAM.SNAPSHOT.JOURNAL",
        "$JS.EVENT.>",
        "$JS.FC.>",
        "$SYS.>",
        "$SYS.REQ.USER.INFO",
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.CLAIMS.LIST",
        "$SYS.REQ.CLAIMS.PACK",
        "$SYS.ACCOUNT.>",
        "$SYS.DEBUG.SUBSCRIBERS",
        "_INBOX.>",
        "_INBOX.abc",
        "_R_.>",
        "_R_.abc.def",
        "_GR_.>",
        "$KV.a.b",
        "$KV.>",
        "$O.>",
        "$O.VAULTS.C.x",
        "$SRV.PING",
        "OwnerSpace.>",
        "MessageSpace.>",
        "OwnerSpace.*.>",
        "Control.>",
        "Journal.>",
        "_r.>",
        "_r.provisioner.>",
        "random",
    ];
    let mut all: BTreeSet<String> = of_the_broker.map(str::to_owned).into();
    for member in [member, other] {
        all.extend(subjects_of(member).iter().map(ToString::to_string));
        all.extend(patterns_of(Some(member)).iter().map(ToString::to_string));
    }
    all.extend(patterns_of(None).iter().map(ToString::to_string));
    let member_grants = MemberRole::ALL.map(|role| role.grant(member)).into_iter();
    for grant in member_grants.chain(OperatorRole::ALL.map(|role| role.grant())) {
        for name in [PROCESS, DEVICE, "somebody-else"] {
            let grant = grant.of_user(&name.parse().unwrap());
            all.extend(grant.publish.into_iter().chain(grant.subscribe));
        }
    }
    all.into_iter().collect()
}

/// What a role does on the server must be what its grant says, cell by cell.
async fn check(endpoint: &Endpoint, grant: &Grant, credential: Credential, candidates: &[String]) {
    let mut raw = Raw::connect(endpoint, credential).await;
    let outside = |allowed: &[String], used: Use| -> BTreeSet<String> {
        let denied = candidates.iter().filter(|subject| !allowed.iter().any(|pattern| covers(pattern, subject, used)));
        denied.cloned().collect()
    };
    same(
        &raw.denied_publish(candidates).await,
        &outside(&grant.publish, Use::Publish),
        &format!("{} publishes", grant.role),
    );
    same(
        &raw.denied_subscribe(candidates).await,
        &outside(&grant.subscribe, Use::Subscribe),
        &format!("{} subscribes", grant.role),
    );
    // A grant that the list does not touch would be checked by nothing.
    for pattern in grant.publish.iter().chain(&grant.subscribe) {
        assert!(candidates.iter().any(|subject| covers(pattern, subject, Use::Subscribe)), "{pattern} is never tried");
    }
}

fn same(denied: &BTreeSet<String>, outside: &BTreeSet<String>, what: &str) {
    let let_through: Vec<_> = outside.difference(denied).collect();
    let refused: Vec<_> = denied.difference(outside).collect();
    assert!(let_through.is_empty() && refused.is_empty(), "{what}: let through {let_through:?}, refused {refused:?}");
}

fn identities(space: &Space) -> Vec<MemberIdentity> {
    match space.placement {
        Placement::Hosted => vec![
            MemberIdentity::App(DEVICE.parse().unwrap()),
            MemberIdentity::AppBootstrap(DEVICE.parse().unwrap()),
            MemberIdentity::Connection(ConnectionId::from_bytes(OWN)),
            MemberIdentity::Service(SERVICE.parse().unwrap()),
            MemberIdentity::Claim(InviteId::from_bytes(OWN)),
        ],
        Placement::Home => vec![MemberIdentity::HomeOwner(space.member), MemberIdentity::HomeMessage(space.member)],
        Placement::Service => vec![MemberIdentity::HomeService(space.member)],
    }
}

async fn check_space(placement: Placement) {
    let broker = TestServer::start().await.unwrap();
    let space = broker.space(placement).await.unwrap();
    let other = broker.space(placement).await.unwrap();
    let own_grants = identities(&space).iter().map(|identity| identity.grant(space.member)).collect::<Vec<_>>();
    let mut candidates = candidates(space.member, other.member);
    candidates.extend(own_grants.iter().flat_map(|grant| grant.publish.iter().chain(&grant.subscribe).cloned()));
    for (identity, grant) in identities(&space).iter().zip(own_grants) {
        let credential = space.credential(identity).unwrap();
        check(&broker.endpoint().unwrap(), &grant, credential, &candidates).await;
    }
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_a_hosted_member() {
    check_space(Placement::Hosted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_a_vault_at_home() {
    check_space(Placement::Home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_a_service() {
    check_space(Placement::Service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_the_operator() {
    let broker = TestServer::start().await.unwrap();
    let space = broker.space(Placement::Hosted).await.unwrap();
    let other = broker.space(Placement::Hosted).await.unwrap();
    let candidates = candidates(space.member, other.member);
    for role in OperatorRole::ALL {
        let grant = role.grant().of_user(&PROCESS.parse().unwrap());
        let credential = broker.operator.credential(role, PROCESS).unwrap();
        check(&broker.endpoint().unwrap(), &grant, credential, &candidates).await;
    }
    broker.shut().await;
}
