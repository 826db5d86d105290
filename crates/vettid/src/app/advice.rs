//! Turns what went wrong in the client into a sentence, an exit code and what to do next.

use crate::failure::{Exit, Failure};
use vettid_client::command::CommandError;
use vettid_client::enrolment::EnrolmentError;
use vettid_client::export::ExportFailure;
use vettid_client::handshake::HandshakeError;
use vettid_client::lock::LockError;
use vettid_client::services::ServicesError;
use vettid_client::store::StoreError;
use vettid_client::transport::TransportError;
use vettid_wire::handshake::InvalidInvitation;
use vettid_wire::refusal::RefusalCode;

const ENROL: &str = "make a new code in the portal, then: vettid app enroll --code-file FILE";
const UNLOCK: &str = "unlock it: vettid app unlock";
const RESTORE: &str =
    "prove your password: vettid app session restore; without a Vault Credential, enrol this app again";
const AGAIN: &str = "run the same command again; it will not be carried out twice";

/// A command that did not succeed.
pub(super) fn command(error: CommandError) -> Failure {
    let text = error.to_string();
    let failure = |exit| Failure::new(exit, &text);
    match error {
        CommandError::NotEnrolled | CommandError::EnrolmentUnfinished => failure(Exit::State).next(ENROL),
        CommandError::Store(error) => store(&error),
        CommandError::Transport(error) => transport(&error),
        CommandError::CredentialDead { .. } => failure(Exit::Refused).next(format!(
            "check the clock of this machine; if it is right, enrol this app again with --replace: {ENROL}"
        )),
        CommandError::Services(error) => way_back(&error, text),
        CommandError::Credential(_) => {
            failure(Exit::Refused).next(format!("enrol this app again with --replace: {ENROL}"))
        }
        CommandError::NoAnswer { has_effect: true, .. } => failure(Exit::Unreachable).next(AGAIN),
        CommandError::NoAnswer { has_effect: false, .. } => failure(Exit::Unreachable).next("try again in a moment"),
        CommandError::Refused { code, .. } => failure(Exit::Refused).next(refused(code)).refusal(code),
        CommandError::VaultLocked => failure(Exit::Refused).next(UNLOCK),
        CommandError::Recovering => {
            Failure::new(Exit::State, &error).next("finish it with your password: vettid app recovery restore")
        }
        CommandError::LimitedSession => failure(Exit::Refused).next(RESTORE),
        CommandError::WentBack(_) | CommandError::Handshake(HandshakeError::WrongVault) => {
            failure(Exit::Refused).next("do not use this vault; ask its operator what happened to it")
        }
        CommandError::Handshake(_) => {
            failure(Exit::Other).next(format!("if this goes on, enrol this app again: {ENROL}"))
        }
        CommandError::TooLarge { .. } | CommandError::Request(_) => failure(Exit::Usage),
        CommandError::Proof(_) => failure(Exit::Other),
        CommandError::Answer { .. } | CommandError::Channel(_) => failure(Exit::Other).next("update this program"),
    }
}

/// Locking that did not succeed.
pub(super) fn lock_now(error: CommandError) -> Failure {
    match error {
        CommandError::Refused { code: RefusalCode::NotAvailable, .. } => {
            Failure::new(Exit::Refused, "your vault has no lock yet").next("set one: vettid app lock setup")
        }
        CommandError::VaultLocked => Failure::new(Exit::Refused, "your vault is locked already").next(UNLOCK),
        error => command(error),
    }
}

/// A lock that was not set or opened.
pub(super) fn lock(error: LockError) -> Failure {
    let text = error.to_string();
    let failure = |exit| Failure::new(exit, &text);
    match error {
        LockError::Command(error) => command(error),
        LockError::NoLock => failure(Exit::Refused).next("set one: vettid app lock setup"),
        LockError::Wrong { pin_tries_left: 0, .. } => {
            failure(Exit::Refused).next("only the password unlocks it now: vettid app unlock --password")
        }
        LockError::Wrong { pin_tries_left, .. } => failure(Exit::Refused)
            .next(format!("try again; {pin_tries_left} PINs are left before only the password opens")),
        LockError::PasswordRequired => failure(Exit::Refused).next("vettid app unlock --password"),
        LockError::Wait { .. } => failure(Exit::Refused).next("wait, then try again"),
        LockError::CurrentNeeded => failure(Exit::Usage).next("run the command again and give the present PIN first"),
        LockError::NotTaken => failure(Exit::Refused).next("run the command again; a lock is set within two minutes"),
        LockError::Unavailable | LockError::NoAnswer => {
            failure(Exit::Unreachable).next("see how it stands: vettid app lock status")
        }
        LockError::WrongHost | LockError::WentBack { .. } => {
            failure(Exit::Refused).next("do not type your password; ask the operator what happened to your vault")
        }
        LockError::Memory(_) => failure(Exit::Other).next("close other programs, then try again"),
    }
}

/// Services that cannot be asked for the way back to the vault.
fn way_back(error: &ServicesError, text: String) -> Failure {
    match error {
        ServicesError::Unreachable(_) => {
            Failure::new(Exit::Unreachable, text).next("check the network, then try again")
        }
        ServicesError::Refused { .. } | ServicesError::OnHold => {
            Failure::new(Exit::Refused, text).next("wait a minute, then try again")
        }
        ServicesError::Unreadable(_) => Failure::new(Exit::Other, text).next("update this program"),
    }
}

