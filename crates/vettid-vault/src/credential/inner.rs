//! The inner layer of the credential: opened for one step, changed, sealed again. Its bytes are wiped wherever they stood.

use crate::failure::Failure;
use crate::step::Step;
use rand_core::CryptoRng;
use vettid_core::credential::issuer::operation::Proven;
use vettid_crypto::credential::InnerPlace;
use vettid_crypto::password::InnerKey;
use vettid_wire::base64::Base64;
use vettid_wire::credential::InnerUpdate;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::{INNER_LAYER_VERSION, InnerLayer};
use zeroize::Zeroizing;

/// Largest inner layer in bytes: the blob around it has a largest size.
const MAX_BYTES: usize = 27 * 1024;

/// An empty inner layer, sealed as the first.
pub(super) fn first(step: &mut Step<'_>, key: &InnerKey) -> Result<Vec<u8>, Failure> {
    let place = InnerPlace { guid: step.identity.guid, issuer: step.identity.fingerprint(), inner_seq: 1 };
    let empty = InnerLayer { version: INNER_LAYER_VERSION, secrets: Vec::new() };
    Ok(place.seal(key, &write(&empty)?, step.rng))
}

/// Opens the inner layer of an operation whose password was right. Without the inner key, or with another one, it is refused.
pub(super) fn open(proven: &Proven) -> Result<InnerLayer, RefusalCode> {
    let bytes = proven.open_secrets().map_err(|_| RefusalCode::InvalidRequest)?;
    // Read where it stands: what this vault sealed needs no second look at its form.
    let layer: InnerLayer = serde_json::from_slice(bytes.expose()).map_err(|_| RefusalCode::Unavailable)?;
    if layer.version == INNER_LAYER_VERSION { Ok(layer) } else { Err(RefusalCode::Unavailable) }
}

/// Seals a changed inner layer under the same key; refused if it became too large.
pub(super) fn reseal(
    proven: &Proven,
    layer: &InnerLayer,
    rng: &mut dyn CryptoRng,
) -> Result<Result<InnerUpdate, RefusalCode>, Failure> {
    let bytes = write(layer)?;
    if bytes.len() > MAX_BYTES {
        return Ok(Err(RefusalCode::NotAllowed));
    }
    Ok(proven.reseal_secrets(&bytes, rng).map_err(|_| RefusalCode::InvalidRequest))
}

/// Seals the inner layer under the key of a new password.
pub(super) fn rekey(
    proven: &Proven,
    key: &InnerKey,
    hash: String,
    rng: &mut dyn CryptoRng,
) -> Result<InnerUpdate, RefusalCode> {
    let bytes = proven.open_secrets().map_err(|_| RefusalCode::InvalidRequest)?;
    let inner_seq = proven.body().inner_seq.saturating_add(1);
    let sealed = InnerPlace { inner_seq, ..InnerPlace::of(proven.body()) }.seal(key, bytes.expose(), rng);
    Ok(InnerUpdate { inner_seq, secrets: Base64::new(sealed), hash: Some(hash) })
}

/// The bytes, in a buffer that is wiped and never moved while it grows.
fn write(layer: &InnerLayer) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let values: usize = layer.secrets.iter().map(|secret| secret.value.expose().len() * 4 / 3 + 256).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(values + 256));
    serde_json::to_writer(&mut *bytes, layer).map_err(vettid_wire::json::JsonError::Shape)?;
    Ok(bytes)
}
