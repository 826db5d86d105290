//! How the gateway is: what does not work, in words, and how much there is of everything.

use super::{Gateway, lock};
use crate::metrics::{Levels, Metrics};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use vettid_wire::connection::ConnectionState;

impl Gateway {
    /// What does not work, and what works but should be looked at.
    #[must_use]
    pub fn problems(&self) -> (Vec<String>, Vec<String>) {
        let shared = &self.0;
        let mut problems = Vec::new();
        if shared.state.is_away() {
            problems.push("the database is away: the gateway goes on when it is back as it was left".to_owned());
        } else if !shared.is_sound() {
            problems
                .push("the state cannot be written, or the broker refuses what it must not: see the log".to_owned());
        }
        if !shared.home.is_connected() {
            problems.push("the broker cannot be reached".to_owned());
        } else if shared.is_deaf() {
            problems
                .push("the inbox on the broker cannot be opened: durable events wait there, see the log".to_owned());
        }
        if shared.stop.is_cancelled() {
            problems.push("the gateway is stopping".to_owned());
        }
        let mut warnings = Vec::new();
        match shared.hooks.paused() {
            0 => {}
            paused => warnings.push(format!("{paused} of the webhooks are paused and get no events: replay them")),
        }
        match shared.hooks.counts().1 {
            0 => {}
            aside => warnings.push(format!("{aside} events were set aside: replay their webhooks")),
        }
        (problems, warnings)
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What the gateway counts, in the text form of Prometheus.
    pub(crate) async fn metrics_text(&self) -> Result<String, fmt::Error> {
        let shared = &self.0;
        let (mut connections, mut requests) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
        for view in self.connections().await {
            *connections.entry(state_name(view.state)).or_default() += 1;
        }
        for view in self.requests() {
            *requests.entry(view.status.name()).or_default() += 1;
        }
        let levels = Levels {
            is_ready: self.problems().0.is_empty(),
            connections: connections.into_iter().collect(),
            requests: requests.into_iter().collect(),
            open_invitations: lock(&shared.invitations).len(),
            member_connections: self.member_connections(),
            dropped_events: self.dropped_events(),
            deliveries: shared.hooks.counts(),
            paused_webhooks: shared.hooks.paused(),
            attempts: (shared.hooks.taken.load(Ordering::Relaxed), shared.hooks.failed.load(Ordering::Relaxed)),
        };
        shared.metrics.text(&levels)
    }
}

fn state_name(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Requested => "requested",
        ConnectionState::Review => "review",
        ConnectionState::Accepted => "accepted",
        ConnectionState::Active => "active",
        ConnectionState::Reconciling => "reconciling",
        ConnectionState::Rejected => "rejected",
        ConnectionState::Expired => "expired",
        ConnectionState::Aborted => "aborted",
        ConnectionState::Revoked => "revoked",
    }
}
