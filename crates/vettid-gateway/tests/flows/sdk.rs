//! The TypeScript client: made from the checked-in description, compiled by the real compiler, and called against a running
//! gateway by node. `UPDATE_DOCS=1` writes its types anew.

use crate::http::Program;
use crate::requests::connected;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What npm says when the registry cannot be reached.
const UNREACHABLE: [&str; 5] = ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"];

fn repository() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        match name.to_str().unwrap() {
            "node_modules" | "dist" => {}
            _ if path.is_dir() => copy(&path, &to.join(&name)),
            _ => drop(std::fs::copy(&path, to.join(&name)).unwrap()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test reads how it was called")]
fn updates() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn succeeded(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The client with its tools, in a folder of its own; `None`: they cannot be had, because the registry is not there.
#[expect(clippy::print_stderr, reason = "a test that is not run says so")]
fn installed() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk-typescript");
    copy(&repository().join("sdk/typescript"), &folder);
    let lock = std::fs::read(folder.join("package-lock.json")).unwrap();
    let mark = folder.join("node_modules/installed-lock");
    if std::fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Some(folder);
    }
    let output = run(&folder, "npm", &["ci", "--no-progress"]);
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && UNREACHABLE.iter().any(|word| said.contains(word)) {
        eprintln!("SKIPPED: the TypeScript client was NOT tested, because the npm registry cannot be reached:\n{said}");
        return None;
    }
    succeeded(&output);
    std::fs::write(mark, lock).unwrap();
    Some(folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_client_is_up_to_date_and_calls_a_gateway() {
    let Some(folder) = tokio::task::spawn_blocking(installed).await.unwrap() else {
        return;
    };
    let (world, gateway, _member, service) = connected().await;
    let program = Program::of(&world, &gateway);
    let (address, key) = (program.base().to_owned(), program.key().to_owned());
    let said = tokio::task::spawn_blocking(move || {
        let description = repository().join("docs/gateway-openapi.json");
        let fresh = folder.join("fresh.ts");
        let paths = [description.to_str().unwrap(), "--output", fresh.to_str().unwrap()];
        succeeded(&run(&folder, "node_modules/.bin/openapi-typescript", &paths));
        if updates() {
            std::fs::copy(&fresh, repository().join("sdk/typescript/src/schema.ts")).unwrap();
            std::fs::copy(&fresh, folder.join("src/schema.ts")).unwrap();
        }
        let (fresh, present) = (std::fs::read(&fresh).unwrap(), std::fs::read(folder.join("src/schema.ts")).unwrap());
        assert!(fresh == present, "sdk/typescript/src/schema.ts is not up to date: run this test with UPDATE_DOCS=1");
        succeeded(&run(&folder, "node_modules/.bin/tsc", &["--pretty", "false"]));
        let live = Command::new("node")
            .arg("dist/test/live.js")
            .env("GATEWAY_ADDRESS", address)
            .env("GATEWAY_KEY", key)
            .current_dir(&folder)
            .output();
        succeeded(&live.unwrap())
    });
    let said = said.await.unwrap();
    assert!(said.contains(&service.connection_id.to_string()), "{said}");
    gateway.stop().await;
    world.shut().await;
}
