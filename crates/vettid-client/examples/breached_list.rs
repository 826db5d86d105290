//! Makes the parts of the list of breached passwords from a folder of text files with one password in each line.
//!
//! Run by `cargo xtask breached-passwords`. Must never write a password anywhere.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};
use vettid_client::breached::{encode, hash};
use vettid_crypto::password::Password;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(source), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("give the folder of the lists and the folder of the parts".into());
    };
    let mut hashes = BTreeSet::new();
    read(&source, &mut hashes)?;
    for part in 0..4_u64 {
        let own: Vec<u64> = hashes.iter().copied().filter(|hash| hash >> 62 == part).collect();
        fs::write(target.join(format!("{part}.bin")), encode(&own))?;
    }
    writeln!(io::stdout(), "{} passwords", hashes.len())?;
    Ok(())
}

/// Reads a folder or file. Lines that are no text or no password by length are left out: the app refuses those anyway.
fn read(path: &Path, hashes: &mut BTreeSet<u64>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| read(&entry?.path(), hashes));
    }
    let bytes = fs::read(path)?;
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let passwords = lines.filter_map(|line| Password::new(line).ok());
    hashes.extend(passwords.map(|password| hash(password.expose())));
    Ok(())
}
