//! How well the services are known that ask something of the member, beside what they ask. What is not known for sure is shown as not
//! verified, and a domain always in ASCII, so that none looks like another one.

use super::Client;
use super::advice::command;
use super::connection::may;
use super::services::{HttpServices, post};
use crate::failure::Failure;
use crate::output::{Page, Show, minute};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use vettid_client::directory::{Badge, Comparison, DirectoryApi, Met, WhyNoComparison, WhyNot};
use vettid_client::services::{ServicesAddress, ServicesError};
use vettid_core::comparison::Unusual;
use vettid_wire::category::{AskComparison, ComparisonBasis, LEAST_SERVICES};
use vettid_wire::connection::{ConnectionView, ListConnections, PeerKind};
use vettid_wire::contract::Contract;
use vettid_wire::directory::{AskStandings, Level, Standings};
use vettid_wire::event::ConnectionList;
use vettid_wire::id::ConnectionId;

impl DirectoryApi for HttpServices {
    async fn standings(&self, at: ServicesAddress<'_>, asked: &AskStandings) -> Result<Standings, ServicesError> {
        post(at, "/v1/registry/standings", None, asked).await
    }

    async fn comparison(
        &self,
        at: ServicesAddress<'_>,
        asked: &AskComparison,
    ) -> Result<ComparisonBasis, ServicesError> {
        post(at, "/v1/registry/comparison", None, asked).await
    }
}

const OTHER_REGISTRY: &str = "your operator's registry signs with another key than before, so nothing that it says is shown; say `vettid app registry`";

/// Something of a connection, with how well its service is known.
#[derive(Debug, Serialize)]
pub(super) struct Badged<T> {
    #[serde(flatten)]
    inner: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<Badge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
}

impl<T> Badged<T> {
    pub(super) fn new(inner: T, badge: Option<Badge>) -> Self {
        Self { inner, badge, comparison: None }
    }

    /// With what few services of the same kind ask.
    pub(super) async fn compared(self, contract: Option<&Contract>, app: &Client) -> Result<Self, Failure> {
        let Some(contract) = contract else { return Ok(self) };
        let comparison = app.comparison(contract).await.map_err(command)?;
        Ok(Self { comparison: Some(comparison), ..self })
    }
}

impl<T: Show> Show for Badged<T> {
    fn show(&self, page: &mut Page) {
        if let Some(badge) = &self.badge {
            page.line(format!("This service is {}", words(badge)));
        }
        if let Some(comparison) = &self.comparison {
            show_comparison(comparison, page);
        }
        if self.badge.is_some() || self.comparison.is_some() {
            page.gap();
        }
        self.inner.show(page);
    }
}

fn show_comparison(comparison: &Comparison, page: &mut Page) {
    let category = comparison.category.as_ref().map_or_else(String::new, |kind| format!(" of the kind “{kind}”"));
    let (Some(services), None) = (comparison.services, comparison.reason) else {
        page.line(match comparison.reason {
            Some(WhyNoComparison::TooFew) => {
                format!("Not compared: there are fewer than {LEAST_SERVICES} verified services{category}.")
            }
            Some(WhyNoComparison::NoCategory) => {
                "Not compared: the service does not say of which kind it is.".to_owned()
            }
            Some(WhyNoComparison::NotGenuine) => {
                "Not compared: what was counted is not genuine, or too old.".to_owned()
            }
            Some(WhyNoComparison::OtherRegistry) => format!("Not compared: {OTHER_REGISTRY}."),
            Some(WhyNoComparison::Unreachable) | None => "Not compared: your operator cannot be asked now.".to_owned(),
        });
        return;
    };
    page.line(format!("Compared with {services} verified services{category}, as it calls itself:"));
    if comparison.unusual.is_empty() {
        page.line("  It asks for nothing that few of them ask for.");
    }
    for unusual in &comparison.unusual {
        page.line(format!("  {}", unusual_words(unusual, services)));
    }
}

fn unusual_words(unusual: &Unusual, all: u32) -> String {
    let few = |number: &u32| format!("{number} of {all}");
    match unusual {
        Unusual::Field { field, services } => format!("asks for {field}, which {} ask for", few(services)),
        Unusual::Tier { field, services, .. } => {
            format!("wants {field} without leaving you as much choice; {} do", few(services))
        }
        Unusual::Retention { field, services, .. } => format!("keeps {field} so long; {} do", few(services)),
        Unusual::Permission { permission, services } => format!("may {}; {} may", may(*permission), few(services)),
        Unusual::Quota { quota_bytes, services } => {
            format!("may store {quota_bytes} bytes with you; {} may store as much", few(services))
        }
        Unusual::Category { category, services } => format!("stores {category} with you, which {} do", few(services)),
        Unusual::Notifications { per_hour, services } => {
            format!("may send {per_hour} messages in an hour; {} may send as many", few(services))
        }
    }
}

