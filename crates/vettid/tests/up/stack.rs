//! `vettid up` as a person meets it: what it prints, the Enter key, Ctrl-C and a sudden end. Never outlives the test.

use crate::party::App;
use crate::processes;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Longest wait for anything that the program does.
pub(crate) const WITHIN: Duration = Duration::from_secs(90);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_vettid");

/// Numbers the files that errors go to.
static ERRORS: AtomicU32 = AtomicU32::new(0);

/// A folder for one stack, which may be started again and again.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("vettid-up-").tempdir().unwrap();
        Self { folder }
    }

    /// What `--data` names.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// For files of the test itself, outside of the data.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The app of one of the two people.
    pub(crate) fn app(&self, profile: &'static str) -> App {
        App::new(profile, self.data().join("people"), self.data().join("services/ca.pem"))
    }

    /// An app of somebody else, whose state lies elsewhere.
    pub(crate) fn stranger(&self, profile: &'static str) -> App {
        App::new(profile, self.outside("strangers"), self.data().join("services/ca.pem"))
    }

    /// Starts `vettid up`, with an environment of its own and as leader of a process group, as a terminal does.
    pub(crate) fn up(&self, options: &[&str]) -> Up {
        let errors = self.outside(&format!("up.{}.stderr", ERRORS.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new(PROGRAM);
        command.arg("up").arg("--data").arg(self.data()).arg("--nats-server");
        command.arg(vettid_testkit::program::nats_server().unwrap()).args(options);
        command.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path()).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&errors).unwrap());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Up { child, id, stdin, lines: BufReader::new(stdout).lines(), said: String::new(), errors }
    }

    /// The ports of the broker.
    pub(crate) fn broker_ports(&self) -> Value {
        serde_json::from_slice(&fs::read(self.data().join("services/broker/ports.json")).unwrap()).unwrap()
    }

    /// Where the broker tells how it is.
    pub(crate) fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.broker_ports()["monitoring"])
    }
}

/// The running program.
pub(crate) struct Up {
    child: Child,
    id: Pid,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
    errors: PathBuf,
}

impl Up {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// Everything that it has printed so far.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// Reads on until a line contains this, and gives the line.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        match self.line_with(wanted).await {
            Some(line) => line,
            None => panic!("{wanted:?} was never printed.\n{}", self.everything()),
        }
    }

    /// The title of the next step that waits for Enter; `None` if the program prints no more.
    pub(crate) async fn step(&mut self) -> Option<String> {
        let from = self.said.len();
        self.line_with("(Enter)").await?;
        let titled = self.said[from..].lines().filter_map(|line| line.split_once(". "));
        let title = titled.rev().find(|(number, _)| number.trim().parse::<u32>().is_ok());
        Some(title.unwrap().1.to_owned())
    }

    /// Presses Enter.
    pub(crate) async fn enter(&mut self) {
        self.stdin.write_all(b"\n").await.unwrap();
        self.stdin.flush().await.unwrap();
    }

    async fn line_with(&mut self, wanted: &str) -> Option<String> {
        loop {
            let line = match timeout(WITHIN, self.lines.next_line()).await {
                Ok(line) => line.unwrap()?,
                Err(_) => panic!("nothing more was printed for {WITHIN:?}.\n{}", self.everything()),
            };
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(wanted) {
                return Some(line);
            }
        }
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        while self.line_with("\0").await.is_some() {}
        match timeout(WITHIN, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("it does not end.\n{}", self.everything()),
        }
    }

    /// Ctrl-C in a terminal: every process of the group gets the signal at the same moment.
    pub(crate) fn press_ctrl_c(&self) {
        kill_process_group(self.id, Signal::INT).unwrap();
    }

    /// A polite request to this one process, as a service manager sends it.
    pub(crate) fn terminate(&self) {
        kill_process(self.id, Signal::TERM).unwrap();
    }

    /// A sudden end of this one process.
    pub(crate) fn kill(&self) {
        kill_process(self.id, Signal::KILL).unwrap();
    }

    /// A sudden end of everything that it started.
    pub(crate) fn kill_group(&self) {
        // Without a process there is no group.
        let _ = kill_process_group(self.id, Signal::KILL);
    }

    /// What it printed as an error.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// What it said, for the message of a failure.
    fn everything(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}", self.said, self.errors())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Only a test that failed half-way still has processes.
        if std::thread::panicking() {
            eprint_text(&self.everything());
        }
        self.kill_group();
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows what the program printed")]
fn eprint_text(text: &str) {
    eprintln!("{text}");
}

/// The processes that belong to one start: itself and everything below it.
pub(crate) fn family(up: &Up) -> Vec<processes::Process> {
    processes::below(up.id())
}

/// Whether a name stands for the folder of a stack: for looking through the process table.
pub(crate) fn mentions(path: &Path, text: &[u8]) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    text.windows(name.len()).any(|window| window == name)
}
