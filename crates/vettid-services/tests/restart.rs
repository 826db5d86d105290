//! Stopping and starting: the same keys, accounts and streams; and what must stop a start.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use std::error::Error;
use std::fs;
use vettid_nats::journal::Journal;
use vettid_services::services::{Services, StartError};
use vettid_wire::profile::SignedProfile;
use world::World;

/// The error with its causes, as an operator reads it.
fn story(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", story(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let alice = world.member("alice").await;
    let app = alice.app(&world).await;
    let (token, bootstrapped) = app.connected(&world).await;
    let publishing = host.publishing(&world).await.unwrap();
    let sequence = Journal::new(publishing.clone()).commit(alice.guid, 0, "first".into()).await.unwrap();
    publishing.close().await.unwrap();
    let before =
        (world.services.url().to_owned(), world.services.nats_endpoint(), world.services.authority_pem().to_owned());
    let tokens = (world.services.host_token(), world.services.service_token());
    let profile: SignedProfile = world.get("/v1/registry/profile", None).await.ok();

    let world = world.restart().await;
    let after =
        (world.services.url().to_owned(), world.services.nats_endpoint(), world.services.authority_pem().to_owned());
    assert_eq!(before, after);
    assert_eq!(tokens, (world.services.host_token(), world.services.service_token()));
    let later: SignedProfile = world.get("/v1/registry/profile", None).await.ok();
    assert_eq!((later.public_key, later.key_record), (profile.public_key, profile.key_record));
    assert!(later.sequence > profile.sequence);

    let host = host.reconnect(&world).await;
    let publishing = host.publishing(&world).await.unwrap();
    assert_eq!(Journal::new(publishing).last_sequence(alice.guid).await.unwrap(), sequence);
    app.open(&world, &bootstrapped).await.unwrap().close().await.unwrap();
    assert_eq!(app.finalize(&world, &token).await.status, 200, "an enrolment goes on where it was");
    let again = alice.app(&world).await;
    assert_eq!(again.started.vault_fp, app.started.vault_fp);
    assert_eq!(host.commands(), ["vault.deploy", "vault.enroll", "vault.enroll"]);
    host.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_key_file_stops_the_start_and_harms_nothing() {
    let world = World::start().await;
    let config = world.config();
    let World { services, folder, .. } = world;
    services.stop().await.unwrap();
    let key = fs::read(&config.key_file).unwrap();
    let start = async || {
        story(&Services::start(config.clone()).await.unwrap_err()).replace(folder.path().to_str().unwrap(), "")
    };

    fs::remove_file(&config.key_file).unwrap();
    assert_eq!(
        start().await,
        "the key file /services.key is missing, but there are files sealed with it; bring it back"
    );
    let other = vettid_wire::base64::encode(&[1; 32]);
    write_key(&config.key_file, other.as_bytes());
    let wrong =
        "/data/keys/services.sealed does not open with this key file: the sealed file does not open with this key";
    assert_eq!(start().await, wrong);
    write_key(&config.key_file, b"nonsense");
    assert_eq!(start().await, "the key file /services.key does not hold a key");

    write_key(&config.key_file, &key);
    let sealed = folder.path().join("data/keys/services.sealed");
    let whole = fs::read(&sealed).unwrap();
    fs::write(&sealed, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(start().await, wrong);
    fs::write(&sealed, &whole).unwrap();
    let services = Services::start(config.clone()).await.unwrap();
    services.stop().await.unwrap();
}

fn write_key(path: &std::path::Path, content: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, content).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_do_not_share_a_folder() {
    let world = World::start().await;
    let second = Services::start(world.config()).await;
    assert!(matches!(second, Err(StartError::Broker(_))), "{second:?}");
    assert_eq!(world.get("/readyz", None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_lies_in_the_data_folder_in_clear() {
    let world = World::start().await;
    let host = world.host("host-a").await;
    let alice = world.member("alice").await;
    let app = alice.app(&world).await;
    let token = app.authenticated(&world).await;
    let secrets = [alice.portal_token.clone(), app.token.clone(), token, world.services.host_token()];
    let data = world.folder.path().join("data");
    host.leave().await;
    let World { services, folder, .. } = world;
    services.stop().await.unwrap();
    let mut seen = Vec::new();
    files(&data, &mut seen);
    assert!(seen.len() > 5);
    for (path, bytes) in seen.iter().filter(|(path, _)| !path.contains("/join/")) {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{path}");
        }
    }
    drop(folder);
}

fn files(folder: &std::path::Path, seen: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, seen);
        } else {
            seen.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}
