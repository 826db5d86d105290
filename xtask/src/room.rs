//! Room on the disk where cargo builds. On a full disk compiler, linker and tests fail with errors of their own, few of which say why.

use crate::report::say;
use crate::workspace::Workspace;
use anyhow::Context as _;
use rustix::fs::statvfs;
use std::path::Path;

/// With less than this a build or a test that failed has most likely failed for it.
const SCARCE_MB: u64 = 512;

/// Says how much room there is where cargo builds.
pub(crate) fn say_free() -> anyhow::Result<()> {
    let folder = Workspace::current()?.target_directory;
    Ok(say(format_args!("free disk: {} MB for {}", free_mb(&folder)?, folder.display()))?)
}

/// The error, with the full disk named as its likely cause where there is no room left.
pub(crate) fn explained(error: anyhow::Error) -> anyhow::Error {
    let scarce = Workspace::current().ok().and_then(|workspace| {
        let folder = workspace.target_directory;
        // Without an answer there is nothing to add to the error.
        free_mb(&folder).ok().and_then(|free| too_little(free, &folder))
    });
    match scarce {
        Some(words) => error.context(words),
        None => error,
    }
}

fn too_little(free_mb: u64, folder: &Path) -> Option<String> {
    (free_mb < SCARCE_MB).then(|| {
        format!(
            "the disk has {free_mb} MB left for {}: make room, or let CARGO_TARGET_DIR name a folder on another disk",
            folder.display()
        )
    })
}

/// Of the folder, or of the nearest one above it that is there: cargo makes it with the first build.
fn free_mb(folder: &Path) -> anyhow::Result<u64> {
    let there = folder.ancestors().find(|folder| folder.exists()).context("no folder to build in")?;
    let disk = statvfs(there).with_context(|| format!("the disk of {} does not answer", there.display()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disk_without_room_is_named() {
        let folder = Path::new("/build");
        assert_eq!(too_little(SCARCE_MB, folder), None);
        let words = too_little(SCARCE_MB - 1, folder).unwrap();
        assert!(words.contains("511 MB") && words.contains("/build") && words.contains("CARGO_TARGET_DIR"), "{words}");
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_on_the_disk_of_those_above() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_mb(&folder.path().join("not/there")).unwrap() > 0);
        assert!(free_mb(Path::new("not/there")).is_err());
    }
}
