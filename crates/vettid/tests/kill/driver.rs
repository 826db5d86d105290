//! The driver: starts the two processes, carries their messages, loses and repeats some, and kills.

use crate::frame::{
    Command, Ended, FromApp, FromVault, Kill, Mail, Point, Report, Side, ToApp, ToVault, Told, receive, send,
};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// Says to a child what it is.
pub(crate) const ROLE: &str = "VETTID_KILL_ROLE";
const SIGKILL: i32 = 9;

/// In percent of messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lose: u32,
    pub(crate) repeat: u32,
    pub(crate) kill: u32,
}

struct Process {
    child: Child,
    stream: UnixStream,
    /// Ended by the driver.
    shot: bool,
}

impl Process {
    fn start(role: &str) -> Self {
        let (stream, theirs) = UnixStream::pair().unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, stream, shot: false }
    }

    fn shoot(&mut self) {
        self.child.kill().unwrap();
        self.shot = true;
    }

    /// It is gone: by SIGKILL, and by nothing else. Whether by its own.
    fn bury(mut self) -> bool {
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(SIGKILL), "a process failed: {status:?}");
        !self.shot
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Two processes and what is between them.
pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) folder: PathBuf,
    pub(crate) now_ms: i64,
    pub(crate) faults: Faults,
    /// The next point at which a process ends itself.
    kill: Option<Kill>,
    /// Points at which one did.
    pub(crate) killed: BTreeSet<Point>,
    /// Operations whose password was looked at.
    pub(crate) evaluated: BTreeSet<String>,
    pub(crate) deaths: usize,
    app: Option<Process>,
    vault: Option<Process>,
}

impl World {
    pub(crate) fn new(rng: StdRng, folder: &Path) -> Self {
        Self {
            rng,
            folder: folder.to_owned(),
            now_ms: 1_800_000_000_000,
            faults: Faults::default(),
            kill: None,
            killed: BTreeSet::new(),
            evaluated: BTreeSet::new(),
            deaths: 0,
            app: None,
            vault: None,
        }
    }

    pub(crate) fn app_folder(&self) -> PathBuf {
        self.folder.join("app")
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    pub(crate) fn aims(&self) -> bool {
        self.kill.is_some()
    }

    /// Sets the next point at which a process ends itself, or none.
    pub(crate) fn aim(&mut self, kill: Option<Kill>) {
        self.kill = kill;
        if let Some(app) = &self.app {
            let _dead = send(&app.stream, &ToApp::Aim(self.kill_of(Side::App)));
        }
        if let Some(vault) = &self.vault {
            let _dead = send(&vault.stream, &ToVault::Aim(self.kill_of(Side::Vault)));
        }
    }

    /// A process that starts again goes on counting.
    fn pass(&mut self, point: &Point) {
        if let Some(kill) = self.kill.as_mut().filter(|kill| kill.point == *point && kill.nth > 1) {
            kill.nth -= 1;
        }
    }

    fn kill_of(&self, side: Side) -> Option<Kill> {
        self.kill.clone().filter(|kill| kill.point.side == side)
    }

    /// Carries out a command; `None` if the app died.
    pub(crate) fn run(&mut self, command: &Command, advance_ms: i64) -> Option<(Ended, Vec<Told>)> {
        if self.app.is_none() {
            let app = Process::start("app");
            let folder = self.app_folder().to_str().unwrap().to_owned();
            send(&app.stream, &ToApp::Start { folder, now_ms: self.now_ms, kill: self.kill_of(Side::App) }).unwrap();
            self.app = Some(app);
        }
        let app = self.app.as_ref().unwrap();
        let _dead = send(&app.stream, &ToApp::Run { command: command.clone(), advance_ms });
        loop {
            match receive(&self.app.as_ref().unwrap().stream) {
                Some(FromApp::Passed(point)) => self.pass(&point),
                Some(FromApp::Publish { mail, now_ms }) => {
                    self.now_ms = self.now_ms.max(now_ms);
                    let mails = self.relay(&mail);
                    let _dead = send(&self.app.as_ref().unwrap().stream, &ToApp::Delivered(mails));
                }
                Some(FromApp::Ended { ended, told, now_ms }) => {
                    self.now_ms = self.now_ms.max(now_ms);
                    return Some((ended, told));
                }
                None => {
                    let own = self.app.take().unwrap().bury();
                    self.died(Side::App, own);
                    return None;
                }
            }
        }
    }

    fn died(&mut self, side: Side, own: bool) {
        self.deaths += 1;
        if own {
            let kill = self.kill.take().unwrap_or_else(|| panic!("{side:?} died without a reason"));
            assert_eq!(kill.point.side, side);
            self.killed.insert(kill.point);
        }
    }

    /// A message to the vault, and what it sends in turn.
    fn relay(&mut self, mail: &Mail) -> Vec<Mail> {
        if self.chance(self.faults.kill) {
            self.kill_vault();
        }
        let times = if self.chance(self.faults.repeat) { 2 } else { 1 };
        let mut mails = Vec::new();
        for _ in 0..times {
            match self.ask_vault(&ToVault::Handle { mail: mail.clone(), now_ms: self.now_ms }) {
                Some(FromVault::Posts(posts)) => mails.extend(posts),
                None => {}
                other => panic!("not posts: {other:?}"),
            }
        }
        if self.chance(self.faults.kill) {
            self.kill_vault();
        }
        if self.chance(self.faults.kill) {
            self.app.as_mut().unwrap().shoot();
        }
        if self.chance(self.faults.lose) {
            mails.clear();
        }
        mails
    }

    /// Ends the vault's process where it stands, waiting for work.
    pub(crate) fn kill_vault(&mut self) {
        if let Some(mut vault) = self.vault.take() {
            vault.shoot();
            vault.bury();
            self.deaths += 1;
        }
    }

    /// `None` if the vault died.
    pub(crate) fn ask_vault(&mut self, asked: &ToVault) -> Option<FromVault> {
        if self.vault.is_none() {
            let vault = Process::start("vault");
            let (folder, kill) = (self.folder.to_str().unwrap().to_owned(), self.kill_of(Side::Vault));
            let boot = self.rng.random();
            send(&vault.stream, &ToVault::Start { folder, now_ms: self.now_ms, boot, kill }).unwrap();
            self.vault = Some(vault);
        }
        let _dead = send(&self.vault.as_ref().unwrap().stream, asked);
        loop {
            match receive(&self.vault.as_ref().unwrap().stream) {
                Some(FromVault::Passed(point)) => self.pass(&point),
                Some(FromVault::Evaluates(op_id)) => drop(self.evaluated.insert(op_id)),
                None => {
                    let own = self.vault.take().unwrap().bury();
                    self.died(Side::Vault, own);
                    return None;
                }
                answer => return answer,
            }
        }
    }

    pub(crate) fn report(&mut self) -> Report {
        match self.ask_vault(&ToVault::Report) {
            Some(FromVault::Report(report)) => report,
            other => panic!("not a report: {other:?}"),
        }
    }

    pub(crate) fn code(&mut self) -> String {
        match self.ask_vault(&ToVault::Code) {
            Some(FromVault::Code(code)) => code,
            other => panic!("not a code: {other:?}"),
        }
    }
}
