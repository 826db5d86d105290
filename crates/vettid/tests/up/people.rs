//! A stack that runs, and two people in it who know each other.

use crate::party::{App, list, text};
use crate::processes;
use crate::stack::{Place, Up};
use serde_json::Value;

/// What `vettid up` prints when everything runs.
pub(crate) const READY: &str = "Press Ctrl-C";

/// Where the parts of a running stack listen, as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) broker: String,
    pub(crate) web_socket: String,
    pub(crate) services: String,
    pub(crate) shop: String,
}

/// Starts and waits until everything runs.
pub(crate) async fn start(place: &Place) -> (Up, Addresses) {
    let mut up = place.up(&[]);
    up.until(READY).await;
    let shown = |name: &str| {
        let line = up.said().lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().find(|word| word.contains("://")).unwrap().to_owned()
    };
    let (broker, web_socket) = (shown("broker"), shown("web socket"));
    let addresses = Addresses { broker, web_socket, services: shown("services"), shop: shown("demo shop") };
    (up, addresses)
}

/// Two people who know each other.
pub(crate) struct People {
    pub(crate) alice: App,
    pub(crate) bob: App,
    pub(crate) connection: String,
}

impl People {
    /// Enrols both apps with the codes that lie ready, and connects the two.
    pub(crate) async fn connect(place: &Place) -> Self {
        let (alice, bob) = (place.app("alice"), place.app("bob"));
        for (app, name) in [(&alice, "Alice"), (&bob, "Bob")] {
            let code = place.data().join(format!("people/{}.code", name.to_lowercase()));
            app.enrol(&code).await;
            processes::until("the used code is removed", || !code.exists()).await;
            app.ask(&["profile", "set", "--name", name]).await;
        }
        let link = text(&alice.ask(&["connection", "invite"]).await, "link");
        let connection = text(&bob.say(&["connection", "accept"], &link).await, "connection_id");
        for app in [&alice, &bob] {
            app.until(&["connection", "review", &connection], |view| is_in(view, "review")).await;
            app.ask(&["connection", "decide", &connection, "--accept"]).await;
        }
        for app in [&alice, &bob] {
            app.until(&["connection", "review", &connection], |view| is_in(view, "active")).await;
        }
        Self { alice, bob, connection }
    }

    /// Sends a text from one to the other and waits until it is there and the sender knows it.
    pub(crate) async fn send(&self, from: &App, to: &App, words: &str) {
        from.say(&["message", "send", &self.connection], words).await;
        let has = |view: &Value| list(view, "messages").iter().any(|message| message["text"] == words).then_some(());
        to.until(&["message", "list", &self.connection], has).await;
        let knows = |view: &Value| {
            let own = list(view, "messages").iter().find(|message| message["text"] == words);
            own.is_some_and(|message| message["delivered_at"].is_string()).then_some(())
        };
        from.until(&["message", "list", &self.connection], knows).await;
    }

    /// What Bob has from Alice.
    pub(crate) async fn bob_has(&self) -> Vec<String> {
        let texts = self.bob.texts(&self.connection).await.into_iter();
        texts.filter(|(direction, _)| direction == "received").map(|(_, text)| text).collect()
    }
}

pub(crate) fn is_in(view: &Value, state: &str) -> Option<()> {
    (view["state"] == state).then_some(())
}
