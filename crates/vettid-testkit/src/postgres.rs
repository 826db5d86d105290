//! A PostgreSQL server of a test's own: a fresh cluster in a temporary folder, reached through a socket in it or, with TLS, on a
//! loopback port. Never the cluster of the machine.

use crate::program::on_path;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Who runs the server when the tests run as root, which PostgreSQL refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// The password of the database's user: an address without it must not work.
const PASSWORD: &str = "only for tests: 7%";

/// A running server. Ends with the value.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    user: Option<&'static str>,
    /// Of the loopback address, if it listens there, and of the socket.
    port: u16,
    listens: bool,
}

impl Cluster {
    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        let programs = programs().context("PostgreSQL is not installed (packages postgresql, postgresql-client)")?;
        let folder = tempfile::Builder::new().prefix("pg").tempdir()?;
        let user = other_user()?;
        let cluster = Self { programs, folder, user, port: 5432, listens: false };
        cluster.make()?;
        cluster.run()?;
        cluster.psql("postgres", "CREATE DATABASE vettid")?;
        Ok(cluster)
    }

    fn make(&self) -> Result<()> {
        let folder = self.folder.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
        let password = folder.join("password");
        fs::write(&password, format!("{PASSWORD}\n"))?;
        if let Some(user) = self.user {
            succeed(Command::new("chown").arg(user).args([folder, &password]))?;
        }
        let mut make = self.program("initdb");
        make.arg("--pgdata").arg(self.cluster()).arg("--pwfile").arg(password);
        succeed(make.args([
            "--username",
            "vettid",
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--no-instructions",
        ]))
    }

    fn run(&self) -> Result<()> {
        let address = if self.listens { "127.0.0.1,::1" } else { "" };
        let folder = self.folder.path().display();
        let options = format!("-p {} -c listen_addresses='{address}' -c unix_socket_directories='{folder}'", self.port);
        let mut start = self.program("pg_ctl");
        start.args(["start", "--wait", "--silent", "--timeout", "60", "--options", &options]);
        start.arg("--pgdata").arg(self.cluster()).arg("--log").arg(self.folder.path().join("log"));
        succeed(&mut start)
    }

    /// Ends the server as a power cut would, without waiting for anybody.
    ///
    /// # Errors
    /// If it does not end.
    pub fn crash(&self) -> Result<()> {
        self.stop("immediate")
    }

    /// Starts a server that was ended.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again(&self) -> Result<()> {
        self.run()
    }

    fn stop(&self, mode: &str) -> Result<()> {
        let mut stop = self.program("pg_ctl");
        succeed(stop.args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"]).arg(self.cluster()))
    }

    /// Changes a setting of the server, and starts it again.
    ///
    /// # Errors
    /// If it does not start.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.psql("postgres", &format!("ALTER SYSTEM SET {name} = {value}"))?;
        self.stop("fast")?;
        self.run()
    }

    /// Listens with TLS on a loopback port as well, with this certificate and key (PEM); gives the port.
    ///
    /// # Errors
    /// If the server does not start again.
    pub fn serve_tls(&mut self, certificate: &str, key: &str) -> Result<u16> {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.cluster().join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            if let Some(user) = self.user {
                succeed(Command::new("chown").arg(user).arg(&path))?;
            }
        }
        self.psql("postgres", "ALTER SYSTEM SET ssl = on")?;
        self.stop("fast")?;
        self.listens = true;
        self.port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        self.run()?;
        Ok(self.port)
    }

    /// Where the data lies.
    #[must_use]
    pub fn cluster(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// The address of a schema of its own, made here.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn schema(&self, name: &str) -> Result<String> {
        self.psql("vettid", &format!("CREATE SCHEMA {name}"))?;
        Ok(format!("{}&options=-csearch_path%3D{name}", self.address()))
    }

    /// The address of its database.
    #[must_use]
    pub fn address(&self) -> String {
        let password = "only%20for%20tests%3A%207%25";
        format!("postgres://vettid:{password}@localhost:{}/vettid?host={}", self.port, self.folder.path().display())
    }

    /// Runs a statement as the owner of everything, and gives what it prints.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn psql(&self, database: &str, statement: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--port", &self.port.to_string()]);
        psql.args(["--username", "vettid", "--dbname", database, "--command", statement, "--host"]);
        let output = psql.arg(self.folder.path()).env("PGPASSWORD", PASSWORD).output().context("psql")?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A program of PostgreSQL under the user that runs the server.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user_group(user), "--clear-groups"]).arg(program);
                command
            }
        };
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A server that ended before is no matter.
        let _ = self.stop("immediate");
    }
}

fn user_group(user: &str) -> &str {
    if user == "nobody" { "nogroup" } else { user }
}

fn succeed(command: &mut Command) -> Result<()> {
    // The server keeps what it inherits: a pipe would stay open as long as it runs.
    let log = tempfile::tempfile()?;
    command.stdout(log.try_clone()?).stderr(log.try_clone()?);
    let status = command.status().with_context(|| format!("{:?} does not run", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    let mut log = log;
    std::io::Seek::rewind(&mut log)?;
    std::io::Read::read_to_string(&mut log, &mut text)?;
    bail!("{:?}: {text}", command.get_program())
}

/// The folder of the newest server programs: where Debian puts its versions, or that of the one on the PATH.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).filter_map(|path| Some((number(&path)?, path))).max();
    let debian = newest.map(|(_, path)| path.join("bin")).filter(|folder| folder.join("initdb").is_file());
    debian.or_else(|| Some(fs::canonicalize(on_path("initdb")?).ok()?.parent()?.to_owned()))
}

/// A user other than root, if this is root.
fn other_user() -> Result<Option<&'static str>> {
    let is_known = |user: &&str| Command::new("id").arg(user).output().is_ok_and(|output| output.status.success());
    let own = Command::new("id").arg("-u").output()?;
    if own.stdout.trim_ascii() != b"0" {
        return Ok(None);
    }
    let user = USERS.into_iter().find(is_known).context("no user but root is here to run PostgreSQL")?;
    Ok(Some(user))
}
