//! How a connection looks to its owner: who, how well known, what it asks, and what to type next.

use super::picture;
use crate::output::{Page, Show, minute, printable};
use qrcode::QrCode;
use serde::{Serialize, Serializer};
use std::path::PathBuf;
use vettid_wire::connection::{
    ConnectionList, ConnectionState, ConnectionView, Invited, PeerKind, RevocationReason, RevokedBy, RotationReport,
    Verification,
};
use vettid_wire::contract::{Access, Contract, ContractField, Permission, Retention, Tier};
use vettid_wire::feed::Tag;
use vettid_wire::handshake::SYMBOLS;
use vettid_wire::id::ConnectionId;

/// Longest life in seconds of an invitation that is shown as a QR code.
const MAX_SCREEN_SECONDS: u32 = 600;

/// A new invitation.
pub(super) struct Fresh {
    invited: Invited,
    drawing: Option<String>,
    files: Vec<PathBuf>,
}

impl Fresh {
    pub(super) fn new(invited: Invited, life_seconds: u32, code: &QrCode, files: Vec<PathBuf>) -> Self {
        let drawing = (life_seconds <= MAX_SCREEN_SECONDS).then(|| picture::drawing(code));
        Self { invited, drawing, files }
    }
}

impl Serialize for Fresh {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.invited.serialize(serializer)
    }
}

impl Show for Fresh {
    fn show(&self, page: &mut Page) {
        if let Some(drawing) = &self.drawing {
            page.drawing(drawing);
            page.gap();
        }
        page.line(&self.invited.link);
        page.gap();
        page.line(format!("Whoever holds this can answer it once, until {}.", minute(self.invited.expires_at)));
        for file in &self.files {
            page.line(format!(
                "The secret is in {}, too: give it to nobody else, and remove it afterwards.",
                file.display()
            ));
        }
        page.next("When it was answered", "vettid app connection list");
    }
}

/// What became of a command to make new keys.
pub(super) struct Rotation {
    report: RotationReport,
    of_all: bool,
}

impl Rotation {
    pub(super) fn new(report: RotationReport, of_all: bool) -> Self {
        Self { report, of_all }
    }
}

impl Serialize for Rotation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

impl Show for Rotation {
    fn show(&self, page: &mut Page) {
        let RotationReport { begun, stragglers, more } = &self.report;
        page.line(format!("New keys are on their way on {}.", crate::output::count(begun.len() as u64, "connection")));
        if !stragglers.is_empty() {
            page.gap();
            page.line("These did not answer an earlier rotation yet; they do when they come back:");
            let rows: Vec<_> = stragglers
                .iter()
                .map(|waiting| {
                    [printable(&waiting.display_name), minute(waiting.since), waiting.connection_id.to_string()]
                })
                .collect();
            page.table(["NAME", "SINCE", "ID"], &rows);
        }
        if self.of_all && *more {
            page.gap();
            page.next("There are more. To go on", "vettid app connection rekey --all");
        }
    }
}

impl Show for ConnectionList {
    fn show(&self, page: &mut Page) {
        if self.connections.is_empty() {
            page.line("No connections, or none that fits.");
            page.next("To invite somebody", "vettid app connection invite");
            return;
        }
        let rows: Vec<_> = self.connections.iter().map(row).collect();
        page.table(["NAME", "KIND", "STATE", "KNOWN", "TAGS", "ID"], &rows);
        if let Some(last) = self.connections.last().filter(|_| self.more) {
            page.next("There are more", &format!("vettid app connection list --after {}", last.connection_id));
        }
    }
}

fn row(view: &ConnectionView) -> [String; 6] {
    let known = if view.state == ConnectionState::Active { verification(view.verification) } else { "" };
    let name = match &view.label {
        Some(label) => format!("{label} ({})", name(view)),
        None => name(view).to_owned(),
    };
    let state = state(view.state).to_owned();
    [name, kind(view.kind).to_owned(), state, known.to_owned(), tags(view), view.connection_id.to_string()]
}

impl Show for ConnectionView {
    fn show(&self, page: &mut Page) {
        page.line(format!("{} ({}): {}", name(self), kind(self.kind), state(self.state)));
        page.field("id", self.connection_id.to_string());
        if let Some(label) = &self.label {
            page.field("your name", label);
        }
        if !self.tags.is_empty() {
            page.field("tags", tags(self));
        }
        page.field("since", minute(self.created_at));
        if let Some(why) = why_not(self) {
            page.line(why);
        }
        if let Some(fingerprint) = &self.peer_fingerprint {
            page.field("fingerprint", fingerprint.to_string());
        }
        self.show_profile(page);
        self.show_check(page);
        if let Some(contract) = &self.contract {
            show_contract(contract, &self.missing_fields, page);
        }
        self.show_next(page);
    }
}

