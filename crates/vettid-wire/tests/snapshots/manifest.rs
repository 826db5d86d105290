//! Samples of the manifest of a handler package and of its signature file.

use crate::sample::Samples;
use crate::value;
use serde_json::json;
use vettid_wire::manifest::{
    Access, AccessModel, Compatibility, Manifest, ManifestSignature, ManifestSignatures, Permissions, Publisher,
    SignerRole, WasmHash,
};

pub(crate) fn wasm_hash() -> WasmHash {
    WasmHash::from_bytes([0x3a; 32])
}

fn publisher() -> Publisher {
    Publisher {
        name: "Acme Payments".to_owned(),
        publisher_id: "acme".to_owned(),
        messagespace_guid: value::peer().to_string(),
    }
}

fn paid() -> Access {
    Access::AuthorizationRequired {
        model: AccessModel::PerUse,
        description: "One payment for each use".to_owned(),
        terms_url: "https://acme.example/terms".to_owned(),
    }
}

fn compatibility() -> Compatibility {
    Compatibility { min_app_version: "1.0.0".to_owned(), min_vault_version: "1.0.0".to_owned() }
}

fn permissions() -> Permissions {
    Permissions {
        network_egress: vec!["api.acme.example".to_owned()],
        secrets: vec!["acme_key".to_owned()],
        data_fields: vec!["address".to_owned()],
        host_calls: vec!["get_field".to_owned()],
        max_memory_mb: 64,
        max_runtime_seconds: 10,
    }
}

fn manifest() -> Manifest {
    Manifest {
        handler_id: "acme.payments.create".to_owned(),
        name: "Acme payment".to_owned(),
        description: "Pays through Acme".to_owned(),
        version: "1.2.0".to_owned(),
        category: "payments".to_owned(),
        wasm_hash: wasm_hash(),
        size: 123_456,
        publisher: Some(publisher()),
        publisher_key_id: Some(value::key_id()),
        min_catalog_version: 17,
        access: paid(),
        compatibility: compatibility(),
        permissions: permissions(),
        event_schema: json!({ "type": "object" }),
        response_schema: json!({ "type": "object" }),
    }
}

fn signature(role: SignerRole) -> ManifestSignature {
    ManifestSignature { key_id: value::key_id(), role, signature: value::signature() }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("manifest");
    samples
        .object("Manifest", manifest())
        .optional(&["/publisher", "/publisher_key_id"])
        .open(&["/event_schema", "/response_schema"]);
    samples.object("Publisher", publisher());
    samples.cases("Access", [Access::Free {}, paid()]);
    let models = [AccessModel::Perpetual, AccessModel::Subscription, AccessModel::PerUse, AccessModel::Permission];
    samples.cases("AccessModel", models);
    samples.object("Compatibility", compatibility());
    samples.object("Permissions", permissions());
    samples.text("WasmHash", wasm_hash());
    let signatures = [SignerRole::Publisher, SignerRole::Reviewer].map(signature).to_vec();
    samples.object("ManifestSignatures", ManifestSignatures { signatures });
    samples.object("ManifestSignature", signature(SignerRole::Reviewer));
    samples.cases("SignerRole", [SignerRole::Publisher, SignerRole::Reviewer]);
    samples
}
