//! Looking for what must not be readable: planted texts and secrets in every form in which a program may write them
//! down by mistake, and anything that looks like a private key. The tests below plant each form, so the search can fail.

use std::collections::{BTreeSet, HashMap};
use vettid_wire::base64::{encode, encode_url};

/// Something that only certain places may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canary {
    pub(crate) name: String,
    bytes: Vec<u8>,
}

impl Canary {
    pub(crate) fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let (name, bytes) = (name.into(), bytes.into());
        // Shorter ones turn up by chance.
        assert!(bytes.len() >= 6, "{name} is too short to be looked for");
        Self { name, bytes }
    }

    /// A text that is its own name.
    pub(crate) fn text(text: &str) -> Self {
        Self::new(format!("{text:?}"), text)
    }

    /// Every form, with its name.
    fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let hex: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![
            ("plain", self.bytes.clone()),
            ("hex, upper case", hex.to_uppercase().into_bytes()),
            ("hex, lower case", hex.into_bytes()),
        ];
        for offset in 0..3 {
            forms.push(("base64", inner_base64(&self.bytes, offset, encode)));
            forms.push(("base64url", inner_base64(&self.bytes, offset, encode_url)));
        }
        if let Ok(text) = std::str::from_utf8(&self.bytes) {
            forms.push(("UTF-16, little end first", text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
            forms.push(("UTF-16, big end first", text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        }
        forms
    }
}

/// The characters of the base64 form that depend on these bytes alone, where `offset` unknown bytes stand before them.
fn inner_base64(bytes: &[u8], offset: usize, encode: fn(&[u8]) -> String) -> Vec<u8> {
    let shifted = [vec![0; offset], bytes.to_vec()].concat();
    let (first, end) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
    encode(&shifted).as_bytes()[first..end].to_vec()
}

/// Found where it must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    /// What.
    pub(crate) name: String,
    /// In which form.
    pub(crate) form: &'static str,
}

/// Looks for many canaries at once.
pub(crate) struct Search {
    needles: Vec<(Hit, Vec<u8>)>,
    /// The needles by their first four bytes.
    by_start: HashMap<[u8; 4], Vec<usize>>,
    /// Which two bytes a needle may start with; most places are done with after a look here.
    starts: Vec<bool>,
}

impl Search {
    pub(crate) fn new(canaries: &[Canary]) -> Self {
        let forms = canaries.iter().flat_map(|canary| {
            let hit = |form| Hit { name: canary.name.clone(), form };
            canary.forms().into_iter().map(move |(form, bytes)| (hit(form), bytes))
        });
        let needles: Vec<_> = forms.collect();
        let (mut by_start, mut starts) = (HashMap::<_, Vec<_>>::new(), vec![false; 1 << 16]);
        for (index, (_, bytes)) in needles.iter().enumerate() {
            by_start.entry(*bytes.first_chunk::<4>().unwrap()).or_default().push(index);
            starts[usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))] = true;
        }
        Self { needles, by_start, starts }
    }

    /// What is found in these bytes.
    pub(crate) fn hits(&self, bytes: &[u8]) -> BTreeSet<Hit> {
        let mut hits = keys(bytes);
        for (place, start) in bytes.windows(4).enumerate() {
            if self.starts[usize::from(u16::from_be_bytes([start[0], start[1]]))] {
                let candidates = self.by_start.get(start).into_iter().flatten().map(|index| &self.needles[*index]);
                let found = candidates.filter(|(_, needle)| bytes[place..].starts_with(needle));
                hits.extend(found.map(|(hit, _)| hit.clone()));
            }
        }
        hits
    }
}

/// Anything that looks like a private key.
fn keys(bytes: &[u8]) -> BTreeSet<Hit> {
    let seeds = bytes.windows(SEED_CHARACTERS).filter(|at| is_seed(at)).map(|_| "NATS seed");
    let marks = [("private key in PEM", &b"PRIVATE KEY-----"[..]), ("age secret key", b"AGE-SECRET-KEY-1")];
    let marks = marks.into_iter().filter(|(_, mark)| bytes.windows(mark.len()).any(|at| at == *mark));
    let found = seeds.chain(marks.map(|(name, _)| name));
    found.map(|name| Hit { name: name.to_owned(), form: "plain" }).collect()
}

const SEED_CHARACTERS: usize = 58;

