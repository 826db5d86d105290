//! The supervised server: how it starts, what it refuses, and how it comes back.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs::Permissions;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vettid_core::grants::role::OperatorRole;
use vettid_core::grants::store_key::StoreKey;
use vettid_nats::clock;
use vettid_nats::connection::{Connection, ConnectionState};
use vettid_nats::journal::Journal;
use vettid_nats::server::{Server, ServerError, ServerState};
use vettid_nats::streams::{self, StreamLimits, StreamPlan};
use vettid_nats::tls::{CertificateAuthority, ClientTls};
use vettid_testkit::broker::TestServer;
use vettid_testkit::operator::fresh_secret;
use vettid_testkit::space::Placement;
use vettid_wire::subject::Pattern;

const SOON: Duration = Duration::from_secs(20);

async fn state_is(server: &Server, wanted: ServerState) {
    let mut state = server.state();
    tokio::time::timeout(SOON, state.wait_for(|state| *state == wanted)).await.unwrap().unwrap();
}

async fn connection_is(connection: &Connection, wanted: ConnectionState) {
    let mut state = connection.state();
    tokio::time::timeout(SOON, state.wait_for(|state| *state == wanted)).await.unwrap().unwrap();
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_loopback_only_and_healthily() {
    let broker = TestServer::start().await.unwrap();
    let ports = broker.server().unwrap().ports();
    assert!(ports.client != 0 && ports.websocket != 0 && ports.monitoring != 0);

    let mut http = TcpStream::connect(("127.0.0.1", ports.monitoring)).unwrap();
    http.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(r#"{"status":"ok"}"#), "{answer}");

    let process = broker.server().unwrap().process_id().unwrap();
    for address in listening(process) {
        assert!(address.starts_with("0100007F:"), "{address} is not 127.0.0.1");
    }
    assert_eq!(listening(process).len(), 3);
    broker.shut().await;
}

/// The addresses, in hexadecimal, on which a process listens.
fn listening(process: u32) -> Vec<String> {
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut addresses = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" && inodes.contains(&fields[9].to_owned()) {
                addresses.push(fields[1].to_owned());
            }
        }
    }
    addresses
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_ports_and_streams_when_it_is_stopped_and_started() {
    let mut broker = TestServer::start().await.unwrap();
    let ports = broker.server().unwrap().ports();
    broker.stop().await.unwrap();
    broker.run().await.unwrap();
    assert_eq!(broker.server().unwrap().ports(), ports);
    let admin = broker.connect(OperatorRole::HostAdmin, "admin").await.unwrap();
    let plan = StreamPlan::hosts(StreamLimits::default());
    streams::initialise(&admin, &plan, &broker.mark()).await.unwrap();
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_replaced() {
    let mut broker = TestServer::start().await.unwrap();
    let ports = broker.server().unwrap().ports();
    broker.stop().await.unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", ports.client)).unwrap();
    broker.run().await.unwrap();
    let now = broker.server().unwrap().ports();
    assert_ne!(now.client, ports.client);
    assert_eq!((now.websocket, now.monitoring), (ports.websocket, ports.monitoring));
    drop(taken);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_at_the_same_place_and_its_clients_with_it() {
    let broker = TestServer::start().await.unwrap();
    let server = broker.server().unwrap();
    let (ports, process) = (server.ports(), server.process_id().unwrap());
    let host = broker.connect(OperatorRole::HostSubscribing, "host-1").await.unwrap();
    let mut alerts = host.subscribe(&Pattern::Broadcast).await.unwrap();
    host.settle().await.unwrap();

    kill(process);
    connection_is(&host, ConnectionState::Disconnected).await;
    state_is(server, ServerState::Ready).await;
    connection_is(&host, ConnectionState::Connected).await;
    assert_ne!(server.process_id().unwrap(), process);
    assert_eq!(server.ports(), ports);

    host.settle().await.unwrap();
    let registry = broker.connect(OperatorRole::Registry, "registry-1").await.unwrap();
    let subject = vettid_wire::subject::Subject::Broadcast("security.alert".parse().unwrap());
    registry.publish(&subject, "alert".into()).await.unwrap();
    let alert = tokio::time::timeout(SOON, alerts.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(alert.payload, "alert");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_key_is_refused_before_anything_starts() {
    let mut broker = TestServer::start().await.unwrap();
    broker.stop().await.unwrap();
    let mut plan = broker.plan().unwrap();
    plan.store_key = StoreKey::new(fresh_secret());
    assert!(matches!(Server::start(plan).await, Err(ServerError::WrongKey)));

    let fingerprint = broker.folder().join("broker").join("store.fingerprint");
    let kept = std::fs::read(&fingerprint).unwrap();
    std::fs::remove_file(&fingerprint).unwrap();
    assert!(matches!(Server::start(broker.plan().unwrap()).await, Err(ServerError::UnknownKey)));

    std::fs::write(&fingerprint, kept).unwrap();
    broker.run().await.unwrap();
    broker.shut().await;
}

/// A store that an earlier version sealed with another cipher.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_former_cipher_is_read() {
    let mut broker = TestServer::stopped().unwrap();
    let plan = broker.plan().unwrap();
    let (former, file) = (broker.folder().join("former"), plan.folder.join("nats-server.conf"));
    let cipher =
        || std::fs::read_to_string(&file).unwrap().lines().find(|line| line.contains("cipher")).unwrap().to_owned();
    let (program, configuration) = (plan.program.display(), file.display());
    let script = format!("#!/bin/sh\nsed -i '/cipher/s/aes/chacha/' '{configuration}'\nexec '{program}' \"$@\"\n");
    std::fs::write(&former, script).unwrap();
    std::fs::set_permissions(&former, Permissions::from_mode(0o755)).unwrap();
    broker.run_as(former).await.unwrap();
    assert!(cipher().contains("chacha"), "{}", cipher());
    let admin = broker.connect(OperatorRole::HostAdmin, "admin").await.unwrap();
    streams::initialise(&admin, &StreamPlan::hosts(StreamLimits::default()), &broker.mark()).await.unwrap();
    let member = broker.space(Placement::Hosted).await.unwrap().member;
    let journal = Journal::new(broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap());
    journal.commit(member, 0, vec![7; 3_000].into()).await.unwrap();

    broker.stop().await.unwrap();
    broker.run().await.unwrap();
    assert!(cipher().contains("aes"), "{}", cipher());
    let journal = Journal::new(broker.connect(OperatorRole::HostPublishing, "host-1").await.unwrap());
    let records = journal.load(member).collect().await.unwrap();
    assert_eq!(records.iter().map(|record| record.bytes.as_ref()).collect::<Vec<_>>(), [[7; 3_000]]);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_store_is_refused_even_when_the_first_has_lost_its_supervisor() {
    let broker = TestServer::start().await.unwrap();
    assert!(matches!(Server::start(broker.plan().unwrap()).await, Err(ServerError::InUse)));

    // The lock is held by the server's own process, too: as its standard input.
    let process = broker.server().unwrap().process_id().unwrap();
    let held = std::fs::read_link(format!("/proc/{process}/fd/0")).unwrap();
    assert_eq!(held, broker.folder().join("broker").join("store.lock").canonicalize().unwrap());
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_lies_in_its_folder_or_its_arguments() {
    let broker = TestServer::start().await.unwrap();
    let plan = broker.plan().unwrap();
    let key = plan.store_key.server_value();
    let key = std::str::from_utf8(key.expose()).unwrap().to_owned();
    let process = broker.server().unwrap().process_id().unwrap();
    let arguments = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
    assert!(!arguments.contains(&key));
    let environment = std::fs::read_to_string(format!("/proc/{process}/environ")).unwrap();
    assert_eq!(environment.matches('=').count(), 1, "the key and nothing else");

    let folder = broker.folder().join("broker");
    for file in files(&folder) {
        let bytes = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&key), "{}", file.display());
        assert!(!text.contains("PRIVATE KEY"), "{}", file.display());
    }
    assert!(!folder.join("tls").join("server.key").exists());
    broker.shut().await;
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_tls_are_told_nothing() {
    let broker = TestServer::start().await.unwrap();
    let ports = broker.server().unwrap().ports();
    let mut plain = TcpStream::connect(("127.0.0.1", ports.client)).unwrap();
    plain.write_all(b"CONNECT {}\r\nPING\r\n").unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = Vec::new();
    // The server may also reset the connection; either way it says nothing of NATS.
    let _ = plain.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("INFO") && !text.contains("PONG"), "{text}");
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_refused_by_both_listeners() {
    let broker = TestServer::start().await.unwrap();
    let ports = broker.server().unwrap().ports();
    for port in [ports.client, ports.websocket] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.write_all(&client_hello_1_2()).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let mut record = [0; 7];
        socket.read_exact(&mut record).unwrap();
        // Record type 21: alert; level 2: fatal; description 70: protocol version.
        assert_eq!((record[0], record[5], record[6]), (21, 2, 70), "{record:?}");
    }
    broker.shut().await;
}

/// A client that speaks nothing newer than TLS 1.2 (RFC 5246 §7.4.1.2), without the extension that would offer 1.3.
fn client_hello_1_2() -> Vec<u8> {
    let groups = [0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x1d, 0x00, 0x17];
    let signatures = [0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x04];
    let mut body = vec![0x03, 0x03];
    body.extend([0x5a; 32]);
    body.extend([0x00, 0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x2f, 0x01, 0x00]);
    body.extend([0x00, 20]);
    body.extend(groups.into_iter().chain(signatures));
    let length = u8::try_from(body.len()).unwrap();
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length];
    hello.extend(body);
    hello
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_foreign_certificate_is_not_trusted() {
    let broker = TestServer::start().await.unwrap();
    let other = CertificateAuthority::generate(clock::now()).unwrap();
    let mut endpoint = broker.endpoint().unwrap();
    endpoint.tls = ClientTls::trusting(other.certificate_pem()).unwrap();
    let credential = broker.operator.credential(OperatorRole::Registry, "registry-1").unwrap();
    assert!(Connection::open(&endpoint, credential).await.is_err());
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_said_so() {
    let broker = TestServer::stopped().unwrap();
    let mut plan = broker.plan().unwrap();
    plan.program = broker.folder().join("no-such-program");
    assert!(matches!(Server::start(plan).await, Err(ServerError::Program { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_the_server_refuses_stops_the_start() {
    let broker = TestServer::stopped().unwrap();
    let mut plan = broker.plan().unwrap();
    plan.websocket_origins = vec!["not an origin".to_owned()];
    let outcome = Server::start(plan).await;
    assert!(matches!(outcome, Err(ServerError::Configuration(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_names_no_listener_but_loopback() {
    let broker = TestServer::start().await.unwrap();
    let text = std::fs::read_to_string(broker.folder().join("broker").join("nats-server.conf")).unwrap();
    assert_eq!(text.matches("\"127.0.0.1:").count(), 3);
    assert!(text.contains("$VETTID_BROKER_STORE_KEY"));
    assert!(text.contains("\"sync_interval\": \"always\""));
    assert_eq!(text.matches("\"min_version\": \"1.3\"").count(), 2);
    broker.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_server_ends() {
    let mut broker = TestServer::stopped().unwrap();
    broker.run().await.unwrap();
    let process = broker.server().unwrap().process_id().unwrap();
    tokio::task::spawn_blocking(move || drop(broker)).await.unwrap();
    assert!(!Path::new(&format!("/proc/{process}")).exists());
}

/// Only for the test below: a process that starts a broker and then does nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started and killed by another test"]
async fn a_process_with_a_broker() {
    let broker = TestServer::start().await.unwrap();
    println!("\nbroker {} {}", broker.server().unwrap().process_id().unwrap(), broker.folder().display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_outlive_the_process_that_supervises_it() {
    if !Path::new("/usr/bin/setpriv").exists() {
        return;
    }
    let mut supervisor = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_with_a_broker", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(supervisor.stdout.take().unwrap()).lines();
    let told = lines.map(|line| line.unwrap()).find(|line| line.starts_with("broker ")).unwrap();
    let words: Vec<&str> = told.split(' ').collect();
    let (server, folder) = (format!("/proc/{}", words[1]), words[2]);
    assert!(Path::new(&server).exists());

    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    tokio::time::timeout(SOON, async {
        while Path::new(&server).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_of_other_origins_are_turned_away() {
    let broker = TestServer::start().await.unwrap();
    assert!(websocket_answer(&broker, "https://localhost").starts_with("HTTP/1.1 101"));
    assert!(websocket_answer(&broker, "https://evil.example").starts_with("HTTP/1.1 403"));
    broker.shut().await;
}

/// What the server answers to a browser page of this origin that opens a WebSocket (RFC 6455 §4.1).
fn websocket_answer(broker: &TestServer, origin: &str) -> String {
    let port = broker.server().unwrap().ports().websocket;
    let config = std::sync::Arc::new(broker.endpoint().unwrap().tls.config());
    let mut tls = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {origin}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 256];
    let read = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}
