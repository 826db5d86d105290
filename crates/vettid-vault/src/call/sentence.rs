//! How calls are told to the owner.

use vettid_core::call::{Ended, Phase, Unheard};
use vettid_wire::call::EndReason;
use vettid_wire::feed::Severity;
use vettid_wire::time::Timestamp;

/// A call that did not ring.
pub(super) fn missed(name: &str, why: Unheard, placed_at: Timestamp) -> String {
    match why {
        Unheard::Busy => format!("You missed a call of {name} while you were in another call"),
        Unheard::Late => format!("You missed a call of {name} at {placed_at}: your vault could not be reached"),
        Unheard::Quiet => format!("{name} called, and it did not ring, as you have set it"),
    }
}

/// How a call ended.
pub(super) fn ended(name: &str, ended: &Ended, lasted_ms: Option<i64>) -> (Severity, String) {
    let call = &ended.call;
    let was_missed = call.phase == Phase::Ringing && ended.reason != EndReason::Declined;
    match (lasted_ms, call.is_outgoing) {
        (Some(ms), true) => (Severity::Info, format!("You talked to {name}, whom you called, for {}", length(ms))),
        (Some(ms), false) => (Severity::Info, format!("You talked to {name}, who called you, for {}", length(ms))),
        (None, true) => (Severity::Info, format!("Your call to {name} {}", of_outgoing(ended))),
        (None, false) if was_missed && ended.reason != EndReason::Crossed => {
            (Severity::Notice, format!("You missed a call of {name}"))
        }
        (None, false) => (Severity::Info, format!("The call of {name} {}", of_incoming(ended.reason))),
    }
}

fn of_outgoing(ended: &Ended) -> &'static str {
    match ended.reason {
        EndReason::HungUp if ended.by_peer => "was ended there",
        EndReason::HungUp => "was ended by you before it was answered",
        EndReason::Declined => "was declined",
        EndReason::Busy => "found the line busy",
        EndReason::TimedOut => "was not answered",
        EndReason::NotReachable => "did not reach anybody",
        EndReason::Crossed => "crossed a call from there",
        EndReason::Failed => "failed",
        EndReason::Revoked => "ended with the connection",
    }
}

fn of_incoming(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Declined => "was declined by you",
        EndReason::Crossed => "crossed your own",
        EndReason::Revoked => "ended with the connection",
        EndReason::HungUp | EndReason::Busy | EndReason::TimedOut | EndReason::NotReachable | EndReason::Failed => {
            "could not be connected"
        }
    }
}

/// A length of time in words.
fn length(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