/// An enrolment that did not succeed.
pub(super) fn enrolment(error: EnrolmentError) -> Failure {
    let text = error.to_string();
    let failure = |exit| Failure::new(exit, &text);
    match error {
        EnrolmentError::Invitation(error) => invitation(error),
        EnrolmentError::WrongKind => failure(Exit::Usage).next("to answer an invitation: vettid app connection accept"),
        EnrolmentError::Expired { .. } => failure(Exit::Refused).next(ENROL),
        EnrolmentError::AlreadyEnrolled => {
            failure(Exit::Usage).next("use another --profile, or add --replace to forget the present app")
        }
        EnrolmentError::NoTrust => {
            failure(Exit::Usage).next("add --ca-file FILE with the certificate of your operator")
        }
        EnrolmentError::Store(error) => store(&error),
        EnrolmentError::Transport(error) => transport(&error),
        EnrolmentError::Services { source: ServicesError::Refused { .. } | ServicesError::OnHold, .. } => {
            failure(Exit::Refused).next(ENROL)
        }
        EnrolmentError::Services { source: ServicesError::Unreachable(_), .. } => {
            failure(Exit::Unreachable).next("check --ca-file and the network, then run the same command again")
        }
        EnrolmentError::Services { source: ServicesError::Unreadable(_), .. } => {
            failure(Exit::Other).next("update this program")
        }
        EnrolmentError::NoAnswer => {
            failure(Exit::Unreachable).next("run the same command again; it goes on where it stopped")
        }
        EnrolmentError::Handshake(_) => failure(Exit::Other).next(ENROL),
        EnrolmentError::WrongVault | EnrolmentError::OtherMember => {
            failure(Exit::Refused).next("do not trust this code; get a new one from your own portal or appliance")
        }
        EnrolmentError::Credential(_) => failure(Exit::Refused).next(ENROL),
        EnrolmentError::Identity(_) | EnrolmentError::Proof(_) => failure(Exit::Other),
        EnrolmentError::First(error) => command(error),
    }
}

/// An audit export that did not arrive whole.
pub(super) fn export(error: ExportFailure) -> Failure {
    match error {
        ExportFailure::Command(error) => command(error),
        ExportFailure::Moved => Failure::new(Exit::Other, error).next("run the same command again"),
        ExportFailure::Broken(_) => {
            Failure::new(Exit::Refused, error).next("do not use this vault; ask its operator what happened to it")
        }
        ExportFailure::Form(_) => Failure::new(Exit::Other, error),
    }
}

/// A text that is no invitation.
pub(super) fn invitation(error: InvalidInvitation) -> Failure {
    Failure::usage(error).next("copy the whole text or link, without line breaks")
}

pub(super) fn store(error: &StoreError) -> Failure {
    let failure = Failure::new(Exit::State, error);
    match error {
        StoreError::Busy => Failure::new(Exit::Other, error).next("wait until it is done"),
        StoreError::ExposedKey { path, .. } => failure.next(format!("chmod 600 {}", path.display())),
        StoreError::MissingKey { .. } | StoreError::InvalidKey { .. } => {
            failure.next("put the right key file back, or enrol this app again with --replace")
        }
        StoreError::Sealed { .. } | StoreError::Form(_) => {
            failure.next("restore the folder, or enrol this app again with --replace")
        }
        StoreError::Version { .. } => failure.next("use the version of this program that wrote it, or a newer one"),
        StoreError::Io { .. } | StoreError::NotKept => failure.next("check the folder of --state and its disk"),
    }
}

fn transport(error: &TransportError) -> Failure {
    match error {
        TransportError::NotAuthorized(_) => {
            Failure::new(Exit::Refused, error).next(format!("if this goes on: {ENROL}"))
        }
        TransportError::Unreachable(_) => {
            Failure::new(Exit::Unreachable, error).next("check the network, then try again")
        }
        TransportError::Lost(_) => Failure::new(Exit::Unreachable, error).next(AGAIN),
    }
}

fn refused(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::UnsupportedEvent => "your vault is older than this program; ask its operator to update it",
        RefusalCode::InvalidRequest => "check the command and its input",
        RefusalCode::NotAllowed | RefusalCode::Denied => "this is not possible now; see: vettid app connection list",
        RefusalCode::NotConnected => "see which connections are active: vettid app connection list",
        RefusalCode::NotInContract | RefusalCode::ContractMismatch => {
            "look at the contract: vettid app connection review ID"
        }
        RefusalCode::ContractFrozen => "decide about the new version first: vettid app contract show SERVICE",
        RefusalCode::RateLimited => "wait a minute, then try again",
        RefusalCode::Expired => {
            "it is over: ask for a new one (and check the clock of this machine if that is new, too)"
        }
        RefusalCode::Spent => "the service has had it; look: vettid app feed list",
        RefusalCode::RetentionTooLong => {
            "the service wants to keep it longer than its contract says: look at the contract"
        }
        RefusalCode::NotAvailable => "store a value first: vettid app data set FIELD",
        RefusalCode::NotFound => "check the name or id; lists show what there is",
        RefusalCode::Conflict => "run the command again with the same input as before",
        RefusalCode::Locked => "unlock the vault first",
        RefusalCode::OnHold => "this device recovered, so this waits; see: vettid app credential status",
        RefusalCode::NoRoom => "make room: remove messages with files that you do not need any more",
        RefusalCode::Unavailable => AGAIN,
    }
}
