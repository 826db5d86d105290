//! Who may publish and subscribe on each family of subjects: said in one table, in words that the grants do not know, and tried with
//! every kind of user on the real server. A family without a line fails.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod raw;
#[path = "raw/tries.rs"]
mod tries;

use std::collections::BTreeSet;
use tries::Raw;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_testkit::broker::TestServer;
use vettid_testkit::space::{Placement, Space};
use vettid_wire::id::{ConnectionId, EventId, InviteId, MemberId};
use vettid_wire::subject::{Pattern, PeerName, Subject};

/// Each user has two letters: how far it may publish, and how far it may subscribe. `-`: nowhere. `o`: under its own name
/// in the space of its member. `s`: everywhere in that space. `a`: in the space of every member.
///
/// A connection, a service and the holder of an invitation publish on their own subjects and hear nothing but the profile and their own
/// private inbox. Events that reach a vault by its stream (`ForOwner` and others with `-` everywhere at hosts) need no subscription.
const TABLE: &str = "\
family           event                   app boot conn serv clai home home-m home-s host-s host-p host-a servic regist provis
ForVault         messaging.send          s-  --   --   --   --   -s   --     --     -a     --     --     --     --     --
ForVault         session.start           s-  s-   --   --   --   -s   --     --     -a     --     --     --     --     --
ForApp           messaging.send          -s  --   --   --   --   s-   --     --     --     a-     --     --     --     --
ForApp           session.start           -s  -s   --   --   --   s-   --     --     --     a-     --     --     --     --
AppInbox         _                       -s  -o   --   --   --   s-   --     --     --     a-     --     --     --     --
EventTypes       _                       -s  --   --   --   --   s-   --     --     --     a-     --     --     --     --
ForServices      account.revoke_user     --  --   --   --   --   s-   --     --     --     a-     --     -a     --     --
ForOwner         messaging.text          --  --   o-   --   --   --   --     --     --     --     --     --     --     --
ForOwner         connection.revoked      --  --   o-   --   --   --   --     --     --     --     --     --     --     --
ForOwner         event.refused           --  --   o-   --   --   --   -s     -s     -a     --     --     --     --     --
ForOwner         data.response           --  --   o-   --   --   --   --     -s     --     --     --     --     --     --
Invite           _                       --  --   --   --   o-   --   --     --     --     --     --     --     --     --
FromService      data.request            --  --   --   o-   --   --   -s     --     -a     --     --     --     --     --
FromService      data.store              --  --   --   o-   --   --   --     --     --     --     --     --     --     --
OwnerProfile     _                       --  --   -s   -s   --   --   s-     s-     --     a-     --     --     --     --
OwnerProfileGet  _                       --  --   s-   s-   --   --   --     --     --     --     --     --     --     --
PeerInbox        _                       --  --   -o   -o   -o   --   --     --     --     --     --     --     --     --
Call             call.offer              --  --   o-   --   --   --   -s     --     -a     --     --     --     --     --
ControlGlobal    health.request          --  --   --   --   --   -a   --     --     -a     --     --     a-     --     --
ControlEnclave   health.request          --  --   --   --   --   --   --     --     -o     --     --     a-     --     --
ControlUser      health.request          --  --   --   --   --   -s   --     --     -a     --     --     a-     --     --
Broadcast        security.alert          --  --   --   --   --   -a   --     --     -a     --     --     --     a-     --
DirectoryService _                       -a  --   --   --   --   -a   --     --     -a     --     --     --     a-     --
Journal          _                       --  --   --   --   --   --   --     --     --     a-     --     --     --     --
";

/// The names of one kind of user in each place where a subject carries a name: its own, and those of somebody else.
const OWN: [u8; 16] = [7; 16];
const OTHER: [u8; 16] = [8; 16];
const DEVICES: [&str; 2] = ["phone", "tablet"];
const SERVICES: [&str; 2] = ["demo-shop", "other-shop"];
const PROCESSES: [&str; 2] = ["host-1", "host-2"];

