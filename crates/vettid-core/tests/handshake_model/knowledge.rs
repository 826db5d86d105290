//! What the attacker learns from the recorded messages once everything has leaked that outlives a handshake: all codes, all
//! prekeys, all long-term keys. Ephemeral keys of honest sides are not among it.

use crate::cast::{Cast, Code, key};
use crate::schedule::{First, open_first};
use vettid_crypto::suite::{KemSecretKey, x25519};
use vettid_wire::handshake::HandshakeMessage;

/// The epoch keys that follow from the messages and everything that leaked.
pub(crate) fn late(
    cast: &Cast,
    codes: &[Code],
    ephemerals: &[x25519::SecretKey],
    observed: &[HandshakeMessage],
) -> Vec<[u8; 32]> {
    let own = [key(900), key(901), key(902)];
    let of_sides = cast.sides.iter().filter_map(|side| match &side.kem {
        KemSecretKey::X25519(key) => Some(key),
        KemSecretKey::Rsa4096(_) => None,
    });
    let prekeys = codes.iter().map(|code| &code.prekey);
    let privates: Vec<_> = own.iter().chain(of_sides).chain(prekeys).chain(ephemerals).collect();
    let mut known = vec![];
    for first in observed.iter().flat_map(|message| firsts(cast, codes, message)) {
        for message in observed.iter().filter(|message| message.hs_id == first.hs_id) {
            let opened = privates.iter().find_map(|private| first.open_second(message, private));
            known.extend(opened.map(|(_, second)| second.epoch_key()));
        }
    }
    known
}

/// A first message, opened with every code under every name.
fn firsts(cast: &Cast, codes: &[Code], message: &HandshakeMessage) -> Vec<First> {
    let names = (0..cast.sides.len()).map(|who| cast.fingerprint(who));
    let guesses = names.flat_map(|name| codes.iter().map(move |code| (name, code)));
    guesses.filter_map(|(name, code)| open_first(message, name, code.secret(), &code.prekey)).map(|(_, f)| f).collect()
}
