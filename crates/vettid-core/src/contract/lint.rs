//! What a machine can say about a contract before anybody is asked to accept it: what makes it unusable, and what members will
//! not like. Says where, and never mends anything.

mod storage;

use serde::Serialize;
use std::collections::HashSet;
use vettid_wire::agreement::is_visible;
use vettid_wire::authorisation::DATE_OF_BIRTH;
use vettid_wire::contract::{
    Access, Contract, ContractField, MAX_FIELDS, MAX_NOTIFICATIONS_PER_HOUR, Permission, Rate, Retention, Tier,
};
use vettid_wire::data::is_field_name;
use vettid_wire::offer::MAX_CONTRACT_BYTES;

/// Longest text of a contract in bytes.
const MAX_TEXT_BYTES: usize = 500;
/// A purpose below this says nothing, in characters.
const SHORT_CHARS: usize = 12;
/// More required fields than that drive members away.
const MANY_REQUIRED: usize = 8;
/// More messages in an hour than that make members mute a service.
const MANY_NOTIFICATIONS: u32 = 6;
/// Longer than that is as good as for ever, in days.
const LONG_DAYS: u32 = 3650;
/// More than this in a second is no reading by people's wish.
const FAST_PER_SECOND: u64 = 10;

/// Parts of names of what nobody but its owner may have.
const SECRET: &[&str] =
    &["password", "passphrase", "pin_code", "seed_phrase", "private_key", "secret", "recovery_phrase", "cvv", "otp"];
/// Parts of names of what does harm in wrong hands.
const CRITICAL: &[&str] = &[
    "ssn",
    "social_security",
    "tax_id",
    "passport",
    "national_id",
    "id_card",
    "driver_licence",
    "driver_license",
    "iban",
    "account_number",
    "card_number",
    "health",
    "medical",
    "diagnosis",
    "disability",
    "genetic",
    "biometric",
    "fingerprint",
    "religion",
    "ethnic",
    "race",
    "political",
    "union_membership",
    "sexual",
    "criminal",
    "income",
    "salary",
];
/// Purposes that say nothing, in lower case.
const VAGUE: &[&str] = &[
    "marketing purposes",
    "business purposes",
    "internal purposes",
    "various purposes",
    "any purpose",
    "to improve our service",
    "to improve our services",
    "improve user experience",
    "as needed",
    "if needed",
    "for our records",
    "general use",
    "analytics",
    "service provision",
    "to provide our service",
    "to provide the service",
];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It cannot be published.
    Error,
    /// Members will see it and may say no.
    Warning,
}

/// What is wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A name outside the grammar.
    Name,
    /// Something stands twice.
    Twice,
    /// A number that must be at least one is zero.
    Zero,
    /// Too many fields, or too many bytes.
    TooLarge,
    /// It asks for nothing.
    Empty,
    /// A text is missing.
    Missing,
    /// A text is too short to say something.
    Short,
    /// A text says nothing.
    Vague,
    /// A text hides something, or is too long to be read.
    Misleading,
    /// Not an `https` address.
    Address,
    /// It asks for what nobody but its owner may have.
    Secret,
    /// It asks for more than it seems to need.
    OverAsking,
    /// It keeps something longer than it seems to need.
    Retention,
    /// A rate that nobody needs, or that has no effect.
    Rate,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub fault: Fault,
    /// Where: a JSON pointer, such as `/fields/2/purpose`.
    pub place: String,
    /// The field, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// In words.
    pub message: String,
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, fault: Fault, place: &str, message: impl Into<String>) {
        self.0.push(Finding { severity, fault, place: place.to_owned(), field: None, message: message.into() });
    }

    fn error(&mut self, fault: Fault, place: &str, message: impl Into<String>) {
        self.add(Severity::Error, fault, place, message);
    }

    fn warning(&mut self, fault: Fault, place: &str, message: impl Into<String>) {
        self.add(Severity::Warning, fault, place, message);
    }
}

/// Everything that is to be said, errors first, then by place.
#[must_use]
pub fn lint(contract: &Contract) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    whole(contract, &mut findings);
    let mut names = HashSet::new();
    for (index, field) in contract.fields.iter().enumerate() {
        let first = findings.0.len();
        let place = format!("/fields/{index}");
        if !names.insert(&field.field) {
            findings.error(Fault::Twice, &format!("{place}/field"), "the field stands twice");
        }
        of_field(contract, field, &place, &mut findings);
        findings.0.iter_mut().skip(first).for_each(|finding| finding.field = Some(field.field.clone()));
    }
    findings.0.sort_by_key(|finding| finding.severity);
    findings.0
}