/// One subject of a family: in the space of this member, with the own name or another one.
fn subject(family: &str, event: &str, member: MemberId, name: usize) -> Option<String> {
    let (id, device) = ([OWN, OTHER][name], DEVICES[name]);
    let (connection, invite) = (ConnectionId::from_bytes(id), InviteId::from_bytes(id));
    let event = || event.parse().unwrap();
    let event_id = EventId::from_bytes(OWN);
    let subject = match family {
        "ForVault" => Subject::ForVault(member, event()),
        "ForApp" => Subject::ForApp(member, event(), event_id),
        "EventTypes" => Subject::EventTypes(member),
        "ForServices" => Subject::ForServices(member, event()),
        "ForOwner" => Subject::ForOwner(member, connection, event()),
        "Invite" => Subject::Invite(member, invite),
        "FromService" => Subject::FromService(member, SERVICES[name].parse().unwrap(), event()),
        "OwnerProfile" => Subject::OwnerProfile(member),
        "OwnerProfileGet" => Subject::OwnerProfileGet(member),
        "Call" => Subject::Call(member, connection, event()),
        "ControlGlobal" => Subject::ControlGlobal(event()),
        "ControlEnclave" => Subject::ControlEnclave(PROCESSES[name].parse().unwrap(), event()),
        "ControlUser" => Subject::ControlUser(member, event()),
        "Broadcast" => Subject::Broadcast(event()),
        "DirectoryService" => Subject::DirectoryService(SERVICES[name].parse().unwrap()),
        "Journal" => Subject::Journal(member),
        "AppInbox" => return below(&Pattern::AppInbox(Some(member), Some(device.parse().unwrap()))),
        _ => return None,
    };
    Some(subject.to_string())
}

/// A private inbox is named after its kind of user.
fn peer_inbox(role: &str, member: MemberId, name: usize) -> Option<String> {
    let id = [OWN, OTHER][name];
    let peer = match role {
        "service" => PeerName::Service(SERVICES[name].parse().unwrap()),
        "claim" => PeerName::Invite(InviteId::from_bytes(id)),
        _ => PeerName::Connection(ConnectionId::from_bytes(id)),
    };
    below(&Pattern::PeerInbox(Some(member), Some(peer)))
}

fn below(inbox: &Pattern) -> Option<String> {
    inbox.inbox_prefix().map(|prefix| format!("{prefix}.answer"))
}

/// A line of the table: the family, and the event that stands for it.
fn lines() -> Vec<(&'static str, &'static str)> {
    let words = |line: &'static str| {
        let mut words = line.split_whitespace();
        (words.next().unwrap(), words.next().unwrap())
    };
    TABLE.lines().skip(1).map(words).collect()
}

/// How far a user got, from what it was denied: its own subject, the one with another name, and those of another member.
fn reach(denied: &BTreeSet<String>, own: &str, other_name: &str, other_member: &[&String]) -> char {
    let passes = |subject: &str| !denied.contains(subject);
    // What names no member is the same everywhere.
    let elsewhere: Vec<bool> = other_member
        .iter()
        .filter(|subject| *subject != &own && *subject != &other_name)
        .map(|subject| passes(subject))
        .collect();
    let (everywhere, nowhere) = (elsewhere.iter().all(|passes| *passes), !elsewhere.contains(&true));
    match (passes(own), passes(other_name)) {
        (false, false) if nowhere => '-',
        (true, true) if everywhere => 'a',
        (true, true) if nowhere => 's',
        (true, false) if nowhere => 'o',
        _ => '!',
    }
}

