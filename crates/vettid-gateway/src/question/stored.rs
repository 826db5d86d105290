//! Questions about what the service stores with a member. An answer counts when it is about the very thing that was asked about, and
//! the key of the connection signed it.

use super::{Asker, Kind, NotAnAnswer, QuestionError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::event::{DataStore, DataStoredDelete, DataStoredGet, DataStoredList, EventRow as _, Row};
use vettid_wire::id::RequestId;
use vettid_wire::json::JsonError;
use vettid_wire::stored::{ListStored, NameStored, StoreData, StoredItem, StoredOutcome, StoredPlace, StoredResponse};
use vettid_wire::time::Timestamp;

/// What a program of the service wants done with what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfStored {
    /// To store a value, in place of what stood there.
    Put {
        /// Where.
        place: StoredPlace,
        /// What.
        value: Value,
        /// It is gone from then on.
        expires_at: Option<Timestamp>,
    },
    /// To read one thing.
    Get(StoredPlace),
    /// To list.
    List {
        /// Only this category.
        category: Option<String>,
        /// Only what stands after this one.
        after: Option<StoredPlace>,
        /// At most so many.
        limit: Option<u16>,
    },
    /// To delete one thing.
    Delete(StoredPlace),
}

/// What an answer is held against. `Serialize` is for the sealed state alone; no value is part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredAsked {
    /// To store something there.
    Put(StoredPlace),
    /// To read it.
    Get(StoredPlace),
    /// To list, only this category, after this place.
    List(Option<String>, Option<StoredPlace>),
    /// To delete it.
    Delete(StoredPlace),
}

impl StoredAsked {
    pub(super) fn row(&self) -> Row {
        match self {
            Self::Put(_) => DataStore::ROW,
            Self::Get(_) => DataStoredGet::ROW,
            Self::List(..) => DataStoredList::ROW,
            Self::Delete(_) => DataStoredDelete::ROW,
        }
    }

    /// What programs call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Put(_) => "store",
            Self::Get(_) => "stored_get",
            Self::List(..) => "stored_list",
            Self::Delete(_) => "stored_delete",
        }
    }

    /// What an answer says, if it is about what was asked.
    pub(super) fn judge(&self, id: RequestId, response: StoredResponse) -> Result<StoredOutcome, NotAnAnswer> {
        let is_of =
            |place: &StoredPlace, item: &StoredItem| (&place.category, &place.name) == (&item.category, &item.name);
        let fits = match (self, &response.outcome) {
            (Self::Put(place), StoredOutcome::Stored { item, .. })
            | (Self::Get(place), StoredOutcome::Read { item, .. }) => is_of(place, item),
            (Self::Delete(_), StoredOutcome::Deleted { .. }) => true,
            (Self::List(category, after), StoredOutcome::Listed { items, .. }) => {
                let places: Vec<_> = after.iter().cloned().chain(items.iter().map(place)).collect();
                let is_within = |item: &StoredItem| category.as_ref().is_none_or(|only| *only == item.category);
                places.is_sorted_by(|before, after| before < after) && items.iter().all(is_within)
            }
            _ => false,
        };
        if fits && response.request_id == id { Ok(response.outcome) } else { Err(NotAnAnswer::Contradiction) }
    }
}

/// Where a thing stands.
fn place(item: &StoredItem) -> StoredPlace {
    StoredPlace { category: item.category.clone(), name: item.name.clone() }
}

