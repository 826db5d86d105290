//! Programs that nobody here wrote, fetched once into the target folder as their lock files say.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// A folder of the target folder for what a lock file names; made by `fetch` if it is not there.
async fn fetched(
    name: &str,
    lock: &Path,
    fetch: impl AsyncFnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    fs::read(lock).unwrap().hash(&mut hasher);
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = base.join(format!("{name}-{:016x}", hasher.finish()));
    let done = folder.join("done");
    if done.exists() {
        return Ok(folder);
    }
    // A folder that an earlier run left half-way is of no use.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fetch(&folder).await?;
    fs::write(&done, "").unwrap();
    Ok(folder)
}

async fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| format!("{program} does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A Python with what a lock file names.
pub(crate) async fn python(lock: &Path) -> Result<PathBuf, String> {
    let folder = fetched("openid-python", lock, async |folder| {
        run("python3", &["-m", "venv", "."], folder).await?;
        let arguments =
            ["install", "--quiet", "--no-deps", "--disable-pip-version-check", "-r", lock.to_str().unwrap()];
        run(folder.join("bin/pip").to_str().unwrap(), &arguments, folder).await
    });
    Ok(folder.await?.join("bin/python"))
}

/// A folder with the script and what its lock file names.
pub(crate) async fn node(source: &Path) -> Result<PathBuf, String> {
    let lock = source.join("package-lock.json");
    let folder = fetched("openid-node", &lock, async |folder| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(source.join(name), folder.join(name)).unwrap();
        }
        run("npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder).await
    });
    let folder = folder.await?;
    fs::copy(source.join("client.mjs"), folder.join("client.mjs")).unwrap();
    Ok(folder)
}

/// A program in TypeScript that uses the gateway's TypeScript client, compiled beside it; its file to be run by node.
pub(crate) async fn with_client(source: &Path, name: &str) -> Result<PathBuf, String> {
    let client = workspace().join("sdk/typescript");
    let lock = client.join("package-lock.json");
    let folder = fetched("sdk-node", &lock, async |folder| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(client.join(name), folder.join(name)).unwrap();
        }
        run("npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder).await
    });
    let folder = folder.await?;
    for below in ["src", "test"] {
        let _ = fs::remove_dir_all(folder.join(below));
        fs::create_dir(folder.join(below)).unwrap();
    }
    for name in ["src/index.ts", "src/schema.ts", "tsconfig.json"] {
        fs::copy(client.join(name), folder.join(name)).unwrap();
    }
    // Inside of the client's own package the client goes by its own name, as it does beside it.
    fs::copy(source.join(format!("{name}.ts")), folder.join(format!("test/{name}.ts"))).unwrap();
    let tsc = folder.join("node_modules/.bin/tsc");
    let mut command = Command::new(tsc);
    command.args(["--pretty", "false"]).current_dir(&folder).stdin(Stdio::null()).kill_on_drop(true);
    let said = command.output().await.map_err(|error| error.to_string())?;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    Ok(folder.join(format!("dist/test/{name}.js")))
}