/// Whether it may be published.
#[must_use]
pub fn is_sound(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity != Severity::Error)
}

fn whole(contract: &Contract, findings: &mut Findings) {
    if contract.contract_version == 0 {
        findings.error(Fault::Zero, "/contract_version", "versions count from 1");
    }
    if contract.fields.len() > MAX_FIELDS {
        findings.error(Fault::TooLarge, "/fields", format!("more than {MAX_FIELDS} fields"));
    }
    let bytes = contract.canonical().map_or(usize::MAX, |bytes| bytes.len());
    if bytes > MAX_CONTRACT_BYTES {
        findings.error(Fault::TooLarge, "", format!("more than {MAX_CONTRACT_BYTES} bytes in canonical form"));
    }
    if contract.fields.is_empty() && contract.permissions.is_empty() {
        findings.error(Fault::Empty, "/fields", "it asks for nothing");
    }
    sentence(&contract.description, "/description", findings);
    for (place, address) in [("/terms_url", &contract.terms_url), ("/privacy_url", &contract.privacy_url)] {
        if !is_page(address) {
            findings.error(Fault::Address, place, "an https address of a page is needed");
        }
    }
    for (index, permission) in contract.permissions.iter().enumerate() {
        if contract.permissions.iter().take(index).any(|other| other == permission) {
            findings.error(Fault::Twice, &format!("/permissions/{index}"), "the permission stands twice");
        }
    }
    let required = contract.fields.iter().filter(|field| field.tier == Tier::Required).count();
    if required > MANY_REQUIRED {
        findings.warning(Fault::OverAsking, "/fields", format!("{required} fields are required to connect at all"));
    }
    let all = [Permission::Call, Permission::RequestPayment, Permission::SendMessages, Permission::StoreData];
    if all.iter().all(|permission| contract.permissions.contains(permission)) {
        findings.warning(Fault::OverAsking, "/permissions", "it asks for every permission there is");
    }
    of_permissions(contract, findings);
    of_notifications(contract, findings);
    of_rate(contract.rate, "/rate", findings);
    storage::lint(contract, findings);
}

/// What a permission is agreed to for, and cannot do.
fn of_permissions(contract: &Contract, findings: &mut Findings) {
    let place = |wanted| contract.permissions.iter().position(|permission| *permission == wanted);
    if let Some(index) = place(Permission::Call) {
        let said = "services cannot call their members: it asks for something that it cannot use";
        findings.warning(Fault::OverAsking, &format!("/permissions/{index}"), said);
    }
    let is_provable =
        |field: &ContractField| field.field == DATE_OF_BIRTH || field.retention == Retention::UntilRevoked;
    if let Some(index) = place(Permission::RequestProof).filter(|_| !contract.fields.iter().any(is_provable)) {
        let said = "nothing can be proved: an age needs the field date_of_birth, and any other field has to be kept as long as the record, \
                    until_revoked";
        findings.warning(Fault::Retention, &format!("/permissions/{index}"), said);
    }
}

/// Messages need the permission and a number, and few of them in an hour.
fn of_notifications(contract: &Contract, findings: &mut Findings) {
    let place = "/notifications_per_hour";
    let may_send = contract.permissions.contains(&Permission::SendMessages);
    match contract.notifications_per_hour {
        None if may_send => findings.warning(
            Fault::Missing,
            place,
            "it may send messages, but none in an hour: say how many, or leave the permission out",
        ),
        None => {}
        Some(0) => findings.error(Fault::Zero, place, "at least one in an hour, or none at all"),
        Some(number) if number > MAX_NOTIFICATIONS_PER_HOUR => {
            findings.error(Fault::TooLarge, place, format!("more than {MAX_NOTIFICATIONS_PER_HOUR} in an hour"));
        }
        Some(_) if !may_send => {
            findings.warning(Fault::Rate, place, "it has no effect: the permission send_messages is missing");
        }
        Some(number) if number > MANY_NOTIFICATIONS => {
            findings.warning(Fault::OverAsking, place, format!("{number} messages in an hour are many"));
        }
        Some(_) => {}
    }
}

