//! The audit export is the vault's whole chain, as it was.

use crate::world::World;
use vettid_client::export::ExportFailure;
use vettid_crypto::audit::export::{ExportError, Trust, verify_export};

async fn world_with(entries: usize) -> World {
    let world = World::enrolled().await;
    for number in 0..entries {
        world.vault.lock().unwrap().happen(world.clock.time(), &format!("event {number}"));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn stretches_become_one_whole_export() {
    for entries in [0, 1, 3, 7] {
        let world = world_with(entries).await;
        let export = world.app().export_audit().await.unwrap();
        assert_eq!(export.entries, entries as u64);
        let vault = Some(world.vault.lock().unwrap().fingerprint());
        let report = verify_export(export.text.as_bytes(), Trust { vault, newest: None }).unwrap();
        assert_eq!((report.checkpoint.size, report.details), (entries as u64, entries as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn an_edited_chain_is_refused() {
    let world = world_with(7).await;
    world.vault.lock().unwrap().entries[2].entry.actor = "nobody".into();
    let error = world.app().export_audit().await.unwrap_err();
    assert!(matches!(error, ExportFailure::Broken(ExportError::Chain { .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_became_shorter_is_refused() {
    let world = world_with(7).await;
    world.app().export_audit().await.unwrap();
    let shorter = world_with(0).await;
    {
        let (mut vault, mut fresh) = (world.vault.lock().unwrap(), shorter.vault.lock().unwrap());
        let chain = vettid_crypto::audit::Chain::new(vault.guid, &vault.fingerprint());
        vault.entries.clear();
        vault.chain = chain;
        fresh.entries.clear();
    }
    let error = world.app().export_audit().await.unwrap_err();
    assert!(matches!(error, ExportFailure::Broken(ExportError::RolledBack(_))), "{error}");
    let error = world.app().status().await.unwrap_err();
    assert!(error.to_string().contains("audit chain had 7 entries and has 0"), "{error}");
}
