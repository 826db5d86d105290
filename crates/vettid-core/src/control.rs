//! Control commands of services to hosts and vaults (spec 2.15): how one is made, and what a receiver checks before it
//! acts. Pure: keys, time and what was received before are arguments. Nothing unsigned, late, repeated with other
//! bytes, out of order or meant for somebody else is ever carried out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use vettid_crypto::identity::{Signature, SigningKey, VerifyingKey};
use vettid_crypto::kdf::h256;
use vettid_crypto::signature::{self, Context, SignatureError, Verified};
use vettid_wire::base64::Base64;
use vettid_wire::control::{Approval, ControlCommand, ControlResult, MAX_LIFE_MS, MAX_SKEW_MS, Target};
use vettid_wire::digest::Digest;
use vettid_wire::event::EventType;
use vettid_wire::id::{EventId, HostId, KeyId, MemberId};
use vettid_wire::json;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Makes a host create a vault and its keys.
pub const VAULT_DEPLOY: &str = "vault.deploy";
/// Makes a vault show an enrolment code.
pub const VAULT_ENROLL: &str = "vault.enroll";

/// Makes a vault show an enrolment code for a device that brought the recovery phrase. The device gains nothing by it until it
/// proves the member's password.
pub const VAULT_RECOVER: &str = "vault.recover";
/// Hands a vault what the old device said about a recovery. The vault looks at the old device's own signature.
pub const VAULT_RECOVERY_DECIDE: &str = "vault.recovery.decide";

/// A disruptive command needs approvals of so many further keys.
pub const APPROVALS: usize = 2;

/// How much authority a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Looks only: one signature.
    Observe,
    /// Runs the place: one signature.
    Operate,
    /// Stops everybody: one signature and [`APPROVALS`] approvals.
    Disruptive,
    /// What the member may always ask for and what fails safe: one signature.
    MembersOwn,
    /// Only with the member's own signature. A command cannot carry one yet, so these are refused.
    MemberAuthority,
}

/// The class of a command; `None` means there is no such command.
#[must_use]
pub fn class_of(command: &EventType, target: &Target) -> Option<Class> {
    match command.as_str() {
        "health.request" | "metrics.request" => Some(Class::Observe),
        VAULT_DEPLOY | VAULT_ENROLL | VAULT_RECOVER | VAULT_RECOVERY_DECIDE => Some(Class::Operate),
        "handlers.reload" | "backup.request" | "host.drain" => Some(Class::Operate),
        "host.restart" | "host.shutdown" if *target == Target::Global => Some(Class::Disruptive),
        "host.restart" | "host.shutdown" => Some(Class::Operate),
        "session.invalidate" | "vault.suspend" => Some(Class::MembersOwn),
        "key.rotate" | "vault.restore" | "vault.resume" | "vault.terminate" => Some(Class::MemberAuthority),
        _ => None,
    }
}

/// What shall be done.
#[derive(Debug, Clone)]
pub struct Order {
    /// The command.
    pub command: EventType,
    /// Whom it is for.
    pub target: Target,
    /// Its parameters.
    pub params: Value,
    /// Who gives it, for the audit.
    pub issued_by: String,
    /// How long it counts, in milliseconds; at most [`MAX_LIFE_MS`] are given.
    pub life_ms: i64,
}

/// A signed command. `sequence` must rise for each key and target, in the order of sending.
///
/// # Errors
/// [`SignatureError`] if the parameters cannot be signed.
pub fn issue(
    order: Order,
    command_id: EventId,
    sequence: u64,
    now: Timestamp,
    key: &SigningKey,
) -> Result<ControlCommand, SignatureError> {
    let command = ControlCommand {
        command_id,
        command: order.command,
        target: order.target,
        params: order.params,
        issued_at: now,
        issued_by: order.issued_by,
        expires_at: now.plus_ms(order.life_ms.clamp(0, MAX_LIFE_MS)),
        key_id: key.key_id(),
        sequence,
        approvals: Vec::new(),
        signature: Base64::default(),
    };
    signed(command, key)
}

/// The command with approvals, signed again by its issuer.
///
/// # Errors
/// [`SignatureError`] if this is not the key of the issuer.
pub fn with_approvals(
    command: ControlCommand,
    approvals: Vec<Approval>,
    key: &SigningKey,
) -> Result<ControlCommand, SignatureError> {
    signed(ControlCommand { approvals, ..command }, key)
}