fn of_field(contract: &Contract, field: &ContractField, place: &str, findings: &mut Findings) {
    let at = |part: &str| format!("{place}/{part}");
    if !is_field_name(&field.field) {
        findings.error(Fault::Name, &at("field"), "a name is 1 to 64 of a-z, 0-9 and _");
    }
    sentence(&field.purpose, &at("purpose"), findings);
    let names = |parts: &[&str]| parts.iter().any(|part| holds_word(&field.field, part));
    if names(SECRET) {
        findings.error(Fault::Secret, &at("field"), "nobody but its owner may have such a secret");
    }
    let is_critical = names(CRITICAL);
    if is_critical && field.tier == Tier::Required {
        let message = "it is critical and required to connect: ask when it is needed (tier consent)";
        findings.warning(Fault::OverAsking, &at("tier"), message);
    } else if is_critical && field.tier == Tier::OnDemand && field.access == Access::OnDemand {
        findings.warning(
            Fault::OverAsking,
            &at("tier"),
            "it is critical and read without asking: use consent, or access one_time",
        );
    }
    match field.retention {
        Retention::TimeLimited { days: 0 } => findings.error(Fault::Zero, &at("retention"), "days count from 1"),
        Retention::TimeLimited { days } if days > LONG_DAYS => {
            findings.warning(Fault::Retention, &at("retention"), format!("{days} days are as good as for ever"));
        }
        Retention::UntilRevoked if is_critical => {
            findings.warning(
                Fault::Retention,
                &at("retention"),
                "it is critical and kept until the end: say for how many days",
            );
        }
        Retention::UntilRevoked if field.tier == Tier::Consent || field.access == Access::OneTime => {
            let message = "it is asked for now and then, and yet kept until the end: say for how many days";
            findings.warning(Fault::Retention, &at("retention"), message);
        }
        Retention::UntilRevoked => {
            findings.warning(
                Fault::Retention,
                &at("retention"),
                "it is kept until the end: say for how many days, if you can",
            );
        }
        _ => {}
    }
    let Some(rate) = field.rate else { return };
    of_rate(rate, &at("rate"), findings);
    let slower = |a: Rate, b: Rate| {
        u64::from(a.count) * u64::from(b.per_seconds) <= u64::from(b.count) * u64::from(a.per_seconds)
    };
    if slower(contract.rate, rate) && contract.rate.count <= rate.count && rate.per_seconds != 0 {
        findings.warning(Fault::Rate, &at("rate"), "it has no effect: the contract's own rate is not higher");
    }
}

fn of_rate(rate: Rate, place: &str, findings: &mut Findings) {
    if rate.count == 0 || rate.per_seconds == 0 {
        findings.error(Fault::Zero, place, "count and per_seconds count from 1");
    } else if u64::from(rate.count) > FAST_PER_SECOND * u64::from(rate.per_seconds) {
        findings.warning(Fault::Rate, place, format!("more than {FAST_PER_SECOND} in a second"));
    } else if rate.per_seconds > 366 * 86_400 {
        findings.warning(Fault::Rate, place, "longer than a year");
    }
}

/// A text that a member reads before agreeing.
fn sentence(text: &str, place: &str, findings: &mut Findings) {
    let trimmed = text.trim();
    let plain = trimmed.to_lowercase();
    let plain = plain.trim_start_matches("for ").trim_end_matches('.');
    if trimmed.is_empty() {
        findings.error(Fault::Missing, place, "nothing is said");
    } else if !is_visible(text, MAX_TEXT_BYTES) || text.split_whitespace().any(mixes_scripts) {
        let message = format!(
            "it is longer than {MAX_TEXT_BYTES} bytes, or has characters that hide or reorder something or look like others"
        );
        findings.error(Fault::Misleading, place, message);
    } else if VAGUE.contains(&plain) {
        findings.warning(Fault::Vague, place, "nobody can tell from it what is done: say it concretely");
    } else if trimmed.chars().count() < SHORT_CHARS {
        findings.warning(Fault::Short, place, "too short to say what for");
    }
}

/// Latin letters and ones that look like them in one word.
fn mixes_scripts(word: &str) -> bool {
    let is_lookalike = |character| matches!(character, '\u{370}'..='\u{52f}' | '\u{1f00}'..='\u{1fff}');
    word.chars().any(|character| character.is_ascii_alphabetic()) && word.chars().any(is_lookalike)
}

/// Whether a name holds a word, standing between `_` or the ends.
fn holds_word(name: &str, word: &str) -> bool {
    let framed = format!("_{name}_");
    framed.contains(&format!("_{word}_")) || (word.len() > 4 && name.starts_with(word))
}

fn is_page(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("https://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic());
    plain
        && !host.contains('@')
        && name.contains('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
}

#[cfg(test)]
mod tests;
