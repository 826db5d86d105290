//! A new version of the contract: published, offered to members, accepted and countersigned; over restarts and kills.

use crate::requests::connected;
use crate::world::member::{Asked, Member, Service};
use crate::world::{PATIENCE, Running};
use std::time::Duration;
use vettid_core::channel::body_hash;
use vettid_core::contract::contract_hash;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::signature::{Context, check};
use vettid_gateway::gateway::PublishError;
use vettid_gateway::versions::NotNewer;
use vettid_gateway::view::ConnectionView;
use vettid_nats::clock;
use vettid_wire::base64::Base64;
use vettid_wire::contract::{Acceptance, Contract, CounterSignature};
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::json;
use vettid_wire::offer::ContractOffer;

fn changed(gateway: &Running, number: u64) -> Contract {
    let mut contract = gateway.gateway().contract();
    contract.contract_version = number;
    contract.description = format!("Delivery of what you ordered, as of version {number}");
    contract
}

async fn publish(gateway: &Running, contract: Contract) -> Result<u64, PublishError> {
    gateway.run(|gateway| async move { gateway.publish(contract).await.map(|v| v.contract.contract_version) }).await
}

fn offer_of(asked: &Asked) -> ContractOffer {
    json::from_value(asked.body.clone()).unwrap()
}

/// The member's acceptance of an offer.
fn acceptance(
    member: &Member,
    gateway: Fingerprint,
    contract: &Contract,
    id: ConnectionId,
    sequence: u64,
) -> Acceptance {
    let unsigned = Acceptance {
        contract_hash: contract_hash(contract).unwrap(),
        contract_version: contract.contract_version,
        service_id: contract.service_id.clone(),
        service_fp: gateway,
        member_fp: member.fingerprint(),
        connection_id: id,
        optional_fields_accepted: vec![],
        accepted_at: clock::now(),
        sequence,
        key_id: member.signing.key_id(),
        signature: Base64::default(),
    };
    member.resigned(unsigned)
}

