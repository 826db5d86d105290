//! Samples of profiles.

use crate::sample::Samples;
use crate::{auth, contract, key_record, value};
use vettid_wire::profile::{
    Age, Audience, ItemName, ItemValue, PreviewProfile, ProfileChanged, ProfileItem, ProfileItems, ProfileUpdate,
    ProfileView, PublicProfile, ServiceProfile, SignedProfile, SupportedEvent, TrustedResource,
};

fn public() -> PublicProfile {
    let more = [("city".to_owned(), "Springfield".to_owned())].into();
    PublicProfile { first_name: "Alice".to_owned(), more }
}

fn service() -> ServiceProfile {
    ServiceProfile { service_id: value::service(), origins: vec![auth::origin()], contract: contract::contract() }
}

fn resource() -> TrustedResource {
    TrustedResource {
        version: "2.1".to_owned(),
        sha256: value::digest(),
        url: Some("https://alice.example/app".to_owned()),
    }
}

fn supported() -> SupportedEvent {
    SupportedEvent {
        event_type: "messaging.text".to_owned(),
        handler: "messaging".to_owned(),
        version: "0.1.0".to_owned(),
        permissions: vec!["store".to_owned()],
    }
}

fn item() -> ProfileItem {
    let audience = Audience {
        everybody: true,
        connections: [value::connection()].into(),
        tags: ["friend".parse().unwrap()].into(),
    };
    ProfileItem { name: "home".to_owned(), value: ItemValue::Location("Springfield".to_owned()), audience }
}

pub(crate) fn signed() -> SignedProfile {
    SignedProfile {
        profile_version: "1.0".to_owned(),
        guid: value::peer(),
        public_key: value::ed25519(),
        key_record: key_record::record(),
        restore_key: Some(value::ed25519()),
        public: public(),
        service: Some(service()),
        items: [("home".to_owned(), ItemValue::Location("Springfield".to_owned()))].into(),
        event_types: vec!["messaging.text".to_owned()],
        supported: vec![supported()],
        sequence: 3,
        updated_at: value::at(0),
        valid_until: value::at(30 * 24 * 60),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("profile");
    let optional = &["/restore_key", "/service", "/items", "/supported"];
    samples.object("SignedProfile", signed()).optional(optional).open(&["/public/more"]);
    samples.object("PublicProfile", public()).optional(&["/more"]).open(&["/more"]);
    samples.object("ServiceProfile", service());
    samples.object("ProfileUpdate", ProfileUpdate { public: public() }).open(&["/public/more"]);
    samples
        .object("ProfileView", ProfileView { public: Some(public()), sequence: 3 })
        .optional(&["/public"])
        .open(&["/public/more"]);
    samples.cases("Age", [Age::Years(34), Age::Band(30, 39)]);
    let values = [
        ItemValue::Age(Age::Years(34)),
        ItemValue::Location("Springfield".to_owned()),
        ItemValue::Text("alice@mail.example".to_owned()),
        ItemValue::Link("https://alice.example".to_owned()),
        ItemValue::Resource(TrustedResource { url: None, ..resource() }),
    ];
    samples.cases("ItemValue", values);
    samples.object("TrustedResource", resource()).optional(&["/url"]);
    samples.object("SupportedEvent", supported());
    samples.object("Audience", item().audience).optional(&["/everybody", "/connections", "/tags"]);
    samples.object("ProfileItem", item()).optional(&["/audience"]);
    samples.object("ItemName", ItemName { name: "home".to_owned() });
    samples.object("ProfileItems", ProfileItems { items: vec![item()] });
    let preview = PreviewProfile { connection_id: Some(value::connection()) };
    samples.object("PreviewProfile", preview).optional(&["/connection_id"]);
    samples.object("ProfileChanged", ProfileChanged { profile: signed() }).open(&["/profile/public/more"]);
    samples
}
