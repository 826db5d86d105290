//! The sealer over a PKCS#11 token: an AES-256 key that never leaves the token wraps a fresh key for each file. Must never go on
//! without the token, nor make a new key where something was sealed before.

use super::{Sealer, SealerError};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Module};
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use rand_core::CryptoRng;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use vettid_crypto::at_rest::{StorageKey, open_file, seal_file};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_wire::lock::SealerKind;
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"VPK\x01";
const LABEL: &[u8] = b"vettid-pkcs11-v1\0";
const NONCE_BYTES: usize = 12;
const TAG_BITS: u64 = 128;
/// Key of 32 bytes and tag.
const WRAPPED_BYTES: usize = 48;

/// Where the token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Config {
    /// The module of the token's vendor, a shared library.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label of the key on the token.
    pub key: String,
    /// The user PIN of the token, in a file of mode 0600.
    pub pin_file: PathBuf,
}

/// A key on a token.
pub struct Pkcs11 {
    session: Mutex<Session>,
    key: ObjectHandle,
}

impl Pkcs11 {
    /// Signs in to the token and finds the key. Where nothing was sealed before (`is_new`), a missing key is made.
    ///
    /// # Errors
    /// [`SealerError::Failed`], with what to do.
    pub fn open(config: &Pkcs11Config, is_new: bool) -> Result<Self, SealerError> {
        let pin = read_pin(&config.pin_file)?;
        let module = Module::new(&config.module).map_err(|error| {
            failed(format_args!("the PKCS#11 module {} cannot be loaded: {error}", config.module.display()))
        })?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(cryptoki::error::Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(format_args!("the PKCS#11 module does not start: {error}"))),
        }
        let slot = find_slot(&module, &config.token)?;
        let session = module.open_rw_session(slot).map_err(|error| failed(format_args!("the token: {error}")))?;
        let signed_in = session.login(UserType::User, Some(&pin));
        signed_in.map_err(|error| {
            failed(format_args!("the token {:?} does not take the PIN of the pin_file: {error}", config.token))
        })?;
        let key = find_or_make(&session, &config.key, is_new)?;
        Ok(Self { session: Mutex::new(session), key })
    }

    fn on_token<T>(&self, act: impl FnOnce(&Session) -> Result<T, SealerError>) -> Result<T, SealerError> {
        act(&self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Pkcs11 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pkcs11")
    }
}

fn failed(what: std::fmt::Arguments<'_>) -> SealerError {
    SealerError::Failed(what.to_string())
}

fn read_pin(path: &Path) -> Result<AuthPin, SealerError> {
    let unread = |error: std::io::Error| failed(format_args!("the pin_file {}: {error}", path.display()));
    let mode = fs::metadata(path).map_err(unread)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(failed(format_args!("others can read the pin_file {0}; chmod 600 {0}", path.display())));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(unread)?);
    Ok(AuthPin::new(text.trim().into()))
}

fn find_slot(module: &Module, token: &str) -> Result<Slot, SealerError> {
    let slots = module.get_slots_with_token().map_err(|error| failed(format_args!("no token: {error}")))?;
    let is_it = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|info| info.label() == token);
    let mut found = slots.into_iter().filter(is_it);
    match (found.next(), found.next()) {
        (Some(slot), None) => Ok(slot),
        (None, _) => {
            Err(failed(format_args!("there is no token with the label {token:?}; plug it in, or name another")))
        }
        (Some(_), Some(_)) => Err(failed(format_args!("there are several tokens with the label {token:?}"))),
    }
}

fn find_or_make(session: &Session, label: &str, is_new: bool) -> Result<ObjectHandle, SealerError> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&template).map_err(|error| failed(format_args!("the token: {error}")))?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] if is_new => make(session, template),
        [] => Err(failed(format_args!(
            "the token has no AES key {label:?}, and this host sealed its vaults before: put the right token in"
        ))),
        _ => Err(failed(format_args!("the token has several keys {label:?}"))),
    }
}

fn make(session: &Session, template: [Attribute; 3]) -> Result<ObjectHandle, SealerError> {
    let [_, _, label] = template;
    let wanted = [
        label,
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
    ];
    let made = session.generate_key(&Mechanism::AesKeyGen, &wanted);
    made.map_err(|error| failed(format_args!("the token makes no AES key: {error}")))
}

impl Sealer for Pkcs11 {
    fn kind(&self) -> SealerKind {
        SealerKind::Pkcs11
    }

    /// `"VPK" ‖ u8 1 ‖ nonce[12] ‖ wrapped key[48] ‖ sealed file`.
    fn seal(&self, purpose: &str, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SealerError> {
        let key = StorageKey::random(rng);
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let wrapped = self.on_token(|session| {
            let (mut nonce, aad) = (nonce, aad(purpose));
            let params = GcmParams::new(&mut nonce, &aad, TAG_BITS.into()).map_err(told)?;
            session.encrypt(&Mechanism::AesGcm(params), self.key, key.expose()).map_err(told)
        })?;
        if wrapped.len() != WRAPPED_BYTES {
            return Err(failed(format_args!("the token wrapped a key into {} bytes", wrapped.len())));
        }
        Ok([MAGIC.as_slice(), &nonce, &wrapped, &seal_file(&key, purpose, plaintext, rng)].concat())
    }

    fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretBytes, SealerError> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(SealerError::NotOpened)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealerError::NotOpened)?;
        let (wrapped, file) = rest.split_at_checked(WRAPPED_BYTES).ok_or(SealerError::NotOpened)?;
        let key = self.on_token(|session| {
            let (mut nonce, aad) = (*nonce, aad(purpose));
            let params = GcmParams::new(&mut nonce, &aad, TAG_BITS.into()).map_err(told)?;
            // A wrong tag and a token that is gone are told apart by asking the token for something else.
            match session.decrypt(&Mechanism::AesGcm(params), self.key, wrapped) {
                Ok(key) => Ok(Zeroizing::new(key)),
                Err(error) => match session.get_session_info() {
                    Ok(_) => Err(SealerError::NotOpened),
                    Err(_) => Err(told(error)),
                },
            }
        })?;
        let key = Secret32::from_slice(&key).map(StorageKey::from_secret).ok_or(SealerError::NotOpened)?;
        open_file(&key, purpose, file).map_err(|_| SealerError::NotOpened)
    }
}

fn aad(purpose: &str) -> Vec<u8> {
    [LABEL, purpose.as_bytes()].concat()
}

fn told(error: cryptoki::error::Error) -> SealerError {
    failed(format_args!("the token: {error}"))
}
