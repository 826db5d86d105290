//! What is allowed arrives, across the borders of the accounts, and only where it should.
#![expect(clippy::unwrap_used, reason = "tests")]

mod raw;

use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;

use bytes::Bytes;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_nats::connection::{Connection, Incoming, RequestError, Subscription, Unheard};
use vettid_nats::inbox::{Inbox, Members, deliver};
use vettid_nats::profiles;
use vettid_testkit::broker::TestServer;
use vettid_testkit::observer::Power;
use vettid_testkit::space::{Placement, Space, fresh_event};
use vettid_wire::event::EventType;
use vettid_wire::id::{ConnectionId, DeviceId, InviteId, MemberId};
use vettid_wire::subject::{Pattern, Subject};

const HOST: &str = "host-1";

fn kind(text: &str) -> EventType {
    text.parse().unwrap()
}

fn phone() -> MemberIdentity {
    MemberIdentity::App("phone".parse::<DeviceId>().unwrap())
}

fn peer() -> ConnectionId {
    ConnectionId::from_bytes([7; 16])
}

async fn subscribed(connection: &Connection, pattern: Pattern) -> Subscription {
    let subscription = connection.subscribe(&pattern).await.unwrap();
    connection.settle().await.unwrap();
    subscription
}

async fn next(subscription: &mut Subscription) -> Incoming {
    tokio::time::timeout(Duration::from_secs(10), subscription.next()).await.unwrap().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_the_app_reaches_the_host_and_the_answer_the_app() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let guid = member.member;
    let host = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    let answering = broker.connect(OperatorRole::HostPublishing, HOST).await.unwrap();
    let mut commands = subscribed(&host, Pattern::ForVault(None, None)).await;

    let app = broker.join(&member, &phone()).await.unwrap();
    let mut answers = app.subscribe(&Pattern::ForApp(Some(guid), None)).await.unwrap();
    app.publish(&Subject::ForVault(guid, kind("data.get")), "sealed".into()).await.unwrap();

    let command = next(&mut commands).await;
    assert_eq!((command.subject, &command.payload[..]), (Subject::ForVault(guid, kind("data.get")), &b"sealed"[..]));
    let event = fresh_event();
    answering.publish(&Subject::ForApp(guid, kind("data.get"), event), "answer".into()).await.unwrap();
    let answer = next(&mut answers).await;
    assert_eq!((answer.subject, &answer.payload[..]), (Subject::ForApp(guid, kind("data.get"), event), &b"answer"[..]));
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_learns_which_of_its_messages_no_app_heard() {
    let broker = TestServer::start().await.unwrap();
    let (member, other) =
        (broker.space(Placement::Hosted).await.unwrap(), broker.space(Placement::Hosted).await.unwrap());
    let (guid, event) = (member.member, fresh_event());
    let host = broker.connect(OperatorRole::HostPublishing, HOST).await.unwrap();
    let mut unheard = host.unheard().await.unwrap();
    let push = async |number| {
        let note = Unheard { member: guid, number };
        host.publish_noting(&Subject::ForApp(guid, kind("feed.item"), event), "push".into(), note).await.unwrap();
    };
    let mut told =
        async || tokio::time::timeout(Duration::from_secs(10), unheard.next()).await.unwrap().unwrap().number;
    push(1).await;
    assert_eq!(told().await, 1, "nobody is there");

    let stranger = broker.join(&other, &phone()).await.unwrap();
    let _elsewhere = stranger.subscribe(&Pattern::ForApp(Some(other.member), None)).await.unwrap();
    stranger.publish(&Subject::ForVault(other.member, kind("data.get")), "sealed".into()).await.unwrap();
    let app = broker.join(&member, &phone()).await.unwrap();
    let calls = app.subscribe(&Pattern::ForApp(Some(guid), Some(kind("call.changed")))).await.unwrap();
    push(2).await;
    assert_eq!(told().await, 2, "whoever listens to something else does not hear it");

    let commands = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    let mut commands = subscribed(&commands, Pattern::ForVault(Some(guid), None)).await;
    let mut pushes = app.subscribe(&Pattern::ForApp(Some(guid), Some(kind("feed.item")))).await.unwrap();
    app.publish(&Subject::ForVault(guid, kind("feed.list")), "sealed".into()).await.unwrap();
    next(&mut commands).await;
    // From the command on the subscription counts, as the app relies on.
    push(3).await;
    assert_eq!(&next(&mut pushes).await.payload[..], b"push");

    pushes.end().await.unwrap();
    calls.end().await.unwrap();
    app.publish(&Subject::ForVault(guid, kind("feed.list")), "sealed".into()).await.unwrap();
    next(&mut commands).await;
    push(4).await;
    assert_eq!(told().await, 4, "what somebody heard is not told");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_service_and_invited_stranger_reach_the_inbox() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let guid = member.member;
    let invite = InviteId::from_bytes([9; 16]);
    let senders = [
        (MemberIdentity::Connection(peer()), Subject::ForOwner(guid, peer(), kind("messaging.text"))),
        (
            MemberIdentity::Service("demo-shop".parse().unwrap()),
            Subject::FromService(guid, "demo-shop".parse().unwrap(), kind("data.store")),
        ),
        (MemberIdentity::Claim(invite), Subject::Invite(guid, invite)),
    ];
    for (identity, subject) in &senders {
        let sender = broker.join(&member, identity).await.unwrap();
        deliver(&sender, subject, fresh_event(), "sealed".into()).await.unwrap();
    }
    let host = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    let mut inbox = Inbox::open(&host, HOST, Members::All).await.unwrap();
    for (_, subject) in &senders {
        let message = inbox.next().await.unwrap();
        assert_eq!((&message.subject, &message.payload[..], message.deliveries), (subject, &b"sealed"[..], 1));
        message.done().await.unwrap();
    }
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_stream_takes_is_an_error_at_once() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let sender = broker.join(&member, &MemberIdentity::Connection(peer())).await.unwrap();
    let subject = Subject::ForOwner(member.member, peer(), kind("not.known"));
    let outcome = deliver(&sender, &subject, fresh_event(), "sealed".into()).await;
    let error = outcome.unwrap_err().to_string();
    assert_eq!(error, RequestError::NobodyListens.to_string());
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_profile_is_read_by_connections_and_changes_reach_them() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let guid = member.member;
    let host = broker.connect(OperatorRole::HostPublishing, HOST).await.unwrap();
    let contact = broker.join(&member, &MemberIdentity::Connection(peer())).await.unwrap();
    assert_eq!(profiles::read_profile(&contact, guid).await.unwrap(), None);

    let mut changes = contact.subscribe(&Pattern::OwnerProfile(Some(guid))).await.unwrap();
    for version in ["one", "two"] {
        // The answer says that the subscription is live.
        profiles::read_profile(&contact, guid).await.unwrap();
        profiles::publish_profile(&host, guid, version.into()).await.unwrap();
        assert_eq!(next(&mut changes).await.payload, version);
        assert_eq!(profiles::read_profile(&contact, guid).await.unwrap(), Some(Bytes::from(version)));
        assert_eq!(profiles::kept_profile(&host, guid).await.unwrap(), Some(Bytes::from(version)));
    }

    let app = broker.join(&member, &phone()).await.unwrap();
    let mut event_types = app.subscribe(&Pattern::EventTypes(Some(guid))).await.unwrap();
    app.request(&Subject::ForVault(guid, kind("not.known")), Bytes::new(), Duration::from_secs(5)).await.unwrap_err();
    profiles::publish_event_types(&host, guid, "table".into()).await.unwrap();
    assert_eq!(next(&mut event_types).await.payload, "table");
    assert_eq!(profiles::kept_event_types(&host, guid).await.unwrap(), Some(Bytes::from("table")));
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_command_hosts_and_answer_them() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let host = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    let sending = broker.connect(OperatorRole::HostPublishing, HOST).await.unwrap();
    let services = broker.connect(OperatorRole::ServicesControl, "services-1").await.unwrap();
    let within = Duration::from_secs(10);

    let commands = [
        (Pattern::ControlGlobal, Subject::ControlGlobal(kind("handlers.reload"))),
        (
            Pattern::ControlEnclave(Some(HOST.parse().unwrap())),
            Subject::ControlEnclave(HOST.parse().unwrap(), kind("health.request")),
        ),
        (Pattern::ControlUser(None), Subject::ControlUser(member.member, kind("backup.request"))),
    ];
    for (pattern, subject) in commands {
        let mut arriving = subscribed(&host, pattern).await;
        let (answer, ()) = tokio::join!(services.request(&subject, "command".into(), within), async {
            let command = next(&mut arriving).await;
            assert_eq!(command.subject, subject);
            command.reply.unwrap().send("done".into()).await.unwrap();
        });
        assert_eq!(answer.unwrap(), "done");
    }

    let mut requests = subscribed(&services, Pattern::ForServices(None, None)).await;
    let subject = Subject::ForServices(member.member, kind("account.revoke_user"));
    let (answer, ()) = tokio::join!(sending.request(&subject, "please".into(), within), async {
        let request = next(&mut requests).await;
        assert_eq!(request.subject, subject);
        request.reply.unwrap().send("revoked".into()).await.unwrap();
    });
    assert_eq!(answer.unwrap(), "revoked");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_tells_vaults_and_apps() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let host = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    let app = broker.join(&member, &phone()).await.unwrap();
    let registry = broker.connect(OperatorRole::Registry, "registry-1").await.unwrap();

    let mut alerts = subscribed(&host, Pattern::Broadcast).await;
    let mut for_hosts = subscribed(&host, Pattern::Directory).await;
    let mut for_apps = app.subscribe(&Pattern::Directory).await.unwrap();
    app.request(&Subject::ForVault(member.member, kind("not.known")), Bytes::new(), Duration::from_secs(5))
        .await
        .unwrap_err();

    registry.publish(&Subject::Broadcast(kind("security.alert")), "alert".into()).await.unwrap();
    registry.publish(&Subject::DirectoryService("demo-shop".parse().unwrap()), "entry".into()).await.unwrap();
    assert_eq!(next(&mut alerts).await.payload, "alert");
    assert_eq!(next(&mut for_hosts).await.payload, "entry");
    assert_eq!(next(&mut for_apps).await.payload, "entry");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_its_own_inbox_and_profile() {
    let broker = TestServer::start().await.unwrap();
    let service = broker.space(Placement::Service).await.unwrap();
    let guid = service.member;
    let own = broker.join(&service, &MemberIdentity::HomeService(guid)).await.unwrap();
    let member = broker.join(&service, &MemberIdentity::Connection(peer())).await.unwrap();

    profiles::publish_profile(&own, guid, "shop".into()).await.unwrap();
    assert_eq!(profiles::read_profile(&member, guid).await.unwrap(), Some(Bytes::from("shop")));

    let durable = Subject::ForOwner(guid, peer(), kind("connection.revoked"));
    deliver(&member, &durable, fresh_event(), "notice".into()).await.unwrap();
    let mut inbox = Inbox::open(&own, &guid.to_string(), Members::All).await.unwrap();
    let message = inbox.next().await.unwrap();
    assert_eq!(message.subject, durable);
    message.done().await.unwrap();

    let answer = Pattern::ForOwner(Some(guid), None, Some(kind("data.response")));
    let mut answers = subscribed(&own, answer).await;
    member.publish(&Subject::ForOwner(guid, peer(), kind("data.response")), "answer".into()).await.unwrap();
    assert_eq!(next(&mut answers).await.payload, "answer");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_at_home_serves_its_app_and_hears_the_services() {
    let broker = TestServer::start().await.unwrap();
    let home = broker.space(Placement::Home).await.unwrap();
    let guid = home.member;
    let vault = broker.join(&home, &MemberIdentity::HomeOwner(guid)).await.unwrap();
    let app = broker.join(&home, &phone()).await.unwrap();
    let services = broker.connect(OperatorRole::ServicesControl, "services-1").await.unwrap();

    let mut commands = subscribed(&vault, Pattern::ForVault(Some(guid), None)).await;
    app.publish(&Subject::ForVault(guid, kind("data.list")), "command".into()).await.unwrap();
    assert_eq!(next(&mut commands).await.payload, "command");

    let mut control = subscribed(&vault, Pattern::ControlUser(Some(guid))).await;
    services.publish(&Subject::ControlUser(guid, kind("backup.request")), "backup".into()).await.unwrap();
    assert_eq!(next(&mut control).await.payload, "backup");

    let mut requests = subscribed(&services, Pattern::ForServices(None, None)).await;
    let subject = Subject::ForServices(guid, kind("account.revoke_user"));
    let (answer, ()) = tokio::join!(vault.request(&subject, "please".into(), Duration::from_secs(10)), async {
        next(&mut requests).await.reply.unwrap().send("revoked".into()).await.unwrap();
    });
    assert_eq!(answer.unwrap(), "revoked");
    broker.shut().await;
}

/// Everything that the hosts and the peers of a member send, as far as it is theirs to send.
async fn traffic(broker: &TestServer, space: &Space, canary: &'static str) {
    let guid = space.member;
    let host = broker.connect(OperatorRole::HostPublishing, HOST).await.unwrap();
    host.publish(&Subject::ForApp(guid, kind("feed.item"), fresh_event()), canary.into()).await.unwrap();
    profiles::publish_event_types(&host, guid, canary.into()).await.unwrap();
    profiles::publish_profile(&host, guid, canary.into()).await.unwrap();
    let app = broker.join(space, &phone()).await.unwrap();
    app.publish(&Subject::ForVault(guid, kind("data.get")), canary.into()).await.unwrap();
    let contact = broker.join(space, &MemberIdentity::Connection(peer())).await.unwrap();
    deliver(&contact, &Subject::ForOwner(guid, peer(), kind("messaging.text")), fresh_event(), canary.into())
        .await
        .unwrap();
    profiles::read_profile(&contact, guid).await.unwrap();
    for connection in [host, app, contact] {
        connection.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_literal_import_out_of_a_wildcard_export_delivers_one_members_traffic() {
    let broker = TestServer::start().await.unwrap();
    let alice = broker.space(Placement::Hosted).await.unwrap();
    let bob = broker.space(Placement::Hosted).await.unwrap();
    let mut taps = Vec::new();
    for account in [&alice.owner_account, &alice.message_account] {
        let observer = broker.observe(account).await.unwrap();
        taps.push((observer.tap().await.unwrap(), observer));
    }
    // What Bob's accounts and vault carry must not be seen in Alice's; her own is, and marks the end.
    traffic(&broker, &bob, "canary of bob").await;
    traffic(&broker, &alice, "canary of alice").await;
    for (tap, wanted) in taps.iter_mut().map(|(tap, _)| tap).zip([3, 3]) {
        let mut own = 0;
        while own < wanted {
            let seen = tokio::time::timeout(Duration::from_secs(10), tap.next()).await.unwrap().unwrap();
            assert!(!seen.subject.contains(&bob.member.to_string()), "{seen:?}");
            assert!(seen.payload != "canary of bob", "{seen:?}");
            own += usize::from(seen.payload == "canary of alice");
        }
    }
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hears_everything_in_the_account_does_not_keep_a_host_from_settling() {
    let broker = TestServer::start().await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap();
    let observer = broker.observe(&broker.operator.accounts.vault_host).await.unwrap();
    let mut tap = observer.tap().await.unwrap();
    let host = broker.connect(OperatorRole::HostSubscribing, HOST).await.unwrap();
    let heard = loop {
        host.settle().await.unwrap();
        // Until the tap is live, nothing of it shows.
        if let Ok(seen) = tokio::time::timeout(Duration::from_millis(50), tap.next()).await {
            break seen.unwrap();
        }
    };
    assert!(heard.subject.ends_with(".echo"), "{heard:?}");
    let mut commands = host.subscribe(&Pattern::ForVault(None, None)).await.unwrap();
    let (first, second) = tokio::join!(host.settle(), host.settle());
    first.unwrap();
    second.unwrap();
    let app = broker.join(&member, &phone()).await.unwrap();
    app.publish(&Subject::ForVault(member.member, kind("data.get")), "sealed".into()).await.unwrap();
    assert_eq!(next(&mut commands).await.payload, "sealed");
    broker.shut().await;
}

/// Subjects of another member, in the mouth of somebody who may publish anything in his own account.
fn forged(guid: MemberId) -> Vec<String> {
    [
        Subject::ForVault(guid, kind("data.get")),
        Subject::ForApp(guid, kind("feed.item"), fresh_event()),
        Subject::EventTypes(guid),
        Subject::ForServices(guid, kind("account.revoke_user")),
        Subject::ForOwner(guid, peer(), kind("messaging.text")),
        Subject::FromService(guid, "demo-shop".parse().unwrap(), kind("data.request")),
        Subject::OwnerProfile(guid),
        Subject::ControlUser(guid, kind("backup.request")),
        Subject::ControlGlobal(kind("handlers.reload")),
        Subject::Broadcast(kind("security.alert")),
        Subject::Journal(guid),
    ]
    .map(|subject| subject.to_string())
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_keys_were_stolen_reaches_nobody_else() {
    let broker = TestServer::start().await.unwrap();
    let alice = broker.space(Placement::Hosted).await.unwrap();
    let mallory = broker.space(Placement::Hosted).await.unwrap();
    let operator = broker.operator.accounts.clone();
    let watched = [
        &operator.vault_host,
        &operator.vault_services,
        &operator.service_registry,
        &alice.owner_account,
        &alice.message_account,
    ];
    let mut taps = Vec::new();
    for account in watched {
        let observer = broker.observe(account).await.unwrap();
        taps.push((observer.tap().await.unwrap(), observer));
    }
    for account in [&mallory.owner_account, &mallory.message_account] {
        let credential = broker.intruder(account, Power::Everything).await.unwrap();
        let client = raw::connect(&broker.endpoint().unwrap(), credential, unbounded_channel().0).await;
        for subject in forged(alice.member) {
            client.publish(subject, "forged".into()).await.unwrap();
        }
        // The server answers this itself once it has read the rest.
        client.request("nobody.listens.here", "".into()).await.unwrap_err();
    }
    // After it, something that each of them does see.
    traffic(&broker, &alice, "end").await;
    let services = broker.connect(OperatorRole::ServicesControl, "services-1").await.unwrap();
    services.publish(&Subject::ControlGlobal(kind("handlers.reload")), "end".into()).await.unwrap();
    let registry = broker.connect(OperatorRole::Registry, "registry-1").await.unwrap();
    registry.publish(&Subject::Broadcast(kind("security.alert")), "end".into()).await.unwrap();
    for (tap, _) in &mut taps {
        loop {
            let seen = tokio::time::timeout(Duration::from_secs(10), tap.next()).await.unwrap().unwrap();
            if seen.payload == "end" {
                break;
            }
            assert_ne!(seen.payload, "forged", "{seen:?}");
        }
    }
    broker.shut().await;
}
