//! What the processes say to each other: length and JSON, over a socket that each child finds as its standard input.

use rustix::process::{Signal, getpid, kill_process};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// A message on the broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// One side of a durable step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Point {
    /// `app` or `vault`.
    pub(crate) side: Side,
    pub(crate) step: String,
    /// After the step; else before it.
    pub(crate) after: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    App,
    Vault,
}

/// Where a process ends itself: the n-th time that it passes a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kill {
    pub(crate) point: Point,
    pub(crate) nth: u32,
}

/// What a member does with the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    Enrol {
        code: String,
    },
    Create {
        password: String,
    },
    Add {
        label: String,
        value: String,
        password: String,
    },
    Reveal {
        label: String,
        password: String,
    },
    Rotate {
        label: String,
        value: String,
        password: String,
    },
    Remove {
        label: String,
        password: String,
    },
    Change {
        present: String,
        new: String,
    },
    Grant {
        label: String,
        password: String,
    },
    RevealGranted {
        label: String,
    },
    /// Looks how it stands, which finishes what was left open.
    State,
    /// Asks for transaction keys by hand.
    Replenish,
    /// Sends a creation whose payload nobody can open.
    Spoil,
    /// Sends a use of the package in this file, by hand, if its version is below this one.
    Thief {
        slot: String,
        password: String,
        below: u64,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Done(Option<String>),
    /// The password was wrong, says the vault.
    Wrong,
    Wait(u64),
    NoAnswer,
    /// The password was asked for, and there was none.
    Asked,
    Refused(String),
    /// How something by hand ended; of a use after its version.
    Status(String),
    /// Nothing of the above.
    Failed(String),
}

/// Told about an earlier command: its action, and whether it was carried out.
pub(crate) type Told = (String, bool);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToApp {
    Start {
        folder: String,
        now_ms: i64,
        kill: Option<Kill>,
    },
    /// Another point to die at, or none.
    Aim(Option<Kill>),
    Run {
        command: Command,
        advance_ms: i64,
    },
    Delivered(Vec<Mail>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromApp {
    Passed(Point),
    Publish { mail: Mail, now_ms: i64 },
    Ended { ended: Ended, told: Vec<Told>, now_ms: i64 },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToVault {
    Start {
        folder: String,
        now_ms: i64,
        boot: [u8; 16],
        kill: Option<Kill>,
    },
    /// Another point to die at, or none.
    Aim(Option<Kill>),
    Handle {
        mail: Mail,
        now_ms: i64,
    },
    Code,
    Report,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromVault {
    Passed(Point),
    /// The password of this operation is about to be looked at.
    Evaluates(String),
    Posts(Vec<Mail>),
    Code(String),
    Report(Report),
}

/// What the vault has committed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) floor: u64,
    pub(crate) attempts_total: u64,
    /// Label and uses of each secret.
    pub(crate) secrets: BTreeMap<String, u64>,
    /// Operation, action and outcome of each entry of the audit that names an operation.
    pub(crate) operations: Vec<(String, String, String)>,
}

pub(crate) fn send(mut stream: &UnixStream, frame: &impl Serialize) -> std::io::Result<()> {
    stream.write_all(&bytes_of(frame))
}

/// `None` if the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> Option<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes).ok()?;
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// The child's end of its socket.
pub(crate) fn parent() -> UnixStream {
    UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap())
}

/// Tells the driver of each point, and ends this process at the chosen one.
#[derive(Debug, Clone)]
pub(crate) struct Killer {
    parent: Arc<UnixStream>,
    left: Arc<Mutex<Option<Kill>>>,
}

impl Killer {
    pub(crate) fn new(parent: Arc<UnixStream>, kill: Option<Kill>) -> Self {
        Self { parent, left: Arc::new(Mutex::new(kill)) }
    }

    pub(crate) fn aim(&self, kill: Option<Kill>) {
        *self.left.lock().unwrap() = kill;
    }

    pub(crate) fn pass<F: Serialize>(&self, point: Point, frame: impl FnOnce(Point) -> F) {
        let _gone = send(&self.parent, &frame(point.clone()));
        let mut left = self.left.lock().unwrap();
        let Some(kill) = left.as_mut().filter(|kill| kill.point == point) else { return };
        kill.nth -= 1;
        if kill.nth == 0 {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }
}

fn bytes_of(frame: &impl Serialize) -> Vec<u8> {
    let bytes = serde_json::to_vec(frame).unwrap();
    let mut all = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    all.extend(bytes);
    all
}
