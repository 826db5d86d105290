//! The state of a gateway: the one suite that SQLite and PostgreSQL pass, and what is each one's own.

#![expect(clippy::unwrap_used, reason = "tests")]

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use sqlx::{Connection as _, SqliteConnection};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vettid_store::state::postgres::{DatabaseAddress, PostgresState};
use vettid_store::state::sqlite::SqliteState;
use vettid_store::state::{Contents, RowChanges, StateStore, StoreError};
use vettid_testkit::postgres::Cluster;

/// A place that can be taken again and again.
enum Place<'a> {
    File(PathBuf),
    Database(Box<DatabaseAddress>, &'a Cluster),
}

type Taken = Result<(Box<dyn StateStore>, Contents), StoreError>;

impl Place<'_> {
    async fn take(&self) -> Taken {
        match self {
            Self::File(path) => SqliteState::take(path)
                .await
                .map(|(store, contents)| (Box::new(store) as Box<dyn StateStore>, contents)),
            Self::Database(address, _) => PostgresState::take(address)
                .await
                .map(|(store, contents)| (Box::new(store) as Box<dyn StateStore>, contents)),
        }
    }

    async fn look(&self) -> Contents {
        match self {
            Self::File(path) => SqliteState::look(path).await.unwrap(),
            Self::Database(address, _) => PostgresState::look(address).await.unwrap(),
        }
    }
}

fn name(number: u32) -> [u8; 32] {
    let mut name = [0; 32];
    name.iter_mut().zip(number.to_be_bytes()).for_each(|(place, byte)| *place = byte);
    name
}

/// Each of `numbers` with this content, or without any.
fn changes(numbers: impl IntoIterator<Item = u32>, content: Option<&[u8]>) -> RowChanges {
    numbers.into_iter().map(|number| (name(number), content.map(<[u8]>::to_vec))).collect()
}

fn numbers(contents: &Contents) -> Vec<u32> {
    contents.rows.keys().map(|name| u32::from_be_bytes(*name.first_chunk().unwrap())).collect()
}

/// The suite.
async fn conforms(place: Place<'_>) {
    keeps_what_was_committed(&place).await;
    takes_many_rows_at_once(&place).await;
    purges(&place).await;
    lets_nobody_commit_who_was_overtaken(&place).await;
}

async fn keeps_what_was_committed(place: &Place<'_>) {
    let (mut store, contents) = place.take().await.unwrap();
    assert_eq!(contents, Contents::default());
    store.check().await.unwrap();
    store.commit(b"1", &changes([1, 2, 3], Some(b"one"))).await.unwrap();
    let mut mixed = changes([2, 9], None);
    mixed.extend(changes([3, 4], Some(b"two")));
    store.commit(b"2", &mixed).await.unwrap();
    store.commit(b"3", &RowChanges::new()).await.unwrap();
    let looked = place.look().await;
    store.close().await.unwrap();
    let (store, contents) = place.take().await.unwrap();
    assert_eq!(contents, looked);
    assert_eq!(contents.head.as_deref(), Some(b"3".as_slice()));
    assert_eq!(numbers(&contents), [1, 3, 4]);
    let values: Vec<_> = contents.rows.values().map(Vec::as_slice).collect();
    assert_eq!(values, [b"one".as_slice(), b"two", b"two"]);
    store.close().await.unwrap();
}

async fn takes_many_rows_at_once(place: &Place<'_>) {
    let (mut store, _) = place.take().await.unwrap();
    let large = vec![7; 3_000_000];
    let mut all = changes(0..3_000, Some(b"small"));
    all.extend(changes(3_000..3_003, Some(&large)));
    store.commit(b"many", &all).await.unwrap();
    let contents = place.look().await;
    assert!(numbers(&contents).into_iter().eq(0..3_003));
    assert_eq!(contents.rows.get(&name(3_002)), Some(&large));
    store.commit(b"few", &changes(5..3_003, None)).await.unwrap();
    assert_eq!(numbers(&place.look().await), [0, 1, 2, 3, 4]);
    store.close().await.unwrap();
}

async fn purges(place: &Place<'_>) {
    let (mut store, _) = place.take().await.unwrap();
    store.commit(b"less", &changes(1..5, None)).await.unwrap();
    store.purge().await.unwrap();
    store.check().await.unwrap();
    store.commit(b"more", &changes([8], Some(b"after"))).await.unwrap();
    assert_eq!(numbers(&place.look().await), [0, 8]);
    store.close().await.unwrap();
}

