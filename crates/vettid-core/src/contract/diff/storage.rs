//! What is different in what a service may store. No section is a quota of nothing without categories.

use super::{Change, Effect, Kind, Part};
use vettid_wire::contract::{Storage, StorageCategory};

/// Adds every change of the storage section.
pub(super) fn changes(before: Option<&Storage>, after: Option<&Storage>, changes: &mut Vec<Change>) {
    let quota = |storage: Option<&Storage>| storage.map(|storage| storage.quota_bytes);
    changes.extend(of_quota(quota(before), quota(after)));
    for declared in categories(after) {
        match before.and_then(|storage| storage.category(&declared.category)) {
            None => changes.push(of_category(Effect::Wider, Kind::Added, None, Some(declared))),
            Some(was) if was.purpose != declared.purpose => {
                changes.push(of_category(Effect::Words, Kind::Changed, Some(was), Some(declared)));
            }
            Some(_) => {}
        }
    }
    let is_gone = |declared: &&StorageCategory| after.is_none_or(|after| after.category(&declared.category).is_none());
    let gone = categories(before).iter().filter(is_gone);
    changes.extend(gone.map(|declared| of_category(Effect::Narrower, Kind::Removed, Some(declared), None)));
}

fn categories(storage: Option<&Storage>) -> &[StorageCategory] {
    storage.map_or(&[], |storage| &storage.categories)
}

fn of_quota(was: Option<u64>, is: Option<u64>) -> Option<Change> {
    if was == is {
        return None;
    }
    let kind = match (was, is) {
        (None, _) => Kind::Added,
        (_, None) => Kind::Removed,
        _ => Kind::Changed,
    };
    let effect = if is > was { Effect::Wider } else { Effect::Narrower };
    let shown = |quota_bytes: Option<u64>| quota_bytes.map(|bytes| bytes.to_string());
    Some(Change { effect, kind, part: Part::Quota, field: None, category: None, before: shown(was), after: shown(is) })
}

fn of_category(effect: Effect, kind: Kind, was: Option<&StorageCategory>, is: Option<&StorageCategory>) -> Change {
    let name = is.or(was).map(|declared| declared.category.clone());
    let purpose = |declared: Option<&StorageCategory>| declared.map(|declared| declared.purpose.clone());
    let (before, after) = (purpose(was), purpose(is));
    Change { effect, kind, part: Part::Category, field: None, category: name, before, after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(quota_bytes: u64, names: &[&str]) -> Storage {
        let category = |name: &&str| StorageCategory { category: (*name).to_owned(), purpose: "p".to_owned() };
        Storage { quota_bytes, categories: names.iter().map(category).collect() }
    }

    fn found(before: Option<&Storage>, after: Option<&Storage>) -> Vec<(Effect, Kind, Part, Option<String>)> {
        let mut found = Vec::new();
        changes(before, after, &mut found);
        found.into_iter().map(|change| (change.effect, change.kind, change.part, change.category)).collect()
    }

    #[test]
    fn more_bytes_or_another_category_is_wider_and_less_is_narrower() {
        let before = storage(100, &["receipts", "cards"]);
        let to = |after: &Storage| found(Some(&before), Some(after));
        assert_eq!(to(&storage(100, &["cards", "receipts"])), []);
        assert_eq!(to(&storage(101, &["receipts", "cards"])), [(Effect::Wider, Kind::Changed, Part::Quota, None)]);
        assert_eq!(to(&storage(99, &["receipts", "cards"])), [(Effect::Narrower, Kind::Changed, Part::Quota, None)]);
        let other = [
            (Effect::Wider, Kind::Added, Part::Category, Some("letters".to_owned())),
            (Effect::Narrower, Kind::Removed, Part::Category, Some("cards".to_owned())),
        ];
        assert_eq!(to(&storage(100, &["receipts", "letters"])), other);
        let mut words = before.clone();
        words.categories[1].purpose = "q".to_owned();
        assert_eq!(to(&words), [(Effect::Words, Kind::Changed, Part::Category, Some("cards".to_owned()))]);
    }

    #[test]
    fn the_whole_section_comes_and_goes() {
        let section = storage(100, &["receipts"]);
        let name = || Some("receipts".to_owned());
        let come =
            [(Effect::Wider, Kind::Added, Part::Quota, None), (Effect::Wider, Kind::Added, Part::Category, name())];
        assert_eq!(found(None, Some(&section)), come);
        let gone = [
            (Effect::Narrower, Kind::Removed, Part::Quota, None),
            (Effect::Narrower, Kind::Removed, Part::Category, name()),
        ];
        assert_eq!(found(Some(&section), None), gone);
    }
}