fn signed(command: ControlCommand, key: &SigningKey) -> Result<ControlCommand, SignatureError> {
    let signature = signature::sign(Context::Control, key, &command)?;
    Ok(ControlCommand { signature, ..command })
}

/// Another key's approval of a command.
///
/// # Errors
/// [`SignatureError`] if the parameters cannot be signed.
pub fn approve(command: &ControlCommand, key: &SigningKey) -> Result<Approval, SignatureError> {
    let signature = signature::sign_detached(Context::Control, key, &unapproved(command))?;
    Ok(Approval { key_id: key.key_id(), signature: signature.to_base64() })
}

fn unapproved(command: &ControlCommand) -> ControlCommand {
    ControlCommand { approvals: Vec::new(), ..command.clone() }
}

/// Where a command is sent.
#[must_use]
pub fn subject_of(command: &ControlCommand) -> Subject {
    let name = command.command.clone();
    match &command.target {
        Target::Global => Subject::ControlGlobal(name),
        Target::Enclave(host) => Subject::ControlEnclave(host.clone(), name),
        Target::User(guid) => Subject::ControlUser(*guid, name),
    }
}

/// A key that may sign commands, and of which classes.
#[derive(Debug, Clone)]
pub struct ControlKey {
    /// The key.
    pub key: VerifyingKey,
    /// Its classes; none means none.
    pub classes: Vec<Class>,
}

impl ControlKey {
    /// The key of services, as a host learns it when it joins: everything that needs no second person.
    #[must_use]
    pub fn of_services(key: VerifyingKey) -> Self {
        Self { key, classes: vec![Class::Observe, Class::Operate, Class::MembersOwn] }
    }
}

/// A host that receives commands.
pub struct Receiver<'a> {
    /// Its name.
    pub host: &'a HostId,
    /// Whether it runs this member's vault.
    pub holds: &'a (dyn Fn(MemberId) -> bool + Sync),
    /// The keys it takes commands from.
    pub keys: &'a [ControlKey],
}

/// What was carried out before. The receiver stores it in the commit of the act.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlJournal {
    /// Highest sequence by key and target.
    sequences: BTreeMap<KeyId, BTreeMap<String, u64>>,
    /// Results, until their commands could not be repeated any more.
    results: BTreeMap<EventId, Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    command_hash: Digest,
    until: Timestamp,
    result: ControlResult,
}

/// What to do about a received command.
#[derive(Debug)]
pub enum Received {
    /// Carry it out, then store [`ControlJournal::done`], then answer.
    Execute(Box<Verified<ControlCommand>>),
    /// It was carried out before: this was the answer.
    Repeat(ControlResult),
    /// For a vault that runs elsewhere: answer `not_holding_user` and store nothing.
    NotHeld(EventId),
}

/// Why a command is not carried out. The sender learns nothing but that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not VJSON, or not a command.
    #[error("malformed")]
    Malformed,
    /// Signed by no key of ours, or not at all.
    #[error("not signed by a control key")]
    NotGenuine,
    /// Came on the subject of another command or target, or is for another host.
    #[error("meant for somebody else")]
    WrongTarget,
    /// No such command, or the key or the approvals do not suffice for its class.
    #[error("without the authority that it needs")]
    NoAuthority,
    /// Lives too long, is not due yet, or is too late.
    #[error("outside its time")]
    OutOfTime,
    /// The command id came before with other content.
    #[error("command id with other content")]
    Reused,
    /// A later command of this key for this target was carried out before.
    #[error("out of sequence")]
    OutOfSequence,
}