/// Raises the generation as somebody would who took the state in spite of the lock.
async fn overtake(place: &Place<'_>) {
    match place {
        Place::File(_) => drop(place.take().await.unwrap()),
        Place::Database(_, cluster) => {
            cluster.psql("vettid", "UPDATE suite.state_head SET generation = generation + 1").unwrap();
        }
    }
}

async fn lets_nobody_commit_who_was_overtaken(place: &Place<'_>) {
    let (mut store, before) = place.take().await.unwrap();
    overtake(place).await;
    assert!(matches!(store.check().await, Err(StoreError::TakenOver)));
    let refused = store.commit(b"late", &changes([77], Some(b"late"))).await;
    assert!(matches!(refused, Err(StoreError::TakenOver)), "{refused:?}");
    assert_eq!(place.look().await, before);
}

#[tokio::test]
async fn sqlite_conforms() {
    let folder = TempDir::new().unwrap();
    conforms(Place::File(folder.path().join("state.sqlite"))).await;
}

/// A reader holds back the end of a purge, not the gateway.
#[tokio::test]
async fn sqlite_purges_after_a_backup() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.sqlite");
    let (mut store, _) = SqliteState::take(&path).await.unwrap();
    let secret = b"a content that must go ".repeat(40);
    store.commit(b"1", &changes([1], Some(&secret))).await.unwrap();
    let mut backup = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let mut reading = backup.begin().await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM state_rows").fetch_one(&mut *reading).await.unwrap();
    assert_eq!(rows, 1);
    store.commit(b"2", &changes([1], None)).await.unwrap();
    store.purge().await.unwrap();
    store.commit(b"3", &changes([2], Some(b"goes on"))).await.unwrap();
    assert!(is_below(folder.path(), &secret));
    reading.rollback().await.unwrap();
    store.check().await.unwrap();
    assert!(!is_below(folder.path(), &secret));
    Box::new(store).close().await.unwrap();
}