pub(super) fn request(
    asker: Asker<'_>,
    request_id: RequestId,
    asked: OfStored,
) -> Result<(Kind, Value), QuestionError> {
    let contract_hash = asker.contract_hash.clone();
    let named = |StoredPlace { category, name }: StoredPlace| NameStored {
        request_id,
        contract_hash: contract_hash.clone(),
        category,
        name,
    };
    let (kind, body) = match asked {
        OfStored::Put { place, value, expires_at } => {
            let StoredPlace { category, name } = place.clone();
            let contract_hash = contract_hash.clone();
            let body = StoreData { request_id, contract_hash, category, name, value, expires_at };
            (StoredAsked::Put(place), serde_json::to_value(body))
        }
        OfStored::Get(place) => (StoredAsked::Get(place.clone()), serde_json::to_value(named(place))),
        OfStored::Delete(place) => (StoredAsked::Delete(place.clone()), serde_json::to_value(named(place))),
        OfStored::List { category, after, limit } => {
            let kind = StoredAsked::List(category.clone(), after.clone());
            let contract_hash = contract_hash.clone();
            (kind, serde_json::to_value(ListStored { request_id, contract_hash, category, after, limit }))
        }
    };
    Ok((Kind::Stored(Box::new(kind)), body.map_err(JsonError::Shape)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::stored::StorageUse;

    fn at(category: &str, name: &str) -> StoredPlace {
        StoredPlace { category: category.to_owned(), name: name.to_owned() }
    }

    fn item(category: &str, name: &str) -> StoredItem {
        let StoredPlace { category, name } = at(category, name);
        StoredItem { category, name, size_bytes: 3, stored_at: Timestamp::default(), expires_at: None }
    }

    fn used() -> StorageUse {
        StorageUse { quota_bytes: 9, used_bytes: 3, items: 1 }
    }

    fn counts(asked: &StoredAsked, outcome: &StoredOutcome) -> bool {
        let id = RequestId::from_bytes([1; 16]);
        let response = |request_id| StoredResponse { request_id, outcome: outcome.clone(), proof: None };
        let other = asked.judge(RequestId::from_bytes([2; 16]), response(id));
        assert_eq!(other, Err(NotAnAnswer::Contradiction));
        asked.judge(id, response(id)).is_ok()
    }

    #[test]
    fn an_answer_is_about_what_was_asked() {
        let here = || at("cards", "a");
        let stored = |name| StoredOutcome::Stored { item: item("cards", name), used: used() };
        let read = |name| StoredOutcome::Read { item: item("cards", name), value: Value::Null };
        let deleted = StoredOutcome::Deleted { used: used() };
        assert!(counts(&StoredAsked::Put(here()), &stored("a")));
        assert!(counts(&StoredAsked::Get(here()), &read("a")));
        assert!(counts(&StoredAsked::Delete(here()), &deleted));
        for (asked, wrong) in [
            (StoredAsked::Put(here()), stored("b")),
            (StoredAsked::Put(here()), read("a")),
            (StoredAsked::Get(here()), read("b")),
            (StoredAsked::Get(here()), stored("a")),
            (StoredAsked::Get(here()), deleted.clone()),
            (StoredAsked::Delete(here()), stored("a")),
            (StoredAsked::List(None, None), deleted),
        ] {
            assert!(!counts(&asked, &wrong), "{asked:?} {wrong:?}");
        }
    }

    #[test]
    fn a_list_is_in_order_within_its_category_and_after_its_place() {
        let listed = |places: &[(&str, &str)]| StoredOutcome::Listed {
            items: places.iter().map(|(category, name)| item(category, name)).collect(),
            more: false,
            used: used(),
        };
        let all = StoredAsked::List(None, None);
        let cards = StoredAsked::List(Some("cards".to_owned()), None);
        let later = StoredAsked::List(None, Some(at("cards", "a")));
        assert!(counts(&all, &listed(&[("cards", "a"), ("notes", "a")])));
        assert!(counts(&all, &listed(&[])) && counts(&later, &listed(&[])));
        assert!(counts(&cards, &listed(&[("cards", "a"), ("cards", "b")])));
        assert!(counts(&later, &listed(&[("cards", "b")])));
        assert!(!counts(&all, &listed(&[("cards", "b"), ("cards", "a")])));
        assert!(!counts(&all, &listed(&[("cards", "a"), ("cards", "a")])));
        assert!(!counts(&cards, &listed(&[("notes", "a")])));
        assert!(!counts(&later, &listed(&[("cards", "a")])));
    }
}