impl Receiver<'_> {
    /// Checks a command as it came on `subject`. Commands are taken one at a time, each with the journal that the one
    /// before left.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn receive(
        &self,
        now: Timestamp,
        journal: &ControlJournal,
        subject: &Subject,
        bytes: &[u8],
    ) -> Result<Received, Refused> {
        let verified = self.open(bytes)?;
        let command = verified.get();
        if subject_of(command) != *subject || !self.is_meant(&command.target) {
            return Err(Refused::WrongTarget);
        }
        self.authorise(command)?;
        in_time(command, now)?;
        if let Some(kept) = journal.results.get(&command.command_id) {
            let same = kept.command_hash == hash(command)?;
            return if same { Ok(Received::Repeat(kept.result.clone())) } else { Err(Refused::Reused) };
        }
        if command.sequence <= journal.highest(command) {
            return Err(Refused::OutOfSequence);
        }
        match command.target {
            Target::User(guid) if !(self.holds)(guid) => Ok(Received::NotHeld(command.command_id)),
            _ => Ok(Received::Execute(Box::new(verified))),
        }
    }

    fn open(&self, bytes: &[u8]) -> Result<Verified<ControlCommand>, Refused> {
        let received = json::parse(bytes).map_err(|_| Refused::Malformed)?;
        let named = received.get("key_id").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let key = named.and_then(|key_id| self.find(&key_id)).ok_or(Refused::NotGenuine)?;
        signature::open(Context::Control, &key.key, received).map_err(|error| match error {
            SignatureError::Shape(_) => Refused::Malformed,
            _ => Refused::NotGenuine,
        })
    }

    fn find(&self, key_id: &KeyId) -> Option<&ControlKey> {
        self.keys.iter().find(|candidate| candidate.key.key_id() == *key_id)
    }

    fn is_meant(&self, target: &Target) -> bool {
        match target {
            Target::Enclave(host) => host == self.host,
            Target::Global | Target::User(_) => true,
        }
    }

    fn authorise(&self, command: &ControlCommand) -> Result<(), Refused> {
        let class = class_of(&command.command, &command.target).ok_or(Refused::NoAuthority)?;
        let signer = self.find(&command.key_id).ok_or(Refused::NotGenuine)?;
        let approved = match class {
            Class::Observe | Class::Operate | Class::MembersOwn => true,
            Class::Disruptive => self.approvers(command, class) >= APPROVALS,
            Class::MemberAuthority => false,
        };
        if approved && signer.classes.contains(&class) { Ok(()) } else { Err(Refused::NoAuthority) }
    }

    /// How many further keys approved it.
    fn approvers(&self, command: &ControlCommand, class: Class) -> usize {
        let plain = unapproved(command);
        let genuine = |approval: &&Approval| {
            let key = self.find(&approval.key_id).filter(|key| key.classes.contains(&class));
            let signature = Signature::from_base64(&approval.signature).ok();
            key.zip(signature).is_some_and(|(key, signature)| {
                signature::verify_detached(Context::Control, &key.key, &plain, &signature).is_ok()
            })
        };
        let others = command.approvals.iter().filter(|approval| approval.key_id != command.key_id);
        others.filter(genuine).map(|approval| &approval.key_id).collect::<HashSet<_>>().len()
    }
}

fn in_time(command: &ControlCommand, now: Timestamp) -> Result<(), Refused> {
    let life_ms = command.expires_at.since_ms(command.issued_at);
    let due = now.since_ms(command.issued_at) >= -MAX_SKEW_MS;
    let late = now.since_ms(command.expires_at) > MAX_SKEW_MS;
    if (0..=MAX_LIFE_MS).contains(&life_ms) && due && !late { Ok(()) } else { Err(Refused::OutOfTime) }
}

fn hash(command: &ControlCommand) -> Result<Digest, Refused> {
    let canonical = json::canonical(command).map_err(|_| Refused::Malformed)?;
    Ok(Digest::from_bytes(h256(&canonical)))
}

impl ControlJournal {
    /// The journal after `command` was carried out at `now` with this result.
    ///
    /// # Errors
    /// [`Refused::Malformed`] if the command has no canonical form, which a verified one has.
    pub fn done(
        &self,
        command: &Verified<ControlCommand>,
        result: ControlResult,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let command = command.get();
        let mut next = self.clone();
        next.results.retain(|_, kept| kept.until >= now);
        let until = command.expires_at.plus_ms(MAX_SKEW_MS);
        next.results.insert(command.command_id, Kept { command_hash: hash(command)?, until, result });
        let highest =
            next.sequences.entry(command.key_id.clone()).or_default().entry(name(&command.target)).or_default();
        *highest = command.sequence.max(*highest);
        Ok(next)
    }

    fn highest(&self, command: &ControlCommand) -> u64 {
        let of_key = self.sequences.get(&command.key_id);
        of_key.and_then(|targets| targets.get(&name(&command.target))).copied().unwrap_or(0)
    }
}

fn name(target: &Target) -> String {
    match target {
        Target::Global => "global".to_owned(),
        Target::Enclave(host) => format!("enclave/{host}"),
        Target::User(guid) => format!("user/{guid}"),
    }
}

#[cfg(test)]
mod tests;
