//! An enrolled app at the HTTP API: asks for a token for one operation, proves that it holds its key, and acts.

use super::{Answer, World};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use vettid_core::action::Action;
use vettid_crypto::action_token::{self, token_hash};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::signature::{self, Context};
use vettid_nats::clock;
use vettid_wire::action::{ActionGranted, ActionRequest, ProofClaims};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::digest::Digest;
use vettid_wire::id::{MemberId, OperationId};

/// Sixteen bytes that nobody else in this process has.
pub(crate) fn unique() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

pub(crate) fn operation() -> OperationId {
    OperationId::from_bytes(unique())
}

/// One operation of a member's app.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) guid: MemberId,
    pub(crate) action: Action,
    pub(crate) op_id: OperationId,
    pub(crate) body: Vec<u8>,
}

impl Operation {
    pub(crate) fn new(guid: MemberId, action: Action, body: &impl Serialize) -> Self {
        Self { guid, action, op_id: operation(), body: serde_json::to_vec(body).unwrap() }
    }

    /// What the app asks for.
    pub(crate) fn request(&self, key: &SigningKey) -> ActionRequest {
        let unsigned = ActionRequest {
            guid: self.guid,
            app_key: key.verifying_key().typed(),
            action: self.action.name().to_owned(),
            op_id: self.op_id,
            req_hash: Digest::from_bytes(h256(&self.body)),
            issued_at: clock::now(),
            nonce: Base64Url::new(unique()),
            key_id: key.key_id(),
            signature: Base64::default(),
        };
        sign(key, unsigned)
    }

    pub(crate) async fn grant(&self, world: &World, key: &SigningKey) -> ActionGranted {
        world.post("/v1/actions", None, &self.request(key)).await.ok()
    }

    /// A genuine proof for a token; tests change it and sign it again.
    pub(crate) fn proof(&self, world: &World, granted: &ActionGranted) -> ProofClaims {
        ProofClaims {
            htm: "POST".to_owned(),
            htu: format!("{}{}", world.services.url(), self.action.endpoint()),
            iat: clock::now().unix_seconds(),
            jti: Base64Url::new(unique()),
            ath: token_hash(&granted.token),
            nonce: granted.nonce.clone(),
        }
    }

    /// Acts with a token and a proof.
    pub(crate) async fn act(&self, world: &World, token: &str, proof: &str) -> Answer {
        let url = format!("{}{}", world.services.url(), self.action.endpoint());
        let request = world.client.post(url).header("authorization", format!("DPoP {token}")).header("dpop", proof);
        let request = request.header("content-type", "application/json").body(self.body.clone());
        super::answer(request.send().await.unwrap()).await
    }

    /// Asks, proves and acts.
    pub(crate) async fn run(&self, world: &World, key: &SigningKey) -> Answer {
        let granted = self.grant(world, key).await;
        let proof = action_token::prove(&self.proof(world, &granted), key).unwrap();
        self.act(world, &granted.token, &proof).await
    }
}

pub(crate) fn sign(key: &SigningKey, request: ActionRequest) -> ActionRequest {
    let unsigned = ActionRequest { app_key: key.verifying_key().typed(), key_id: key.key_id(), ..request };
    let signature = signature::sign(Context::ServiceRequest, key, &unsigned).unwrap();
    ActionRequest { signature, ..unsigned }
}
