//! Samples of what services store with a member.

use crate::sample::Samples;
use crate::value;
use vettid_wire::stored::{
    BrowseStored, DeleteStored, ListStored, NameStored, StorageUse, StoreData, StoredByService, StoredDeleted,
    StoredInCategory, StoredItem, StoredList, StoredOutcome, StoredPlace, StoredRef, StoredResponse, StoredValue,
};

const CATEGORY: &str = "receipts";
const NAME: &str = "order-1042";

fn item() -> StoredItem {
    StoredItem {
        category: CATEGORY.to_owned(),
        name: NAME.to_owned(),
        size_bytes: 812,
        stored_at: value::at(0),
        expires_at: Some(value::at(30)),
    }
}

fn used() -> StorageUse {
    StorageUse { quota_bytes: 65_536, used_bytes: 812, items: 1 }
}

fn by_service() -> StoredByService {
    StoredByService {
        connection_id: value::connection(),
        display_name: "Demo Shop".to_owned(),
        service_id: value::service(),
        ended: false,
        quota_bytes: Some(65_536),
        used_bytes: 812,
        items: 1,
        categories: vec![in_category()],
    }
}

fn in_category() -> StoredInCategory {
    let purpose = Some("Receipts of what you ordered".to_owned());
    StoredInCategory { category: CATEGORY.to_owned(), purpose, used_bytes: 812, items: 1 }
}

fn place() -> StoredPlace {
    StoredPlace { category: CATEGORY.to_owned(), name: NAME.to_owned() }
}

fn of_services(samples: &mut Samples) {
    let (request_id, contract_hash) = (value::request(), value::bytes_url(32));
    let (category, name) = (CATEGORY.to_owned(), NAME.to_owned());
    let store = StoreData {
        request_id,
        contract_hash: contract_hash.clone(),
        category: category.clone(),
        name: name.clone(),
        value: value::address(),
        expires_at: Some(value::at(30)),
    };
    samples.object("StoreData", store).open(&["/value"]).optional(&["/expires_at"]);
    let named = NameStored { request_id, contract_hash: contract_hash.clone(), category: category.clone(), name };
    samples.object("NameStored", named);
    let list =
        ListStored { request_id, contract_hash, category: Some(category), after: Some(place()), limit: Some(50) };
    samples.object("ListStored", list).optional(&["/category", "/after", "/limit"]);
    samples.object("StoredPlace", place());
}

fn answers(samples: &mut Samples) {
    samples.object("StoredItem", item()).optional(&["/expires_at"]);
    samples.object("StorageUse", used());
    let outcome = StoredOutcome::Read { item: item(), value: value::address() };
    let proof = Some(crate::answer::proof());
    let response = StoredResponse { request_id: value::request(), outcome: outcome.clone(), proof };
    samples
        .object("StoredResponse", response)
        .open(&["/outcome/read/value"])
        .optional(&["/outcome/read/item/expires_at", "/proof"]);
    samples.case("StoredOutcome", outcome).open(&["/read/value"]).optional(&["/read/item/expires_at"]);
    let stored = StoredOutcome::Stored { item: item(), used: used() };
    samples.case("StoredOutcome", stored).optional(&["/stored/item/expires_at"]);
    let listed = StoredOutcome::Listed { items: vec![item()], more: true, used: used() };
    samples.case("StoredOutcome", listed).optional(&["/listed/items/0/expires_at"]);
    samples.case("StoredOutcome", StoredOutcome::Deleted { used: used() });
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("stored");
    of_services(&mut samples);
    answers(&mut samples);
    let connection_id = value::connection();
    let browse = BrowseStored {
        connection_id: Some(connection_id),
        category: Some(CATEGORY.to_owned()),
        after: Some(place()),
        after_connection: Some(connection_id),
        limit: Some(50),
    };
    samples.object("BrowseStored", browse).optional(&[
        "/connection_id",
        "/category",
        "/after",
        "/after_connection",
        "/limit",
    ]);
    let list = StoredList { services: vec![by_service()], items: vec![item()], more: false };
    samples.object("StoredList", list).optional(&[
        "/services/0/quota_bytes",
        "/services/0/categories",
        "/items/0/expires_at",
    ]);
    samples.object("StoredByService", by_service()).optional(&["/quota_bytes", "/categories"]);
    samples.object("StoredInCategory", in_category()).optional(&["/purpose"]);
    let (category, name) = (CATEGORY.to_owned(), NAME.to_owned());
    samples.object("StoredRef", StoredRef { connection_id, category: category.clone(), name: name.clone() });
    let found = StoredValue { item: item(), value: value::address() };
    samples.object("StoredValue", found).open(&["/value"]).optional(&["/item/expires_at"]);
    let delete = DeleteStored { connection_id, category: Some(category), name: Some(name) };
    samples.object("DeleteStored", delete).optional(&["/category", "/name"]);
    samples.object("StoredDeleted", StoredDeleted { items: 1, bytes: 812 });
    samples
}