/// The column of one kind of user, as the server lets it.
async fn column(broker: &TestServer, role: &str, credential: Credential, members: [MemberId; 2]) -> Vec<String> {
    let mut raw = Raw::connect(&broker.endpoint().unwrap(), credential).await;
    let of = |family: &str, event: &str, member: usize, name: usize| match family {
        "PeerInbox" => peer_inbox(role, members[member], name),
        _ => subject(family, event, members[member], name),
    };
    let cells: Vec<[String; 4]> = lines()
        .into_iter()
        .map(|(family, event)| [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(m, n)| of(family, event, m, n).unwrap()))
        .collect();
    let all: Vec<String> = cells.iter().flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let (publish, subscribe) = (raw.denied_publish(&all).await, raw.denied_subscribe(&all).await);
    let cell = |[own, other, third, fourth]: &[String; 4]| {
        let reach = |denied| reach(denied, own, other, &[third, fourth]);
        format!("{}{}", reach(&publish), reach(&subscribe))
    };
    cells.iter().map(cell).collect()
}

fn identities(space: &Space) -> Vec<(&'static str, MemberIdentity)> {
    match space.placement {
        Placement::Hosted => vec![
            ("app", MemberIdentity::App(DEVICES[0].parse().unwrap())),
            ("boot", MemberIdentity::AppBootstrap(DEVICES[0].parse().unwrap())),
            ("conn", MemberIdentity::Connection(ConnectionId::from_bytes(OWN))),
            ("service", MemberIdentity::Service(SERVICES[0].parse().unwrap())),
            ("claim", MemberIdentity::Claim(InviteId::from_bytes(OWN))),
        ],
        Placement::Home => vec![
            ("home", MemberIdentity::HomeOwner(space.member)),
            ("home-message", MemberIdentity::HomeMessage(space.member)),
        ],
        Placement::Service => vec![("home-service", MemberIdentity::HomeService(space.member))],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_user_reaches_on_every_family_what_the_table_says() {
    let broker = TestServer::start().await.unwrap();
    let mut columns = Vec::new();
    for placement in [Placement::Hosted, Placement::Home, Placement::Service] {
        let space = broker.space(placement).await.unwrap();
        let other = broker.space(placement).await.unwrap();
        for (role, identity) in identities(&space) {
            let credential = space.credential(&identity).unwrap();
            columns.push(column(&broker, role, credential, [space.member, other.member]).await);
        }
    }
    let (space, other) =
        (broker.space(Placement::Hosted).await.unwrap(), broker.space(Placement::Hosted).await.unwrap());
    for role in OperatorRole::ALL {
        let credential = broker.operator.credential(role, PROCESSES[0]).unwrap();
        columns.push(column(&broker, role.name(), credential, [space.member, other.member]).await);
    }
    let mut found = format!("{}\n", TABLE.lines().next().unwrap());
    for (place, (family, event)) in lines().into_iter().enumerate() {
        let cells: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(n, column)| format!("{:width$}", column[place], width = WIDTHS[n]))
            .collect();
        found += format!("{family:16} {event:23} {}", cells.join(" ")).trim_end();
        found.push('\n');
    }
    assert_eq!(found, TABLE, "found on the server:\n{found}");
    broker.shut().await;
}

/// Widths of the columns.
const WIDTHS: [usize; 14] = [3, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 6, 6];

/// The variants of an enumeration in a source text.
fn variants(source: &str, of: &str) -> BTreeSet<String> {
    let body = source.split_once(&format!("pub enum {of} {{")).unwrap().1.split_once("\n}").unwrap().0;
    let names = body.lines().map(str::trim).filter(|line| line.starts_with(char::is_uppercase));
    names.map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
}

#[test]
fn every_family_of_subjects_has_a_line() {
    let source = include_str!("../../vettid-wire/src/subject.rs");
    let told: BTreeSet<String> = lines().into_iter().map(|(family, _)| family.to_owned()).collect();
    let subjects = variants(source, "Subject");
    assert!(subjects.contains("ForVault") && subjects.contains("Journal"), "{subjects:?}");
    // What only a pattern names, but for those that stand for others.
    let mut patterns = variants(source, "Pattern");
    for stands_for_others in ["One", "Directory"] {
        assert!(patterns.remove(stands_for_others), "{stands_for_others}");
    }
    let families: BTreeSet<String> = subjects.union(&patterns).cloned().collect();
    assert_eq!(told, families);
}
