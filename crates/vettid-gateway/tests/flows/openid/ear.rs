//! A client that is told things behind the browser's back: hears posts, and answers as a test says.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) authorization: String,
    pub(crate) body: String,
}

#[derive(Clone)]
struct Shared {
    heard: UnboundedSender<Heard>,
    /// How often it fails before it takes something.
    failures: Arc<Mutex<u32>>,
    /// Whom it waits for before it answers.
    company: Option<Arc<Barrier>>,
}

pub(crate) struct Ear {
    pub(crate) address: String,
    heard: UnboundedReceiver<Heard>,
}

impl Ear {
    /// Listens; fails the first times.
    pub(crate) async fn failing(failures: u32) -> Self {
        Self::listening(failures, None).await
    }

    /// Listens; answers nobody before all who share the barrier are there.
    pub(crate) async fn waiting_for(company: &Arc<Barrier>) -> Self {
        Self::listening(0, Some(Arc::clone(company))).await
    }

    async fn listening(failures: u32, company: Option<Arc<Barrier>>) -> Self {
        let (sender, heard) = unbounded_channel();
        let shared = Shared { heard: sender, failures: Arc::new(Mutex::new(failures)), company };
        let router = Router::new().route("/told", post(hear)).with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://localhost:{}/told", listener.local_addr().unwrap().port());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, heard }
    }

    pub(crate) async fn next(&mut self) -> Heard {
        tokio::time::timeout(crate::world::PATIENCE, self.heard.recv()).await.unwrap().unwrap()
    }

    pub(crate) async fn nothing_more(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.heard.recv()).await.is_err()
    }
}

async fn hear(State(shared): State<Shared>, headers: HeaderMap, body: String) -> StatusCode {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    shared.heard.send(Heard { authorization: authorization.unwrap_or_default(), body }).unwrap();
    if let Some(company) = &shared.company {
        company.wait().await;
    }
    let mut failures = shared.failures.lock().unwrap();
    let fails = *failures > 0;
    *failures = failures.saturating_sub(1);
    if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}
