//! The inventory of keys in the town: nothing that the vault has is left out, and each use of the credential shows in it.

use crate::credential::{add, begun, status};
use crate::town::{ALICE, Town};
use serde_json::json;
use vettid_wire::inventory::{KeyHolder, KeyInventory, KeyKind, KeyPolicy, KeyUse, KeyView};
use vettid_wire::secret::SecretKind;
use vettid_wire::session::MAX_AGE_MS;

fn keys(town: &mut Town) -> Vec<KeyView> {
    town.ask::<KeyInventory>(ALICE, "key.list", json!({})).unwrap().keys
}

fn of(keys: &[KeyView], role: KeyUse) -> Vec<&KeyView> {
    keys.iter().filter(|key| key.role == role).collect()
}

#[test]
fn keys_of_the_credential_change_with_each_use_and_transaction_keys_are_counted() {
    let (mut town, mut wallet) = begun(95);
    let first = keys(&mut town);
    let made_at = town.now;
    let [cek] = of(&first, KeyUse::Credential)[..] else { panic!("{first:?}") };
    assert_eq!((cek.since, cek.policy, cek.next_rotation), (Some(made_at), KeyPolicy::EachUse, None));
    assert!(cek.id.ends_with(" version 1") && cek.holder == KeyHolder::Vault && cek.kind == KeyKind::Pair);

    town.now = town.now.plus_ms(60_000);
    add(&mut town, &mut wallet, SecretKind::Number, b"12 34");
    let second = keys(&mut town);
    let [next] = of(&second, KeyUse::Credential)[..] else { panic!("{second:?}") };
    assert!(next.id.ends_with(" version 2") && next.since > cek.since, "{next:?}");
    assert_ne!(next.id.split(' ').next(), cek.id.split(' ').next());
    let [token] = of(&second, KeyUse::IssuerToken)[..] else { panic!("{second:?}") };
    assert_eq!((token.holder, token.kind), (KeyHolder::Both, KeyKind::Symmetric));

    let left = status(&mut town).transaction_keys;
    let transaction = of(&second, KeyUse::Transaction);
    assert_eq!(u32::try_from(transaction.len()).unwrap(), left);
    assert!(transaction.iter().all(|key| key.policy == KeyPolicy::Once && key.next_rotation > key.since));
    assert!(left < u32::try_from(of(&first, KeyUse::Transaction).len()).unwrap());
}

#[test]
fn nothing_is_left_out_and_nothing_stands_twice() {
    let mut town = Town::settled(96);
    let id = town.connect();
    let all = keys(&mut town);
    for role in [
        KeyUse::Identity,
        KeyUse::Session,
        KeyUse::OwnerAccount,
        KeyUse::AppSigning,
        KeyUse::MessageAccount,
        KeyUse::ConnectionSigning,
        KeyUse::ServiceSigning,
        KeyUse::ClaimSigning,
        KeyUse::Storage,
        KeyUse::Resumption,
    ] {
        assert_eq!(of(&all, role).len(), 1, "{role:?}");
    }
    for (role, kinds) in [(KeyUse::AppSession, 2), (KeyUse::Epoch, 2), (KeyUse::Pairwise, 1), (KeyUse::BrokerUser, 1)] {
        assert_eq!(of(&all, role).len(), kinds, "{role:?}");
    }
    let mut ids: Vec<_> = all.iter().map(|key| (key.role as u8, &key.id)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    assert_eq!(all.iter().filter(|key| key.connection_id == Some(id)).count(), 4);
    assert!(all.iter().all(|key| key.next_rotation.is_none() || key.since.is_some()));
    let session = of(&all, KeyUse::AppSession)[0];
    assert_eq!(session.next_rotation, session.since.map(|since| since.plus_ms(MAX_AGE_MS)));

    // A session of another day has other keys; those of the one before are gone.
    town.resume(ALICE, true);
    let after = keys(&mut town);
    assert_ne!(of(&after, KeyUse::AppSession)[0].id, session.id);
    assert_eq!((of(&after, KeyUse::AppSession).len(), of(&after, KeyUse::Resumption).len()), (2, 2));
}
