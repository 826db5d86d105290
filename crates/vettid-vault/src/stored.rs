//! What services stored with the owner: each thing stands under its connection, with what all of them take, and in the order of
//! time where it has an end. It outlives its connection, and nobody but the owner reaches it then (docs/decisions/0201).

pub mod owner;
pub mod service;

use crate::failure::Failure;
use crate::projection::{Draft, UnreadableState, numbered};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vettid_core::contract::storage::Filling;
use vettid_wire::audit::Outcome;
use vettid_wire::event::{DataStore, EventRow};
use vettid_wire::id::{ConnectionId, ServiceId};
use vettid_wire::stored::{StoredItem, StoredPlace};
use vettid_wire::time::Timestamp;

/// Under this prefix stands each thing.
const ITEM: &str = "stored/item/";
/// Under this prefix stands what each connection takes.
const USE: &str = "stored/use/";
/// Under this prefix, in the order of time, stands what ends by the clock.
const AT: &str = "stored/at/";
/// Most things that one commit ends.
const AT_ONCE: usize = 64;

/// A stored thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    item: StoredItem,
    value: Value,
}

/// What a connection takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    connection_id: ConnectionId,
    service_id: ServiceId,
    used_bytes: u64,
    items: u64,
}

fn is_over(item: &StoredItem, now: Timestamp) -> bool {
    item.expires_at.is_some_and(|at| at <= now)
}

fn used(draft: &Draft<'_>, id: ConnectionId) -> Result<Option<Used>, UnreadableState> {
    draft.get(&use_key(id))
}

/// A thing whose time is not over.
fn find(
    draft: &Draft<'_>,
    now: Timestamp,
    id: ConnectionId,
    category: &str,
    name: &str,
) -> Result<Option<Kept>, UnreadableState> {
    let kept: Option<Kept> = draft.get(&item_key(id, category, name))?;
    Ok(kept.filter(|kept| !is_over(&kept.item, now)))
}

/// What there would be on a connection with this in it.
fn filling(
    draft: &Draft<'_>,
    id: ConnectionId,
    (category, name): (&str, &str),
    added_bytes: u64,
) -> Result<Filling, UnreadableState> {
    let replaced: Option<Kept> = draft.get(&item_key(id, category, name))?;
    let (used_bytes, items) = used(draft, id)?.map_or((0, 0), |used| (used.used_bytes, used.items));
    Ok(Filling { used_bytes, items, replaced_bytes: replaced.map(|kept| kept.item.size_bytes), added_bytes })
}

/// Puts a thing in the place of what stood there. Whether there is room was looked at before.
fn put(draft: &mut Draft<'_>, id: ConnectionId, service_id: &ServiceId, kept: &Kept) -> Result<(), UnreadableState> {
    let StoredItem { category, name, .. } = &kept.item;
    let filling = filling(draft, id, (category, name), kept.item.size_bytes)?;
    remove(draft, id, category, name)?;
    let (used_bytes, items) = (filling.bytes_after(), filling.items_after());
    draft.put(use_key(id), &Used { connection_id: id, service_id: service_id.clone(), used_bytes, items })?;
    if let Some(at) = kept.item.expires_at {
        draft.put_bytes(time_key(at, id, category, name), Vec::new());
    }
    draft.put(item_key(id, category, name), kept)
}

/// Takes a thing away; what it was.
fn remove(
    draft: &mut Draft<'_>,
    id: ConnectionId,
    category: &str,
    name: &str,
) -> Result<Option<StoredItem>, UnreadableState> {
    let key = item_key(id, category, name);
    let Some(Kept { item, .. }) = draft.get(&key)? else {
        return Ok(None);
    };
    draft.remove(&key);
    if let Some(at) = item.expires_at {
        draft.remove(&time_key(at, id, category, name));
    }
    if let Some(before) = used(draft, id)? {
        let used_bytes = before.used_bytes.saturating_sub(item.size_bytes);
        let items = before.items.saturating_sub(1);
        if items == 0 {
            draft.remove(&use_key(id));
        } else {
            draft.put(use_key(id), &Used { used_bytes, items, ..before })?;
        }
    }
    Ok(Some(item))
}

/// The things of a connection, or of one category of it, that stand after a place; at most `limit` that pass.
fn items(
    draft: &Draft<'_>,
    (id, category): (ConnectionId, Option<&str>),
    after: Option<&StoredPlace>,
    limit: usize,
    passes: impl Fn(&StoredItem) -> bool,
) -> Result<Vec<StoredItem>, UnreadableState> {
    let prefix = category.map_or_else(|| of_connection(id), |category| format!("{}{category}/", of_connection(id)));
    // The next key after one is that with the least byte behind it.
    let first =
        after.map_or_else(|| prefix.clone(), |place| format!("{}\0", item_key(id, &place.category, &place.name)));
    let mut found = Vec::new();
    for key in draft.keys_from(&prefix, &first, usize::MAX) {
        if found.len() == limit {
            break;
        }
        found.extend(draft.get::<Kept>(&key)?.map(|kept| kept.item).filter(&passes));
    }
    Ok(found)
}

