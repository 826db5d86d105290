//! What a service stores with a member, through the calls of its programs: stored, read back, listed in pages, deleted; what the
//! member's vault refuses is a result, and an answer about something else counts for nothing.

use crate::http::Program;
use crate::requests::connected;
use crate::world::PATIENCE;
use crate::world::member::{Asked, Member, Service};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vettid_gateway_client::{ClientError, GatewayClient, NewApiKey, Page, Request, Status, StoreData, StoredPage};
use vettid_nats::clock;
use vettid_wire::id::RequestId;
use vettid_wire::json as vjson;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::stored::{
    ListStored, NameStored, StorageUse, StoreData as Put, StoredItem, StoredOutcome, StoredPlace, StoredResponse,
};
use zeroize::Zeroizing;

/// What a vault would keep, in the order of places.
#[derive(Default)]
struct Shelf(BTreeMap<StoredPlace, (StoredItem, Value)>);

impl Shelf {
    fn used(&self) -> StorageUse {
        let sizes = self.0.values().map(|(item, _)| item.size_bytes);
        StorageUse { quota_bytes: 1_000, used_bytes: sizes.sum(), items: u64::try_from(self.0.len()).unwrap() }
    }

    fn named(&self, asked: &NameStored) -> Result<(StoredItem, Value), RefusalCode> {
        self.0.get(&place(&asked.category, &asked.name)).cloned().ok_or(RefusalCode::NotFound)
    }

