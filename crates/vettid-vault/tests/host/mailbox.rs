//! A peer whose own vault runs nowhere: it sends what was sealed before, and collects what comes for it.

use crate::desk::{Desk, PATIENCE};
use crate::town::Town;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_core::grants::role::OperatorRole;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::nats::token::UserJwt;
use vettid_nats::clock;
use vettid_nats::connection::Connection;
use vettid_nats::inbox::{self, Inbox, Members};
use vettid_wire::envelope::Envelope;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::subject::Subject;

pub(crate) type Letter = (Subject, Vec<u8>);

/// Texts of one vault of the town for the other, sealed and not delivered.
pub(crate) fn sealed_texts(town: &mut Town, from: usize, to: usize, id: ConnectionId, texts: &[String]) -> Vec<Letter> {
    for text in texts {
        let _: Value = town.ask(from, "messaging.send", json!({"connection_id": id, "text": text})).unwrap();
    }
    town.take_inbox(town.nodes[to].guid)
}

/// Sends as the user that the receiver issued a credential for; each letter until the broker has it.
pub(crate) struct Sender(Connection);

impl Sender {
    pub(crate) async fn open(desk: &Desk, town: &Town, from: usize, id: ConnectionId) -> Self {
        let connection = town.nodes[from].vault.connection(id).unwrap().unwrap();
        let key = Arc::new(UserKey::from_secret(connection.nkey_seed.duplicate()).unwrap());
        let (identity, jwt) = (MemberIdentity::Connection(id), UserJwt::unchecked(connection.jwt.clone().unwrap()));
        let credential = Credential::member(&identity, connection.peer_guid(), key, jwt, clock::now()).unwrap();
        Self(Connection::open(&desk.broker.endpoint().unwrap(), credential).await.unwrap())
    }

    pub(crate) async fn send(&self, letters: &[Letter]) {
        for (subject, bytes) in letters {
            let event_id = Envelope::read(bytes).unwrap().event_id;
            while let Err(error) = inbox::deliver(&self.0, subject, event_id, bytes.clone().into()).await {
                tracing::debug!(%error, "once more");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// What came for one member, by event id.
pub(crate) struct Mailbox {
    count: watch::Receiver<usize>,
    task: JoinHandle<BTreeMap<EventId, Letter>>,
    full: watch::Sender<Option<usize>>,
}

impl Mailbox {
    pub(crate) async fn open(desk: &Desk, town: &Town, who: usize) -> Self {
        let connection = desk.broker.connect(OperatorRole::HostSubscribing, "mailbox").await.unwrap();
        let members = Members::Only(BTreeSet::from([town.nodes[who].guid]));
        let mut inbox = Inbox::open(&connection, "mailbox", members.clone()).await.unwrap();
        let (counted, count) = watch::channel(0);
        let (full, mut wanted) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut letters: BTreeMap<EventId, Letter> = BTreeMap::new();
            loop {
                let message = tokio::select! {
                    message = inbox.next() => message,
                    _ = wanted.wait_for(Option::is_some) => return letters,
                };
                let Ok(message) = message else {
                    if let Ok(again) = Inbox::open(&connection, "mailbox", members.clone()).await {
                        inbox = again;
                    }
                    continue;
                };
                let event_id = Envelope::read(&message.payload).unwrap().event_id;
                let letter = (message.subject.clone(), message.payload.to_vec());
                let before = letters.insert(event_id, letter.clone());
                assert!(before.is_none_or(|before| before == letter), "what is sent again is the same byte for byte");
                // If the broker does not hear it, the letter comes again.
                let _ = message.done_soon().await;
                counted.send_replace(letters.len());
            }
        });
        Self { count, task, full }
    }

    /// Waits until so many different letters came.
    pub(crate) async fn holds(&mut self, count: usize) {
        let came = self.count.wait_for(|have| *have >= count);
        let came = tokio::time::timeout(PATIENCE, came).await.map(|came| came.map(|_| ()));
        came.unwrap_or_else(|_| panic!("{} of {count} letters came", *self.count.borrow())).unwrap();
    }

    pub(crate) async fn close(self) -> Vec<Letter> {
        self.full.send_replace(Some(0));
        self.task.await.unwrap().into_values().collect()
    }
}
