//! The operator's signed command about a service, made beside running services from the same sealed keys; the running ones check it.

use crate::keys::{self, KeysError};
use crate::randomness;
use std::path::Path;
use vettid_crypto::signature::{self, Context, SignatureError};
use vettid_nats::clock;
use vettid_wire::base64::Base64;
use vettid_wire::directory::CertifyService;
use vettid_wire::id::ServiceId;
use vettid_wire::time::Timestamp;

/// Why there is no command.
#[derive(Debug, thiserror::Error)]
pub enum CertificationError {
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness(#[source] getrandom::Error),
    /// The operator's keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// It cannot be signed.
    #[error("the command cannot be signed")]
    Signature(#[from] SignatureError),
}

/// A command to certify a service until a time, or (`None`) to end that; as of now.
///
/// # Errors
/// [`CertificationError`].
pub fn command(
    data_dir: &Path,
    key_file: &Path,
    service_id: ServiceId,
    reason: String,
    until: Option<Timestamp>,
) -> Result<CertifyService, CertificationError> {
    randomness::check().map_err(CertificationError::Randomness)?;
    let (keys, now) = (keys::load(data_dir, key_file)?, clock::now());
    let key = &keys.command_signing;
    let signature = Base64::default();
    let command = CertifyService { service_id, reason, until, at: now, key_id: key.key_id(), signature };
    Ok(CertifyService { signature: signature::sign(Context::CertifyService, key, &command)?, ..command })
}
