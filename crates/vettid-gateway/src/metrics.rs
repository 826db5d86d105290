//! What the gateway counts, as Prometheus reads it. No label ever names a member, a connection or a request.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;

/// Upper bounds of the times of calls, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: String,
    path: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PathLabels {
    method: String,
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

type Times = Family<PathLabels, Histogram, fn() -> Histogram>;

/// The counters of calls. What the gateway knows anyway is read when somebody asks.
pub(crate) struct Metrics {
    calls: Family<CallLabels, Counter>,
    times: Times,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// What the gateway knows now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels {
    /// Whether it works.
    pub is_ready: bool,
    /// Connections by their state.
    pub connections: Vec<(&'static str, usize)>,
    /// Requests by how far they are.
    pub requests: Vec<(&'static str, usize)>,
    /// Invitations that nobody has answered.
    pub open_invitations: usize,
    /// Connections to members' accounts that are held open.
    pub member_connections: usize,
    /// Messages dropped without an answer since the start.
    pub dropped_events: u64,
    /// Events that wait for their webhook, and that were set aside.
    pub deliveries: (usize, usize),
    /// Webhooks that are paused.
    pub paused_webhooks: usize,
    /// Events that webhooks took, and attempts that failed, since the start.
    pub attempts: (u64, u64),
}

impl Metrics {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        Self { calls: Family::default(), times: Times::new_with_constructor(|| Histogram::new(SECONDS)) }
    }

    /// Counts a call; `path` is the address as it is described, never with an id in it.
    pub(crate) fn count(&self, method: &str, path: &str, status: u16, took_ms: i64) {
        let (method, path) = (method.to_owned(), path.to_owned());
        self.calls.get_or_create(&CallLabels { method: method.clone(), path: path.clone(), status }).inc();
        let took_ms = u32::try_from(took_ms.max(0)).unwrap_or(u32::MAX);
        self.times.get_or_create(&PathLabels { method, path }).observe(f64::from(took_ms) / 1000.0);
    }

    /// Everything, in the text form.
    pub(crate) fn text(&self, levels: &Levels) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("vettid_gateway");
        registry.register("calls", "Calls of programs", self.calls.clone());
        registry.register("call_seconds", "How long calls took", self.times.clone());
        gauge(&mut registry, "ready", "1 if the gateway works", usize::from(levels.is_ready));
        by_state(&mut registry, "connections", "Connections by state", &levels.connections);
        by_state(&mut registry, "requests", "Requests by how far they are", &levels.requests);
        gauge(&mut registry, "open_invitations", "Invitations that nobody has answered", levels.open_invitations);
        gauge(&mut registry, "member_connections", "Connections to members' accounts", levels.member_connections);
        let (waiting, set_aside) = levels.deliveries;
        let deliveries = [("waiting", waiting), ("set_aside", set_aside)];
        by_state(&mut registry, "webhook_deliveries", "Events that were not taken yet", &deliveries);
        gauge(&mut registry, "webhooks_paused", "Webhooks that get no events", levels.paused_webhooks);
        counter(&mut registry, "webhook_taken", "Events that webhooks took", levels.attempts.0);
        counter(&mut registry, "webhook_failures", "Attempts that failed", levels.attempts.1);
        counter(&mut registry, "dropped_events", "Messages dropped without an answer", levels.dropped_events);
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, count: usize) {
    let gauge = Gauge::<i64>::default();
    gauge.set(number(count));
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, count: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(count);
    registry.register(name, help, counter);
}

fn by_state(registry: &mut Registry, name: &str, help: &str, counts: &[(&'static str, usize)]) {
    let family = Family::<StateLabels, Gauge>::default();
    for (state, count) in counts {
        family.get_or_create(&StateLabels { state }).inc_by(number(*count));
    }
    registry.register(name, help, family);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_prometheus() {
        let metrics = Metrics::new();
        metrics.count("GET", "/v1/connections/{connection_id}", 200, 3);
        let levels = Levels { connections: vec![("active", 1), ("active", 1)], attempts: (5, 2), ..Levels::default() };
        let text = metrics.text(&levels).unwrap();
        for line in [
            "vettid_gateway_calls_total{method=\"GET\",path=\"/v1/connections/{connection_id}\",status=\"200\"} 1",
            "vettid_gateway_connections{state=\"active\"} 2",
            "vettid_gateway_webhook_taken_total 5",
            "vettid_gateway_webhook_failures_total 2",
            "vettid_gateway_ready 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
