//! Rows of `counters`.

use super::row::count;
use crate::ledger::{Counter, LedgerError};
use sqlx::SqlitePool;
use vettid_wire::control::Target;

const NEXT: &str = "INSERT INTO counters (name, value) VALUES (?, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value";

pub(super) async fn next(pool: &SqlitePool, counter: &Counter) -> Result<u64, LedgerError> {
    count(&sqlx::query(NEXT).bind(name(counter)).fetch_one(pool).await?, "value")
}

fn name(counter: &Counter) -> String {
    match counter {
        Counter::Control(key_id, Target::Global) => format!("control/{key_id}/global"),
        Counter::Control(key_id, Target::Enclave(host)) => {
            format!("control/{key_id}/enclave/{host}")
        }
        Counter::Control(key_id, Target::User(guid)) => format!("control/{key_id}/user/{guid}"),
        Counter::RegistryProfile => "registry-profile".to_owned(),
    }
}
