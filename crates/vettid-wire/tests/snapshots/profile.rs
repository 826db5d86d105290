//! Samples of profiles.

use crate::sample::Samples;
use crate::{auth, contract, key_record, value};
use vettid_wire::profile::{ProfileUpdate, ProfileView, PublicProfile, ServiceProfile, SignedProfile};

fn public() -> PublicProfile {
    let more = [("city".to_owned(), "Springfield".to_owned())].into();
    PublicProfile { first_name: "Alice".to_owned(), more }
}

fn service() -> ServiceProfile {
    ServiceProfile { service_id: value::service(), origins: vec![auth::origin()], contract: contract::contract() }
}

pub(crate) fn signed() -> SignedProfile {
    SignedProfile {
        profile_version: "1.0".to_owned(),
        guid: value::peer(),
        public_key: value::ed25519(),
        key_record: key_record::record(),
        public: public(),
        service: Some(service()),
        event_types: vec!["messaging.text".to_owned()],
        sequence: 3,
        updated_at: value::at(0),
        valid_until: value::at(30 * 24 * 60),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("profile");
    samples.object("SignedProfile", signed()).optional(&["/service"]).open(&["/public/more"]);
    samples.object("PublicProfile", public()).optional(&["/more"]).open(&["/more"]);
    samples.object("ServiceProfile", service());
    samples.object("ProfileUpdate", ProfileUpdate { public: public() }).open(&["/public/more"]);
    samples
        .object("ProfileView", ProfileView { public: Some(public()), sequence: 3 })
        .optional(&["/public"])
        .open(&["/public/more"]);
    samples
}
