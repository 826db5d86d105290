//! What the server lets a client do, found out by trying.

use crate::raw;
use async_nats::Client;
use std::collections::BTreeSet;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use vettid_core::grants::credential::Credential;
use vettid_nats::connection::Endpoint;

/// A client and the lines that the server sent it.
pub(crate) struct Raw {
    client: Client,
    lines: UnboundedReceiver<String>,
}

/// Nobody may publish there: the server's answer to it marks the end of its answers to what came before.
const MARK: &str = "nobody.may.publish.here";
/// The client library forgets lines beyond its own bound, so a stretch must be shorter.
const STRETCH: usize = 40;

impl Raw {
    /// Connects as this user.
    pub(crate) async fn connect(endpoint: &Endpoint, credential: Credential) -> Self {
        let (sender, lines) = unbounded_channel();
        Self { client: raw::connect(endpoint, credential, sender).await, lines }
    }

    /// The subjects among these that the server does not let it publish to.
    pub(crate) async fn denied_publish(&mut self, subjects: &[String]) -> BTreeSet<String> {
        let mut denied = BTreeSet::new();
        for stretch in subjects.chunks(STRETCH) {
            for subject in stretch {
                self.client.publish(subject.clone(), "".into()).await.unwrap();
            }
            denied.extend(self.denials("Publish to").await);
        }
        denied
    }

    /// The subjects among these that the server does not let it subscribe to.
    pub(crate) async fn denied_subscribe(&mut self, subjects: &[String]) -> BTreeSet<String> {
        let mut denied = BTreeSet::new();
        for stretch in subjects.chunks(STRETCH) {
            let mut held = Vec::new();
            for subject in stretch {
                held.push(self.client.subscribe(subject.clone()).await.unwrap());
            }
            denied.extend(self.denials("Subscription to").await);
            for mut subscriber in held {
                subscriber.unsubscribe().await.unwrap();
            }
        }
        denied
    }

    async fn denials(&mut self, what: &str) -> BTreeSet<String> {
        self.client.publish(MARK, "".into()).await.unwrap();
        let mut denied = BTreeSet::new();
        loop {
            let line = self.lines.recv().await.unwrap();
            let subject = line.split('"').nth(1).unwrap_or_default().to_owned();
            if subject == MARK {
                return denied;
            }
            assert!(line.to_lowercase().contains(&what.to_lowercase()), "{line}");
            denied.insert(subject);
        }
    }
}