/// Parts of a connection on a page.
trait Parts {
    fn show_profile(&self, page: &mut Page);
    fn show_check(&self, page: &mut Page);
    fn show_next(&self, page: &mut Page);
}

impl Parts for ConnectionView {
    fn show_profile(&self, page: &mut Page) {
        let more = self.profile.iter().flat_map(|profile| &profile.public.more);
        for (name, text) in more {
            page.field(&printable(name), text);
        }
        for (name, value) in self.profile.iter().flat_map(|profile| &profile.items) {
            page.field(&printable(name), super::super::profile::shown(value));
        }
        if self.profile_stale {
            page.field("careful", "this profile is old: it may not be what the other side says today");
        }
    }

    fn show_check(&self, page: &mut Page) {
        let is_in_use = matches!(
            self.state,
            ConnectionState::Review
                | ConnectionState::Accepted
                | ConnectionState::Active
                | ConnectionState::Reconciling
        );
        if !is_in_use {
            return;
        }
        page.field("known as", verification(self.verification));
        if let Some(number) = &self.safety_number {
            page.field("safety number", grouped(number));
        }
        if let Some(indices) = &self.symbols {
            page.field("symbols", symbols(indices));
        }
    }

    fn show_next(&self, page: &mut Page) {
        let (id, who) = (self.connection_id, name(self));
        match (self.state, self.verification) {
            (ConnectionState::Review, _) => {
                page.gap();
                page.next("To accept", &accept(id, self.contract.as_ref()));
                page.next("To reject", &format!("vettid app connection decide {id} --reject"));
            }
            (ConnectionState::Active, Verification::Unverified) => {
                page.gap();
                page.line(format!("Compare the safety number with {who} by voice or in person. If both see the same:"));
                page.line(format!("  vettid app connection verify {id}"));
            }
            (ConnectionState::Requested | ConnectionState::Accepted, _) => {
                page.gap();
                page.next("The other side comes next. To look again", &format!("vettid app connection review {id}"));
            }
            _ => {}
        }
    }
}

/// How to accept, with the optional fields that may be agreed to.
fn accept(id: ConnectionId, contract: Option<&Contract>) -> String {
    let fields = contract.into_iter().flat_map(|contract| &contract.fields);
    let optional: Vec<_> =
        fields.filter(|field| field.tier == Tier::Optional).map(|field| field.field.as_str()).collect();
    let with = if optional.is_empty() { String::new() } else { format!(" [--optional {}]", optional.join(",")) };
    format!("vettid app connection decide {id} --accept{with}")
}

/// A contract on a page.
pub(in crate::app) fn show_contract(contract: &Contract, missing: &[String], page: &mut Page) {
    page.gap();
    page.line(format!("Contract, version {}: {}", contract.contract_version, contract.description));
    let rows: Vec<_> = contract
        .fields
        .iter()
        .map(|field| {
            let held = if missing.contains(&field.field) { "not stored" } else { "" };
            [field.field.clone(), when(field), retention(field.retention), field.purpose.clone(), held.into()]
        })
        .collect();
    page.table(["  FIELD", "WHEN", "KEPT", "WHAT FOR", ""], &rows.map_first(|field| format!("  {field}")));
    if !contract.permissions.is_empty() {
        let names: Vec<_> = contract.permissions.iter().map(|permission| may(*permission)).collect();
        page.field("may also", names.join(", "));
    }
    if let Some(number) = contract.notifications_per_hour {
        page.field("messages", format!("at most {number} in an hour"));
    }
    if let Some(storage) = &contract.storage {
        page.field("may store", format!("{} bytes with you", storage.quota_bytes));
        for declared in &storage.categories {
            page.line(format!("  {}: {}", declared.category, declared.purpose));
        }
    }
    page.field("at most", format!("{} reads in {} seconds", contract.rate.count, contract.rate.per_seconds));
    page.field("terms", &contract.terms_url);
    page.field("privacy", &contract.privacy_url);
}

trait MapFirst {
    fn map_first(self, change: impl Fn(String) -> String) -> Self;
}

impl<const N: usize> MapFirst for Vec<[String; N]> {
    fn map_first(mut self, change: impl Fn(String) -> String) -> Self {
        for cell in self.iter_mut().filter_map(|row| row.first_mut()) {
            *cell = change(std::mem::take(cell));
        }
        self
    }
}