#[test]
fn an_address_says_where_and_is_never_shown() {
    for right in [
        "postgres://shop:secret@127.0.0.1/vettid",
        "postgresql://shop:secret@[::1]:5433/vettid",
        "postgres://shop@localhost/vettid?host=/run/postgresql",
        "postgres://shop:secret@db.example/vettid?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    ] {
        let address: DatabaseAddress = right.parse().unwrap();
        assert_eq!(format!("{address:?}"), "DatabaseAddress");
    }
    for wrong in [
        "",
        "mysql://shop:secret@127.0.0.1/vettid",
        "postgres://shop:secret@127.0.0.1/",
        "postgres://shop:secret@db.example/vettid",
        "postgres://shop:secret@db.example/vettid?sslmode=require",
        "postgres://shop:secret@db.example/vettid?sslmode=verify-ca",
        "postgres://shop:secret@127.0.0.1/vettid?hostaddr=192.0.2.1",
        "postgres://shop:secret@127.0.0.1/vettid?host=db.example",
        "postgres://shop:secret@127.0.0.1/vettid?pasword=secret",
    ] {
        let error = wrong.parse::<DatabaseAddress>().unwrap_err();
        assert!(matches!(error, StoreError::Address(_)), "{wrong}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

fn parsed(address: &str) -> Box<DatabaseAddress> {
    Box::new(address.parse().unwrap())
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_conforms() {
    let cluster = Cluster::start().unwrap();
    conforms(Place::Database(parsed(&cluster.schema("suite").unwrap()), &cluster)).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_lets_one_session_in() {
    let cluster = Cluster::start().unwrap();
    let address = parsed(&cluster.address());
    let (mut first, _) = PostgresState::take(&address).await.unwrap();
    first.commit(b"1", &changes([1], Some(b"one"))).await.unwrap();
    assert!(matches!(PostgresState::take(&address).await, Err(StoreError::InUse)));
    first.commit(b"2", &changes([2], Some(b"two"))).await.unwrap();
    // Another schema is another gateway.
    let other = parsed(&cluster.schema("other").unwrap());
    let (second, contents) = PostgresState::take(&other).await.unwrap();
    assert_eq!(contents, Contents::default());
    Box::new(second).close().await.unwrap();
    // A session that was lost lets the next one in, and does not come back.
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'vettid'";
    assert_eq!(cluster.psql("vettid", ended).unwrap(), "1");
    let (mut third, contents) = PostgresState::take(&address).await.unwrap();
    assert_eq!(numbers(&contents), [1, 2]);
    assert!(first.commit(b"3", &changes([3], Some(b"three"))).await.is_err());
    assert!(first.check().await.is_err());
    third.commit(b"4", &changes([4], Some(b"four"))).await.unwrap();
    assert_eq!(numbers(&PostgresState::look(&address).await.unwrap()), [1, 2, 4]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_must_keep_its_promises() {
    let cluster = Cluster::start().unwrap();
    let address = parsed(&cluster.address());
    for setting in ["synchronous_commit", "fsync"] {
        cluster.set(setting, "off").unwrap();
        let refused = PostgresState::take(&address).await;
        assert!(matches!(refused, Err(StoreError::NotDurable(name)) if name == setting), "{refused:?}");
        cluster.set(setting, "on").unwrap();
    }
    PostgresState::take(&address).await.unwrap();
}

/// An authority, and a certificate of it with its key for a server of this name; all PEM.
fn certified(name: &str) -> (String, String, String) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (authority, certificate.pem(), key.serialize_pem())
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_over_a_network_is_known_by_certificate_and_name() {
    let mut cluster = Cluster::start().unwrap();
    let folder = TempDir::new().unwrap();
    let (authority, certificate, key) = certified("localhost");
    let mut port = cluster.serve_tls(&certificate, &key).unwrap();
    let user = cluster.address().split_once("://").unwrap().1.split_once('@').unwrap().0.to_owned();
    let address = |port: u16, authority: &str| {
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority).unwrap();
        let tls = format!("sslmode=verify-full&sslrootcert={}", file.display());
        parsed(&format!("postgres://{user}@localhost:{port}/vettid?{tls}"))
    };
    let (store, _) = PostgresState::take(&address(port, &authority)).await.unwrap();
    let sealed = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                  WHERE ssl AND application_name = 'vettid'";
    assert_eq!(cluster.psql("vettid", sealed).unwrap(), "1");
    Box::new(store).close().await.unwrap();
    let refused = PostgresState::take(&address(port, &certified("localhost").0)).await;
    assert!(matches!(refused, Err(StoreError::Backend(sqlx::Error::Tls(_) | sqlx::Error::Io(_)))), "{refused:?}");
    let (authority, certificate, key) = certified("db.example");
    port = cluster.serve_tls(&certificate, &key).unwrap();
    let refused = PostgresState::take(&address(port, &authority)).await;
    assert!(matches!(refused, Err(StoreError::Backend(sqlx::Error::Tls(_) | sqlx::Error::Io(_)))), "{refused:?}");
}

/// What is purged is gone from the tables of the server, also if a backup held it back for a while.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test --only databases"]
async fn postgres_purges_after_a_backup() {
    let cluster = Cluster::start().unwrap();
    let address = cluster.address();
    let (mut store, _) = PostgresState::take(&parsed(&address)).await.unwrap();
    let base = cluster.cluster().join("base");
    // Small enough to lie in a page beside others, which stay.
    let secret = b"a content that must go ".repeat(12);
    for held_back in [false, true] {
        store.commit(b"0", &changes(100..103, Some(&[5; 300]))).await.unwrap();
        store.commit(b"1", &changes([1], Some(&secret))).await.unwrap();
        cluster.psql("vettid", "CHECKPOINT").unwrap();
        assert!(is_below(&base, &secret));
        store.commit(b"2", &changes([1], None)).await.unwrap();
        if held_back {
            let mut backup = sqlx::PgConnection::connect(&address).await.unwrap();
            let mut reading = backup.begin().await.unwrap();
            let rows: i64 =
                sqlx::query_scalar("SELECT count(*) FROM state_rows").fetch_one(&mut *reading).await.unwrap();
            assert_eq!(rows, 3);
            store.purge().await.unwrap();
            store.commit(b"3", &changes([2], Some(b"goes on"))).await.unwrap();
            assert!(is_below(&base, &secret));
            reading.rollback().await.unwrap();
            store.check().await.unwrap();
        } else {
            store.purge().await.unwrap();
        }
        cluster.psql("vettid", "CHECKPOINT").unwrap();
        assert!(!is_below(&base, &secret));
    }
}

/// Whether a file below a folder holds these bytes, or a piece of them.
fn is_below(folder: &Path, bytes: &[u8]) -> bool {
    let piece = bytes.get(..64).unwrap();
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_below(&path, bytes);
        }
        std::fs::read(path).unwrap().windows(piece.len()).any(|window| window == piece)
    })
}
