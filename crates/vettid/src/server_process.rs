//! What the long-running commands share: logging to standard error, one JSON line when ready, and a stop in good order
//! on SIGTERM or Ctrl-C.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::io::Write as _;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Starts logging. The level comes from the configuration, never from a default that hides refusals.
pub(crate) fn log(level: &str) -> Result<()> {
    let filter = EnvFilter::try_new(level).context("the log level in the configuration is not one")?;
    let started =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
    started.map_err(|error| anyhow::anyhow!("logging does not start: {error}"))?;
    log_faults();
    Ok(())
}

/// A panic is logged with its place alone: its text may hold whatever was being handled.
fn log_faults() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault of the program");
    }));
}

/// Says in one JSON line that the process is ready.
pub(crate) fn say_ready(what: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// A token that is cancelled by SIGTERM or Ctrl-C.
pub(crate) fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        told.cancel();
    });
    Ok(stop)
}

/// Reads a TOML file; an unknown key or an unreadable value stops the start.
pub(crate) fn read_config<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not a sound configuration", path.display()))
}

/// A path of a configuration counts from the folder of its file.
pub(crate) fn beside(config: &Path, path: &Path) -> std::path::PathBuf {
    config.parent().unwrap_or_else(|| Path::new(".")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_says_where_a_fault_was_and_not_what_was_being_handled() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            log_faults();
            std::panic::catch_unwind(|| panic!("open sesame")).unwrap_err();
        });
        let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("a fault of the program") && log.contains("server_process.rs"), "{log}");
        assert!(!log.contains("sesame"), "{log}");
    }
}