/// How well the service behind a connection is known; `None` for members, and before anybody came.
pub(super) async fn of_view(view: &ConnectionView, app: &Client) -> Result<Option<Badge>, Failure> {
    let Some(met) = met(view) else { return Ok(None) };
    Ok(app.badges(&[met]).await.map_err(command)?.pop())
}

/// The same of several connections; members are left out.
pub(super) async fn of(wanted: BTreeSet<ConnectionId>, app: &Client) -> Result<BTreeMap<ConnectionId, Badge>, Failure> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    // A look at the list is one question, however many there are to be looked for.
    while !wanted.is_empty() {
        let asked = ListConnections { after, ..ListConnections::default() };
        let list = app.command::<ConnectionList>(asked).await.map_err(command)?;
        after = list.connections.last().filter(|_| list.more).map(|last| last.connection_id);
        let fits = list.connections.iter().filter(|view| wanted.contains(&view.connection_id));
        found.extend(fits.filter_map(|view| Some((view.connection_id, met(view)?))));
        if after.is_none() {
            break;
        }
    }
    if found.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (ids, met): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    Ok(ids.into_iter().zip(app.badges(&met).await.map_err(command)?).collect())
}

fn met(view: &ConnectionView) -> Option<Met> {
    let (service_id, fingerprint) = view.service_id.clone().zip(view.peer_fingerprint)?;
    (view.kind == PeerKind::Service).then_some(Met { service_id, fingerprint })
}

/// The level in words, after “is”.
pub(super) fn words(badge: &Badge) -> String {
    let domain = badge.domain.as_ref().map_or_else(String::new, |known| {
        format!("{} since {}, checked {}", known.domain, minute(known.since), minute(known.checked_at))
    });
    match (badge.level, &badge.certification, badge.reason) {
        (Level::Verified, ..) => format!("verified: {domain}"),
        (Level::Certified, Some(known), _) => {
            format!("certified by your operator ({}, until {}); verified: {domain}", known.reason, minute(known.until))
        }
        (_, _, reason) => format!("NOT VERIFIED: {}", why_not(reason)),
    }
}

/// The level in a word or two, beside an entry of a list.
pub(super) fn mark(badge: &Badge) -> String {
    match (badge.level, &badge.domain) {
        (Level::Certified, Some(known)) => format!("certified: {}", known.domain),
        (Level::Verified, Some(known)) => format!("verified: {}", known.domain),
        _ => "not verified".to_owned(),
    }
}

fn why_not(reason: Option<WhyNot>) -> &'static str {
    match reason {
        Some(WhyNot::NotProved) | None => "it has not proved which domain is its own",
        Some(WhyNot::NotListed) => "your operator does not know it",
        Some(WhyNot::OtherIdentity) => {
            "somebody else has proved a domain under this name; this is not the same service"
        }
        Some(WhyNot::NotGenuine) => "what was said of it is not genuine, or too old",
        Some(WhyNot::OtherRegistry) => OTHER_REGISTRY,
        Some(WhyNot::Unreachable) => "your operator cannot be asked now",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::directory::{Certification, VerifiedDomain};
    use vettid_wire::time::Timestamp;

    #[test]
    fn what_few_store_or_send_is_said_with_how_many_do() {
        let storage = Unusual::Quota { quota_bytes: 65_536, services: 1 };
        let category = Unusual::Category { category: "health".to_owned(), services: 2 };
        let messages = Unusual::Notifications { per_hour: 20, services: 0 };
        let said = [storage, category, messages].map(|unusual| unusual_words(&unusual, 8));
        assert_eq!(
            said,
            [
                "may store 65536 bytes with you; 1 of 8 may store as much",
                "stores health with you, which 2 of 8 do",
                "may send 20 messages in an hour; 0 of 8 may send as many"
            ]
        );
    }

    #[test]
    fn what_is_not_verified_is_said_so() {
        let at = Timestamp::from_unix_ms(1_800_000_000_000);
        // Written with a Cyrillic letter, it is shown in the form that DNS has.
        let domain = VerifiedDomain { domain: "xn--pypal-4ve.example".parse().unwrap(), since: at, checked_at: at };
        let verified = Badge { level: Level::Verified, domain: Some(domain), certification: None, reason: None };
        assert!(
            words(&verified).starts_with("verified: xn--pypal-4ve.example since 2027-01-15"),
            "{}",
            words(&verified)
        );
        let word = Certification { reason: "Register".to_owned(), since: at, until: at };
        let certified = Badge { level: Level::Certified, certification: Some(word), ..verified };
        assert!(words(&certified).starts_with("certified by your operator (Register, until 2027-01-15"));
        for reason in [
            WhyNot::NotProved,
            WhyNot::NotListed,
            WhyNot::OtherIdentity,
            WhyNot::NotGenuine,
            WhyNot::OtherRegistry,
            WhyNot::Unreachable,
        ] {
            let badge = Badge { level: Level::Unverified, domain: None, certification: None, reason: Some(reason) };
            assert!(words(&badge).starts_with("NOT VERIFIED: "), "{}", words(&badge));
        }
    }
}
