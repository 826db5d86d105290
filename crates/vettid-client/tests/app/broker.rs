//! A broker in memory: what an app publishes reaches the vault at once, what the vault posts reaches the app's
//! subscriptions, after the faults of the test.

use crate::vault::{Post, Vault};
use crate::world::TestClock;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};
use vettid_client::transport::{Connection, Delivery, SignIn, Subscription, Transport, TransportError};
use vettid_wire::subject::{Pattern, Subject};

/// Where the broker is at first.
pub(crate) const ADDRESS: &str = "tls://broker.test:4222";

/// Does something to the vault before it receives what the app publishes; gives what the vault then posts.
pub(crate) type Before = Box<dyn FnMut(&Subject, &mut Vault) -> Vec<Post> + Send>;
/// Changes what the vault posts before it reaches the app.
pub(crate) type Fault = Box<dyn FnMut(Post) -> Vec<Post> + Send>;

#[derive(Default)]
pub(crate) struct Wires {
    subscribers: Vec<(String, mpsc::UnboundedSender<Delivery>)>,
    /// Everything that the app published, in order.
    pub(crate) published: Vec<Post>,
    /// Signed-in users, in order.
    pub(crate) sign_ins: Vec<String>,
    pub(crate) fault: Option<Fault>,
    pub(crate) before: Option<Before>,
    /// What the app publishes is lost.
    pub(crate) deaf: bool,
    /// What the app publishes of this event is lost.
    pub(crate) deaf_to: Option<&'static str>,
    /// Nobody can connect.
    pub(crate) down: bool,
    /// The broker is here and not where it was.
    pub(crate) moved_to: Option<&'static str>,
    /// So many of the next credentials are not taken.
    pub(crate) refusals: usize,
    /// How much was published before each sign-in.
    pub(crate) published_before: Vec<usize>,
}

/// The broker, and the vault behind it.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) wires: Arc<Mutex<Wires>>,
    pub(crate) vault: Arc<Mutex<Vault>>,
    pub(crate) clock: TestClock,
    /// How often connections were lost and made themselves anew.
    pub(crate) breaks: Arc<watch::Sender<u64>>,
    /// The same when this one was opened.
    pub(crate) breaks_before: u64,
}

impl Broker {
    /// Connections are lost and make themselves anew at once; their subscriptions do not end.
    pub(crate) fn break_and_mend(&self) {
        self.breaks.send_modify(|count| *count += 1);
    }

    /// Delivers what the vault posts.
    pub(crate) fn deliver(&self, posts: Vec<Post>) {
        let mut wires = self.wires.lock().unwrap();
        for post in posts {
            let posts = match wires.fault.as_mut() {
                Some(fault) => fault(post),
                None => vec![post],
            };
            for (subject, payload) in posts {
                let text = subject.to_string();
                let delivery = Delivery { subject, payload };
                wires.subscribers.retain(|(_, sender)| !sender.is_closed());
                let listening = wires.subscribers.iter().filter(|(pattern, _)| matches(pattern, &text));
                listening.for_each(|(_, sender)| drop(sender.send(delivery.clone())));
            }
        }
    }

    /// Sets a fault for everything that follows.
    pub(crate) fn fault(&self, fault: impl FnMut(Post) -> Vec<Post> + Send + 'static) {
        self.wires.lock().unwrap().fault = Some(Box::new(fault));
    }

    pub(crate) fn no_fault(&self) {
        self.wires.lock().unwrap().fault = None;
    }

    /// How often an event was published.
    pub(crate) fn count(&self, event: &str) -> usize {
        let wires = self.wires.lock().unwrap();
        wires
            .published
            .iter()
            .filter(|(subject, _)| subject.to_string().ends_with(&format!("forVault.{event}")))
            .count()
    }

    /// Breaks every connection.
    pub(crate) fn cut(&self) {
        self.wires.lock().unwrap().subscribers.clear();
    }
}

fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

impl Transport for Broker {
    type Connection = Broker;

    async fn connect(&self, sign_in: SignIn<'_>) -> Result<Broker, TransportError> {
        assert!(!sign_in.credential.is_expired(self.clock.time()), "an expired credential was offered");
        assert_eq!(sign_in.trust, crate::world::TRUST);
        let mut wires = self.wires.lock().unwrap();
        if wires.down || sign_in.endpoint != wires.moved_to.unwrap_or(ADDRESS) {
            return Err(TransportError::Unreachable("down".into()));
        }
        if wires.refusals > 0 {
            wires.refusals -= 1;
            return Err(TransportError::NotAuthorized("refused".into()));
        }
        let published = wires.published.len();
        wires.published_before.push(published);
        wires.sign_ins.push(sign_in.credential.inbox().to_owned());
        Ok(Broker { breaks_before: *self.breaks.borrow(), ..self.clone() })
    }
}

impl Connection for Broker {
    type Subscription = Listener;

    async fn subscribe(&self, pattern: &Pattern) -> Result<Listener, TransportError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.wires.lock().unwrap().subscribers.push((pattern.to_string(), sender));
        Ok(Listener(receiver))
    }

    async fn publish(&self, subject: &Subject, payload: &[u8]) -> Result<(), TransportError> {
        {
            let mut wires = self.wires.lock().unwrap();
            wires.published.push((subject.clone(), payload.to_vec()));
            if wires.deaf || wires.deaf_to.is_some_and(|event| subject.to_string().ends_with(event)) {
                return Ok(());
            }
        }
        let before =
            self.wires.lock().unwrap().before.as_mut().map(|before| before(subject, &mut self.vault.lock().unwrap()));
        self.deliver(before.unwrap_or_default());
        let posts = self.vault.lock().unwrap().receive(self.clock.time(), subject, payload);
        self.deliver(posts);
        Ok(())
    }

    async fn made_anew(&self) {
        self.breaks.subscribe().wait_for(|count| *count > self.breaks_before).await.unwrap();
    }

    async fn close(self) {}
}

pub(crate) struct Listener(mpsc::UnboundedReceiver<Delivery>);

impl Subscription for Listener {
    async fn next(&mut self) -> Result<Delivery, TransportError> {
        self.0.recv().await.ok_or_else(|| TransportError::Lost("cut".into()))
    }
}
