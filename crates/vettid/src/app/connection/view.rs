//! How a connection looks to its owner: who, how well known, what it asks, and what to type next.

use crate::output::{Page, Show, minute, printable};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde::{Serialize, Serializer};
use vettid_wire::connection::{
    ConnectionList, ConnectionState, ConnectionView, Invited, PeerKind, RotationReport, Verification,
};
use vettid_wire::contract::{Contract, Permission, Retention, Tier};
use vettid_wire::handshake::SYMBOLS;
use vettid_wire::id::ConnectionId;

/// Longest life in seconds of an invitation that is shown as a QR code.
const MAX_SCREEN_SECONDS: u32 = 600;

/// A new invitation.
pub(super) struct Fresh {
    invited: Invited,
    on_screen: bool,
}

impl Fresh {
    pub(super) fn new(invited: Invited, life_seconds: u32) -> Self {
        Self { invited, on_screen: life_seconds <= MAX_SCREEN_SECONDS }
    }
}

impl Serialize for Fresh {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.invited.serialize(serializer)
    }
}

impl Show for Fresh {
    fn show(&self, page: &mut Page) {
        if self.on_screen
            && let Ok(code) = QrCode::with_error_correction_level(&self.invited.link, EcLevel::L)
        {
            // Dark on light in most terminals, as scanners want it.
            let drawing = code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
            page.drawing(&drawing);
            page.gap();
        }
        page.line(&self.invited.link);
        page.gap();
        page.line(format!("Whoever holds this can answer it once, until {}.", minute(self.invited.expires_at)));
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
            page.line("No connections yet.");
            page.next("To invite somebody", "vettid app connection invite");
            return;
        }
        let rows: Vec<_> = self.connections.iter().map(row).collect();
        page.table(["NAME", "KIND", "STATE", "KNOWN", "ID"], &rows);
    }
}

fn row(view: &ConnectionView) -> [String; 5] {
    let known = if view.state == ConnectionState::Active { verification(view.verification) } else { "" };
    let name = name(view).to_owned();
    [name, kind(view.kind).to_owned(), state(view.state).to_owned(), known.to_owned(), view.connection_id.to_string()]
}

impl Show for ConnectionView {
    fn show(&self, page: &mut Page) {
        page.line(format!("{} ({}): {}", name(self), kind(self.kind), state(self.state)));
        page.field("id", self.connection_id.to_string());
        page.field("since", minute(self.created_at));
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
    }

    fn show_check(&self, page: &mut Page) {
        let ended =
            !matches!(self.state, ConnectionState::Review | ConnectionState::Accepted | ConnectionState::Active);
        if ended {
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

fn show_contract(contract: &Contract, missing: &[String], page: &mut Page) {
    page.gap();
    page.line(format!("Contract, version {}: {}", contract.contract_version, contract.description));
    let rows: Vec<_> = contract
        .fields
        .iter()
        .map(|field| {
            let held = if missing.contains(&field.field) { "not stored" } else { "" };
            [
                field.field.clone(),
                tier(field.tier).into(),
                retention(field.retention),
                field.purpose.clone(),
                held.into(),
            ]
        })
        .collect();
    page.table(["  FIELD", "WHEN", "KEPT", "WHAT FOR", ""], &rows.map_first(|field| format!("  {field}")));
    if !contract.permissions.is_empty() {
        let names: Vec<_> = contract.permissions.iter().map(|permission| may(*permission)).collect();
        page.field("may also", names.join(", "));
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
        ConnectionState::Revoked => "ended",
    }
}

fn verification(verification: Verification) -> &'static str {
    match verification {
        Verification::Verified => "verified",
        Verification::Unverified => "unverified",
    }
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Required => "always (required)",
        Tier::Optional => "if you agree (optional)",
        Tier::OnDemand => "while you store it",
        Tier::Consent => "asks you each time",
    }
}

fn retention(retention: Retention) -> String {
    match retention {
        Retention::Session => "for the session".to_owned(),
        Retention::TimeLimited { days } => crate::output::count(u64::from(days), "day"),
        Retention::UntilRevoked => "until you end it".to_owned(),
    }
}

fn may(permission: Permission) -> &'static str {
    match permission {
        Permission::RequestAuthentication => "ask you to log in",
        Permission::RequestPayment => "ask for payments",
        Permission::SendMessages => "send you messages",
        Permission::StoreData => "store data with you",
        Permission::Call => "call you",
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