fn name(view: &ConnectionView) -> &str {
    if view.display_name.trim().is_empty() { "(no name yet)" } else { &view.display_name }
}

fn tags(view: &ConnectionView) -> String {
    view.tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}

/// Why a connection is not in use any more, in words.
fn why_not(view: &ConnectionView) -> Option<String> {
    let who = printable(name(view));
    match (view.state, &view.ending) {
        (ConnectionState::Rejected, _) => Some("You rejected it. Nothing of it is used, and nobody was told why.".into()),
        (ConnectionState::Expired, _) => Some("It was not finished in time. To try again, make a new invitation.".into()),
        (ConnectionState::Reconciling, _) => Some(format!(
            "Your vault came back from an earlier state and asks {who} for new keys and for what it lost; until then nothing can be sent."
        )),
        (ConnectionState::Aborted, _) => {
            Some("The handshake failed: what came was not what it should be. Nothing of it is used. Try again with a new invitation.".into())
        }
        (ConnectionState::Revoked, Some(ending)) => {
            let whoever = if ending.by == RevokedBy::Owner { "You".to_owned() } else { who };
            let reason = ending.reason.map_or_else(String::new, |reason| format!(" ({})", because(reason)));
            Some(format!("{whoever} ended it on {}{reason}. Neither side reaches the other any more.", minute(ending.at)))
        }
        _ => None,
    }
}

fn because(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::UserRequested => "by wish",
        RevocationReason::KeyCompromise => "keys may be known to somebody else",
        RevocationReason::ContractRejected => "the contract was rejected",
    }
}

fn kind(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Member => "member",
        PeerKind::Service => "service",
    }
}

fn state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Requested => "requested",
        ConnectionState::Review => "waits for you",
        ConnectionState::Accepted => "accepted by you",
        ConnectionState::Active => "active",
        ConnectionState::Rejected => "rejected",
        ConnectionState::Expired => "expired",
        ConnectionState::Aborted => "failed",
        ConnectionState::Reconciling => "getting new keys after a restore",
        ConnectionState::Revoked => "ended",
    }
}

fn verification(verification: Verification) -> &'static str {
    match verification {
        Verification::Verified => "verified",
        Verification::Unverified => "unverified",
    }
}

fn when(field: &ContractField) -> String {
    let tier = match field.tier {
        Tier::Required => "always (required)",
        Tier::Optional => "if you agree (optional)",
        Tier::OnDemand => "while you store it",
        Tier::Consent => "asks you each time",
    };
    match field.access {
        Access::OnDemand => tier.to_owned(),
        Access::OneTime => format!("{tier}, once"),
        Access::Snapshot => format!("{tier}, sent at each change"),
    }
}

fn retention(retention: Retention) -> String {
    match retention {
        Retention::Session => "for the session".to_owned(),
        Retention::TimeLimited { days } => crate::output::count(u64::from(days), "day"),
        Retention::UntilRevoked => "until you end it".to_owned(),
    }
}

/// What a permission lets a service do, after “may”.
pub(in crate::app) fn may(permission: Permission) -> &'static str {
    match permission {
        Permission::RequestAuthentication => "ask you to log in",
        Permission::RequestPayment => "ask for payments",
        Permission::SendMessages => "send you messages",
        Permission::StoreData => "store data with you",
        Permission::Call => "call you",
        Permission::RequestConsent => "ask for your consent",
        Permission::RequestSignature => "ask you to sign documents",
        Permission::RequestProof => "ask for proofs about you",
    }
}

/// Three lines of four groups of five digits.
fn grouped(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    let groups: Vec<String> = digits.chunks(5).map(|group| group.iter().collect()).collect();
    groups.chunks(4).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n")
}

/// The symbols with their names, for reading aloud.
fn symbols(indices: &[u8]) -> String {
    let named = indices.iter().map(|index| match SYMBOLS.get(usize::from(*index)) {
        Some((name, sign)) => format!("{sign} {name}"),
        None => "?".to_owned(),
    });
    named.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safety_number_is_grouped_for_reading() {
        let number = "01234 ".repeat(12);
        let line = "01234 01234 01234 01234";
        assert_eq!(grouped(&number), [line; 3].join("\n"));
    }

    #[test]
    fn symbols_have_names() {
        assert_eq!(symbols(&[0, 63]), "🍎 apple  ☂️ umbrella");
        assert_eq!(symbols(&[64]), "?");
    }
}
