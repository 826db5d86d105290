//! The SQLite ledger: the suite that every ledger passes, and what is its own: durability settings and tables.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod conformance;

use conformance::{account, entry};
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;
use tempfile::TempDir;
use vettid_store::audit::Act;
use vettid_store::ledger::Ledger;
use vettid_store::sqlite::{OpenError, SqliteLedger};

async fn open(folder: &TempDir) -> SqliteLedger {
    SqliteLedger::open(&folder.path().join("ledger.sqlite")).await.unwrap()
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
}

#[tokio::test]
async fn conforms() {
    conformance::conforms(async || {
        let folder = TempDir::new().unwrap();
        let ledger = open(&folder).await;
        conformance::Fresh { ledger: Box::new(ledger), keep: Box::new(folder) }
    })
    .await;
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let first = open(&folder).await;
    let alice = account(1, "alice");
    first.open_account(&alice, &entry(Act::AccountOpened(alice.guid))).await.unwrap();
    first.close().await;
    let second = open(&folder).await;
    assert_eq!(second.account_of_token(alice.portal_token_hash).await.unwrap(), Some(alice));
}

#[tokio::test]
async fn the_audit_log_cannot_be_changed_or_erased() {
    let folder = TempDir::new().unwrap();
    let ledger = open(&folder).await;
    ledger.note(&entry(Act::AccountOpened(account(1, "a").guid))).await.unwrap();
    let mut connection = raw(&folder.path().join("ledger.sqlite")).await;
    for wrong in ["UPDATE audit SET entry = '{}'", "DELETE FROM audit"] {
        let error = sqlx::query(wrong).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("append only"), "{error}");
    }
    assert_eq!(ledger.audit(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_commit_is_synced_and_every_table_is_strict() {
    let folder = TempDir::new().unwrap();
    let _ledger = open(&folder).await;
    let mut connection = raw(&folder.path().join("ledger.sqlite")).await;
    let mode: String = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap().get(0);
    assert_eq!(mode, "wal");
    let loose = sqlx::query(
        "SELECT name FROM pragma_table_list WHERE strict = 0 AND schema = 'main' AND type = 'table'
        AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations'",
    );
    assert_eq!(loose.fetch_all(&mut connection).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let content = "not a database, ".repeat(512);
    std::fs::write(&path, &content).unwrap();
    assert!(matches!(SqliteLedger::open(&path).await, Err(OpenError::File { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn tables_of_another_version_are_refused() {
    let folder = TempDir::new().unwrap();
    open(&folder).await.close().await;
    let path = folder.path().join("ledger.sqlite");
    let mut connection = raw(&path).await;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'").execute(&mut connection).await.unwrap();
    assert!(matches!(SqliteLedger::open(&path).await, Err(OpenError::Tables { .. })));
}