/// `S`, the kind of key, and its check at the end. Without the check, a public key beside another in a database would do.
fn is_seed(text: &[u8]) -> bool {
    text[0] == b'S' && b"UAOCNX".contains(&text[1]) && base32(text).is_some_and(|bytes| has_check(&bytes))
}

fn base32(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for character in text {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'2'..=b'7' => character - b'2' + 26,
            _ => return None,
        };
        (bits, count) = (bits << 5 | u32::from(value), count + 5);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// CRC-16 (XMODEM) of the bytes before it, low byte first.
fn has_check(bytes: &[u8]) -> bool {
    let (body, check) = bytes.split_last_chunk::<2>().unwrap();
    let step = |crc: u16, byte: &u8| {
        let crc = crc ^ u16::from(*byte) << 8;
        (0..8).fold(crc, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    };
    body.iter().fold(0, step) == u16::from_le_bytes(*check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_crypto::nats::key::User;
    use vettid_testkit::operator::fresh_key;

    const SECRET: &[u8] = &[0xfb, 0xff, 0x00, 0x3e, 0xbf, 0x3f, 0xfe, 0x7f, 0x10, 0x20, 0x30, 0x40];

    fn forms_found(canary: &Canary, hay: &[u8]) -> Vec<&'static str> {
        Search::new(std::slice::from_ref(canary)).hits(hay).into_iter().map(|hit| hit.form).collect()
    }

    /// As it might stand in a file: between other bytes.
    fn among(bytes: &[u8]) -> Vec<u8> {
        [&b"\0\xffbefore {\"x\":\""[..], bytes, b"\"} after"].concat()
    }

    #[test]
    fn a_text_is_found_in_each_form() {
        let text = "Bob, the spare key is under the blue pot";
        let canary = Canary::text(text);
        let hex = |upper: bool| -> String {
            let pair = |byte: u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            text.bytes().map(pair).collect()
        };
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (form, planted) in [
            ("plain", text.as_bytes().to_vec()),
            ("hex, lower case", hex(false).into_bytes()),
            ("hex, upper case", hex(true).into_bytes()),
            ("UTF-16, little end first", little),
            ("UTF-16, big end first", big),
        ] {
            assert_eq!(forms_found(&canary, &planted), [form]);
            assert_eq!(forms_found(&canary, &among(&planted)), [form]);
        }
        assert!(forms_found(&canary, &among(b"Bob, the spare key is under the red pot")).is_empty());
    }

    #[test]
    fn base64_is_found_wherever_it_starts_and_ends() {
        let canary = Canary::new("secret", SECRET);
        for (form, encode) in [("base64", encode as fn(&[u8]) -> String), ("base64url", encode_url)] {
            for before in 0..6 {
                for after in 0..4 {
                    let whole = [vec![b'.'; before], SECRET.to_vec(), vec![b'.'; after]].concat();
                    let found = forms_found(&canary, &among(encode(&whole).as_bytes()));
                    assert!(found.contains(&form), "{before} before, {after} after: {found:?}");
                }
            }
        }
    }

    #[test]
    fn every_key_that_can_be_recognised_is_found() {
        let nothing = Search::new(&[]);
        let key = fresh_key::<User>().unwrap();
        let (seed, public) = (key.seed().unwrap(), key.public().to_string());
        let pem = vettid_nats::tls::CertificateAuthority::generate(vettid_nats::clock::now()).unwrap();
        let age = format!("AGE-SECRET-KEY-1{}", "Q".repeat(58));
        for (name, planted) in [
            ("NATS seed", seed.expose()),
            ("private key in PEM", pem.expose_key_pem().as_bytes()),
            ("age secret key", age.as_bytes()),
        ] {
            let hits: Vec<String> = nothing.hits(&among(planted)).into_iter().map(|hit| hit.name).collect();
            assert_eq!(hits, [name]);
        }
        assert!(nothing.hits(&among(pem.certificate_pem().as_bytes())).is_empty(), "a certificate is no secret");
        let beside = format!("S{public}ACCOUNT");
        assert!(nothing.hits(&among(beside.as_bytes())).is_empty(), "nor is a public key, whatever stands beside it");
    }

    #[test]
    fn a_needle_at_the_very_end_is_found() {
        let canary = Canary::text("canary");
        assert_eq!(forms_found(&canary, b"canary"), ["plain"]);
        assert_eq!(forms_found(&canary, b"a canary"), ["plain"]);
        assert!(forms_found(&canary, b"canar").is_empty() && forms_found(&canary, b"").is_empty());
    }
}