/// The connection once something holds for it.
pub(crate) async fn until(
    gateway: &Running,
    id: ConnectionId,
    holds: impl Fn(&ConnectionView) -> bool,
) -> ConnectionView {
    let reached = async {
        loop {
            let view = gateway.connection(id).await;
            if holds(&view) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap()
}

/// The member accepts, and gets the counter-signature under exactly that.
async fn accept(member: &mut Member, gateway: &Running, service: &mut Service, contract: &Contract, sequence: u64) {
    let service_fp = gateway.gateway().fingerprint();
    let accepted = acceptance(member, service_fp, contract, service.connection_id, sequence);
    service.deliver("contract.accepted", &accepted).await;
    let countered = member.next_event(service, "contract.countersigned").await;
    let counter: CounterSignature = json::from_value(countered.body).unwrap();
    assert_eq!(counter.acceptance_hash, body_hash(&accepted).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_offered_accepted_and_countersigned() {
    let (world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    let second = changed(&gateway, 2);
    assert_eq!(publish(&gateway, second.clone()).await.unwrap(), 2);
    let offered = member.next_event(&mut service, "contract.offered").await;
    let offer = offer_of(&offered);
    assert_eq!((&offer.contract, offer.connection_id), (&second, id));
    assert_eq!(until(&gateway, id, |view| view.offered_version == Some(2)).await.contract_version, 1);

    // Until the acceptance is here it quotes what the member signed.
    let request = crate::requests::begin(&gateway, id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    let first = contract_hash(&gateway.gateway().versions()[0].contract).unwrap();
    assert_eq!(asked.data().contract_hash, first);
    service.refuse(&asked, "data.request", vettid_wire::refusal::RefusalCode::ContractFrozen).await;
    request.await.unwrap();

    accept(&mut member, &gateway, &mut service, &second, 2).await;
    let view = until(&gateway, id, |view| view.contract_version == 2).await;
    assert_eq!(view.offered_version, None);
    let request = crate::requests::begin(&gateway, id, "address", PATIENCE);
    let asked = member.next_event(&mut service, "data.request").await;
    assert_eq!(asked.data().contract_hash, contract_hash(&second).unwrap());
    service.serve(&asked, "Main Street 1").await;
    request.await.unwrap();
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_acceptances_that_do_not_count_change_nothing() {
    let (world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    let mut same = changed(&gateway, 1);
    let refused = publish(&gateway, same.clone()).await;
    assert!(matches!(refused, Err(PublishError::NotNewer(NotNewer::Version(1)))), "{refused:?}");
    same.contract_version = 2;
    same.service_id = "other-shop".parse().unwrap();
    assert!(matches!(publish(&gateway, same).await, Err(PublishError::NotNewer(NotNewer::OtherService(_)))));
    let mut unsound = changed(&gateway, 2);
    unsound.terms_url = "http://shop.example".into();
    assert!(matches!(publish(&gateway, unsound).await, Err(PublishError::Offer(_))));
    assert_eq!(gateway.gateway().versions().len(), 1);

    let own = gateway.gateway().fingerprint();
    let never = acceptance(&member, own, &changed(&gateway, 7), id, 2);
    let mut forged = acceptance(&member, own, &gateway.gateway().contract(), id, 2);
    forged.optional_fields_accepted = vec!["email".into()];
    let other = acceptance(&member, own, &gateway.gateway().contract(), ConnectionId::from_bytes([1; 16]), 2);
    let mut unknown = acceptance(&member, own, &gateway.gateway().contract(), id, 2);
    unknown.optional_fields_accepted = vec!["address".into()];
    let unknown = member.resigned(unknown);
    let before = gateway.gateway().dropped_events();
    for (count, wrong) in [never, forged, other, unknown].iter().enumerate() {
        service.deliver("contract.accepted", wrong).await;
        crate::world::eventually(|| gateway.gateway().dropped_events() > before + u64::try_from(count).unwrap()).await;
    }
    let view = gateway.connection(id).await;
    assert_eq!((view.contract_version, view.optional_fields_accepted), (1, vec!["email".to_owned()]));
    // Another choice among the optional fields of the version in force counts.
    let contract = gateway.gateway().contract();
    accept(&mut member, &gateway, &mut service, &contract, 2).await;
    until(&gateway, id, |view| view.optional_fields_accepted.is_empty()).await;
    gateway.stop().await;
    world.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_offers_once_and_an_old_file_takes_nothing_back() {
    let (world, gateway, mut member, mut service) = connected().await;
    let id = service.connection_id;
    let second = changed(&gateway, 2);
    publish(&gateway, second.clone()).await.unwrap();
    let offered = member.next_event(&mut service, "contract.offered").await;
    until(&gateway, id, |view| view.offered_version == Some(2)).await;
    gateway.kill();
    // The file still holds the first version.
    let gateway = world.gateway().await;
    assert_eq!(gateway.gateway().contract(), second);
    assert_eq!(gateway.gateway().versions().len(), 2);
    // A third one overtakes the second; the member may still accept the second first.
    let third = changed(&gateway, 3);
    publish(&gateway, third.clone()).await.unwrap();
    let mut again = member.next_event(&mut service, "contract.offered").await;
    while again.body == offered.body {
        again = member.next_event(&mut service, "contract.offered").await;
    }
    assert_eq!(offer_of(&again).contract, third);
    accept(&mut member, &gateway, &mut service, &second, 2).await;
    until(&gateway, id, |view| view.contract_version == 2 && view.offered_version == Some(3)).await;
    gateway.kill();
    let gateway = world.gateway().await;
    accept(&mut member, &gateway, &mut service, &third, 3).await;
    until(&gateway, id, |view| view.contract_version == 3 && view.offered_version.is_none()).await;
    // Who connects now is offered the newest version in the handshake.
    let mut other = Member::new(&world).await;
    let of_other = other.connect(&gateway, &[]).await;
    assert_eq!(gateway.connection(of_other.connection_id).await.contract_version, 3);
    let profile = crate::connecting::service_profile(&service).await;
    let key = VerifyingKey::from_typed(&crate::connecting::shown_key(&profile)).unwrap();
    assert!(check(Context::ContractOffer, &key, offer_of(&offered)).is_ok());
    gateway.stop().await;
    world.shut().await;
}