/// Removes what is over.
pub fn tick(step: &mut Step<'_>) -> Result<(), Failure> {
    for key in step.draft.keys(AT, AT_ONCE) {
        let Some((at, id, category, name)) = read(&key) else {
            step.draft.remove(&key);
            continue;
        };
        if at > step.now {
            break;
        }
        step.draft.remove(&key);
        if remove(&mut step.draft, id, category, name)?.is_some() {
            let detail = json!({"connection_id": id, "category": category, "name": name, "expired_at": at});
            step.audit("vault", &DataStore::ROW.event_type(), Outcome::Success, detail)?;
        }
    }
    Ok(())
}

fn of_connection(id: ConnectionId) -> String {
    format!("{ITEM}{id}/")
}

fn item_key(id: ConnectionId, category: &str, name: &str) -> String {
    format!("{ITEM}{id}/{category}/{name}")
}

fn use_key(id: ConnectionId) -> String {
    format!("{USE}{id}")
}

/// Sorts by time.
fn time_key(at: Timestamp, id: ConnectionId, category: &str, name: &str) -> String {
    format!("{}/{id}/{category}/{name}", numbered(AT, at.unix_ms().unsigned_abs()))
}

fn read(place: &str) -> Option<(Timestamp, ConnectionId, &str, &str)> {
    let mut parts = place.strip_prefix(AT)?.splitn(4, '/');
    let at = Timestamp::from_unix_ms(parts.next()?.parse().ok()?);
    Some((at, parts.next()?.parse().ok()?, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Projection;

    fn kept(category: &str, name: &str, size_bytes: u64, expires_at: Option<i64>) -> Kept {
        let (category, name) = (category.to_owned(), name.to_owned());
        let expires_at = expires_at.map(Timestamp::from_unix_ms);
        let item = StoredItem { category, name, size_bytes, stored_at: Timestamp::default(), expires_at };
        Kept { item, value: Value::Null }
    }

    fn takes(draft: &Draft<'_>, id: ConnectionId) -> Option<(u64, u64)> {
        used(draft, id).unwrap().map(|used| (used.used_bytes, used.items))
    }

    #[test]
    fn what_is_taken_is_what_stands_there_and_nothing_is_left_of_what_is_gone() {
        let state = Projection::default();
        let mut draft = Draft::new(&state);
        let [first, other] = [1, 2].map(|n| ConnectionId::from_bytes([n; 16]));
        let shop: ServiceId = "demo-shop".parse().unwrap();
        for (id, thing) in [
            (first, kept("cards", "a", 10, Some(500))),
            (first, kept("cards", "b", 20, None)),
            (other, kept("cards", "a", 40, None)),
            (first, kept("cards", "a", 5, Some(900))),
        ] {
            put(&mut draft, id, &shop, &thing).unwrap();
            draft.keep_step();
        }
        assert_eq!((takes(&draft, first), takes(&draft, other)), (Some((25, 2)), Some((40, 1))));
        let times = draft.keys(AT, 9);
        assert_eq!(times.iter().filter_map(|key| read(key)).map(|(at, ..)| at.unix_ms()).collect::<Vec<_>>(), [900]);
        let found = |now| find(&draft, Timestamp::from_unix_ms(now), first, "cards", "a").unwrap().is_some();
        assert!(found(899) && !found(900));
        for name in ["a", "b"] {
            assert!(remove(&mut draft, first, "cards", name).unwrap().is_some());
            assert_eq!(remove(&mut draft, first, "cards", name).unwrap(), None);
        }
        assert_eq!(takes(&draft, first), None);
        assert!(draft.keys(AT, 9).is_empty() && draft.keys(&of_connection(first), 9).is_empty());
        assert_eq!(takes(&draft, other), Some((40, 1)));
    }

    #[test]
    fn lists_go_on_after_a_place_in_one_order() {
        let state = Projection::default();
        let mut draft = Draft::new(&state);
        let (id, shop) = (ConnectionId::from_bytes([1; 16]), "demo-shop".parse().unwrap());
        let names = [("a", "x"), ("a", "x-1"), ("a", "x.1"), ("a1", "x"), ("b", "0"), ("b", "A")];
        for (category, name) in names.iter().rev() {
            put(&mut draft, id, &shop, &kept(category, name, 1, None)).unwrap();
        }
        let place = |item: &StoredItem| StoredPlace { category: item.category.clone(), name: item.name.clone() };
        let all = |category: Option<&str>| {
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let next = items(&draft, (id, category), after.as_ref(), 2, |_| true).unwrap();
                let Some(last) = next.last() else { break seen };
                after = Some(place(last));
                seen.extend(next.iter().map(place));
            }
        };
        let wanted: Vec<_> =
            names.map(|(category, name)| StoredPlace { category: category.into(), name: name.into() }).into();
        assert!(wanted.is_sorted());
        assert_eq!(all(None), wanted);
        assert_eq!(all(Some("a")), &wanted[..3]);
    }
}