    /// Does what an event says, as a vault would.
    fn act(&mut self, name: &str, body: &Value) -> Result<StoredOutcome, RefusalCode> {
        match name {
            "data.store" => {
                let put: Put = read(body);
                let size_bytes = vettid_wire::stored::size_bytes(&put.category, &put.name, &put.value).unwrap();
                if size_bytes > 500 {
                    return Err(RefusalCode::NoRoom);
                }
                let Put { category, name, value, expires_at, .. } = put;
                let item = StoredItem { category, name, size_bytes, stored_at: clock::now(), expires_at };
                self.0.insert(place(&item.category, &item.name), (item.clone(), value));
                Ok(StoredOutcome::Stored { item, used: self.used() })
            }
            "data.stored.get" => self.named(&read(body)).map(|(item, value)| StoredOutcome::Read { item, value }),
            "data.stored.delete" => {
                let (item, _) = self.named(&read(body))?;
                self.0.remove(&place(&item.category, &item.name));
                Ok(StoredOutcome::Deleted { used: self.used() })
            }
            _ => {
                let asked: ListStored = read(body);
                let later = |at: &StoredPlace| asked.after.as_ref().is_none_or(|after| at > after);
                let within = |at: &StoredPlace| asked.category.as_ref().is_none_or(|only| *only == at.category);
                let found = self.0.iter().filter(|(at, _)| later(at) && within(at)).map(|(_, (item, _))| item.clone());
                let limit = usize::from(asked.limit.unwrap_or(100));
                let (mut items, used) = (found.collect::<Vec<_>>(), self.used());
                let more = items.len() > limit;
                items.truncate(limit);
                Ok(StoredOutcome::Listed { items, more, used })
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &Value) -> T {
    vjson::from_value(body.clone()).unwrap()
}

fn place(category: &str, name: &str) -> StoredPlace {
    StoredPlace { category: category.to_owned(), name: name.to_owned() }
}

fn request_id(asked: &Asked) -> RequestId {
    read(&asked.body["request_id"])
}

/// Answers with this outcome.
async fn answer(service: &mut Service, asked: &Asked, outcome: StoredOutcome) {
    let response = StoredResponse { request_id: request_id(asked), outcome, proof: None };
    let body = service.proven(response, asked.question());
    service.send("data.stored.response", body, Some(asked.question())).await;
}

/// Takes the next event and does what it says.
async fn serve(member: &mut Member, service: &mut Service, shelf: &mut Shelf, name: &str) {
    let asked = member.next_event(service, name).await;
    match shelf.act(name, &asked.body) {
        Ok(outcome) => answer(service, &asked, outcome).await,
        Err(code) => service.refuse(&asked, name, code).await,
    }
}

fn data(category: &str, name: &str, value: Value) -> StoreData {
    let wait_ms = Some(u32::try_from(PATIENCE.as_millis()).unwrap());
    StoreData { category: category.to_owned(), name: name.to_owned(), value, expires_at: None, wait_ms }
}

fn result(request: Request) -> StoredOutcome {
    match request.status {
        Status::Done { result } => *result,
        other => panic!("{other:?}"),
    }
}

fn names(page: &StoredPage) -> Vec<String> {
    let StoredOutcome::Listed { items, .. } = result(page.request.clone()) else { panic!("{page:?}") };
    items.iter().map(|item| format!("{}/{}", item.category, item.name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_stores_reads_lists_and_deletes() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let admin = GatewayClient::new(program.client(), program.base(), Zeroizing::new(program.key().to_owned())).unwrap();
    let key =
        |scope: &str| NewApiKey { name: scope.to_owned(), scopes: vec![scope.to_owned()], calls_per_minute: None };
    let made = admin.create_api_key(&key("data:write")).await.unwrap();
    let client = GatewayClient::new(program.client(), program.base(), Zeroizing::new(made.secret)).unwrap();
    let (id, mut shelf) = (service.connection_id, Shelf::default());

    for (category, name) in [("receipts", "order-7"), ("cards", "loyalty"), ("receipts", "order-8")] {
        let put = data(category, name, json!({"of": name}));
        let (stored, ()) =
            tokio::join!(client.store(id, &put), serve(&mut member, &mut service, &mut shelf, "data.store"));
        let stored = stored.unwrap();
        assert_eq!((stored.kind.as_str(), stored.evidence.is_some()), ("store", true));
        let StoredOutcome::Stored { item, used } = result(stored) else { panic!("stored") };
        assert_eq!((item.name.as_str(), used), (name, shelf.used()));
    }
    let place = StoredPlace { category: "receipts".to_owned(), name: "order-7".to_owned() };
    let (value, ()) = tokio::join!(
        client.stored_value(id, &place, None),
        serve(&mut member, &mut service, &mut shelf, "data.stored.get")
    );
    let StoredOutcome::Read { value, .. } = result(value.unwrap()) else { panic!("read") };
    assert_eq!(value, json!({"of": "order-7"}));

    let (mut seen, mut page) = (Vec::new(), Page { limit: Some(2), cursor: None });
    loop {
        let (listed, ()) = tokio::join!(
            client.stored(id, None, &page, None),
            serve(&mut member, &mut service, &mut shelf, "data.stored.list")
        );
        let listed = listed.unwrap();
        seen.extend(names(&listed));
        page.cursor = listed.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["cards/loyalty", "receipts/order-7", "receipts/order-8"]);
    let usual = Page::default();
    let (cards, ()) = tokio::join!(
        client.stored(id, Some("cards"), &usual, None),
        serve(&mut member, &mut service, &mut shelf, "data.stored.list")
    );
    assert_eq!(names(&cards.unwrap()), ["cards/loyalty"]);

    let (gone, ()) = tokio::join!(
        client.delete_stored(id, &place, None),
        serve(&mut member, &mut service, &mut shelf, "data.stored.delete")
    );
    assert_eq!(result(gone.unwrap()), StoredOutcome::Deleted { used: shelf.used() });
    let (again, ()) = tokio::join!(
        client.delete_stored(id, &place, None),
        serve(&mut member, &mut service, &mut shelf, "data.stored.delete")
    );
    assert_eq!(again.unwrap().status, Status::Refused { code: "not_found".to_owned(), retry_at: None });
    let put = data("cards", "large", json!("x".repeat(600)));
    let (full, ()) = tokio::join!(client.store(id, &put), serve(&mut member, &mut service, &mut shelf, "data.store"));
    assert_eq!(full.unwrap().status, Status::Refused { code: "no_room".to_owned(), retry_at: None });

    // What cannot be right is not sent, and a key without the scope gets nothing.
    for wrong in
        [data("Cards", "a", json!(1)), data("cards", "a/b", json!(1)), data("cards", "a", json!("x".repeat(25_000)))]
    {
        let refused = client.store(id, &wrong).await.unwrap_err();
        assert!(matches!(&refused, ClientError::Refused { code, .. } if code == "invalid_request"), "{refused:?}");
    }
    let made = admin.create_api_key(&key("data:read")).await.unwrap();
    let reader = GatewayClient::new(program.client(), program.base(), Zeroizing::new(made.secret)).unwrap();
    let refused = reader.stored(id, None, &Page::default(), None).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Refused { code, .. } if code == "forbidden"), "{refused:?}");
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_again_stores_once_and_an_answer_about_something_else_does_not_count() {
    let (world, gateway, mut member, mut service) = connected().await;
    let program = Program::of(&world, &gateway);
    let client =
        GatewayClient::new(program.client(), program.base(), Zeroizing::new(program.key().to_owned())).unwrap();
    let (id, mut shelf) = (service.connection_id, Shelf::default());
    let put = data("receipts", "order-7", json!("12.00"));
    let named = client.under("order-7");
    let (first, ()) = tokio::join!(named.store(id, &put), async {
        let asked = member.next_event(&mut service, "data.store").await;
        let outcome = shelf.act("data.store", &asked.body).unwrap();
        let StoredOutcome::Stored { item, used } = outcome.clone() else { panic!("stored") };
        let dropped = gateway.gateway().dropped_events();
        let other = StoredItem { name: "order-8".to_owned(), ..item.clone() };
        for lie in [
            StoredOutcome::Stored { item: other, used },
            StoredOutcome::Read { item, value: json!("12.00") },
            StoredOutcome::Deleted { used },
        ] {
            answer(&mut service, &asked, lie).await;
        }
        let unsigned = StoredResponse { request_id: request_id(&asked), outcome: outcome.clone(), proof: None };
        service.send("data.stored.response", unsigned, Some(asked.question())).await;
        crate::world::eventually(|| gateway.gateway().dropped_events() >= dropped + 4).await;
        answer(&mut service, &asked, outcome).await;
    });
    let first = first.unwrap();
    assert!(matches!(first.status, Status::Done { .. }));
    // Under the same name nothing is sent any more, and the answer is the same.
    let again = named.store(id, &put).await.unwrap();
    assert_eq!((again.request_id, again.status), (first.request_id, first.status));
    gateway.kill();
    let gateway = world.gateway().await;
    let program = Program::of(&world, &gateway);
    let client =
        GatewayClient::new(program.client(), program.base(), Zeroizing::new(program.key().to_owned())).unwrap();
    let later = client.under("order-7").store(id, &put).await.unwrap();
    assert_eq!(later.request_id, first.request_id);
    assert!(matches!(later.status, Status::Done { .. }));
    gateway.stop().await;
    world.shut().await;
}
