//! Everything that lies below a data folder, searched for canaries; what may hold one by its nature is named with the
//! reason, one file and one canary at a time.

use crate::canary::Search;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file that holds something in clear by its nature.
#[derive(Debug, Clone)]
pub(crate) struct Exempt {
    /// Relative to the data folder.
    pub(crate) file: &'static str,
    /// Name of the canary.
    pub(crate) canary: String,
    /// Why it may.
    pub(crate) reason: &'static str,
}

impl Exempt {
    pub(crate) fn new(file: &'static str, canary: &str, reason: &'static str) -> Self {
        Self { file, canary: canary.to_owned(), reason }
    }
}

/// Every file below a folder. What goes away while it is looked at was a file on its way to its place.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        entries => entries.unwrap(),
    };
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(|entry| below(entry.unwrap().path())).collect()
}

/// The names and contents of every file below a folder.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |path: PathBuf| match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        bytes => Some((path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), bytes.unwrap())),
    };
    files(folder).into_iter().filter_map(read).collect()
}

/// Looks through every file and every file name below a folder; gives what was looked through and what was found.
/// An exemption that is not needed is found, too: the list shall stay honest.
pub(crate) fn search(folder: &Path, search: &Search, exempt: &[Exempt]) -> (usize, Vec<String>) {
    let contents = contents(folder);
    let (mut found, mut used) = (Vec::new(), BTreeSet::new());
    for (name, bytes) in &contents {
        for hit in search.hits(bytes).into_iter().chain(search.hits(name.as_bytes())) {
            match exempt.iter().position(|exempt| exempt.file == name && exempt.canary == hit.name) {
                Some(index) => _ = used.insert(index),
                None => found.push(format!("{name} holds {} ({})", hit.name, hit.form)),
            }
        }
    }
    let idle = exempt.iter().enumerate().filter(|(index, _)| !used.contains(index));
    let needless = |exempt: &Exempt| format!("{} no longer holds {} ({})", exempt.file, exempt.canary, exempt.reason);
    found.extend(idle.map(|(_, exempt)| needless(exempt)));
    (contents.len(), found)
}

/// The files that any user of the machine can read: neither their own mode nor that of a folder above keeps others out.
pub(crate) fn open_to_all(folder: &Path) -> Vec<String> {
    let lets_in = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o005 != 0);
    let is_open = |name: &String| {
        let path = folder.join(name);
        let below = path.ancestors().take_while(|above| *above != folder);
        below.into_iter().all(lets_in)
    };
    contents(folder).into_iter().map(|(name, _)| name).filter(is_open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Canary;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    fn exempt(file: &'static str) -> Exempt {
        Exempt::new(file, "\"blue pot\"", "planted by this test")
    }

    #[test]
    fn a_planted_file_is_found_unless_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        fs::write(folder.path().join("deep/er/file"), "under the blue pot").unwrap();
        fs::write(folder.path().join("other"), "nothing").unwrap();
        let blue = Search::new(&[Canary::text("blue pot")]);
        let (count, found) = search(folder.path(), &blue, &[]);
        assert_eq!((count, found), (2, vec!["deep/er/file holds \"blue pot\" (plain)".to_owned()]));
        assert_eq!(search(folder.path(), &blue, &[exempt("deep/er/file")]).1, Vec::<String>::new());
        let needless = search(folder.path(), &blue, &[exempt("deep/er/file"), exempt("other")]).1;
        assert!(matches!(&needless[..], [one] if one.contains("other no longer holds")), "{needless:?}");
    }

    #[test]
    fn a_file_in_a_closed_folder_is_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let set =
            |name: &str, mode| fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode)).unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        for name in ["deep/file", "own", "open"] {
            fs::write(folder.path().join(name), "").unwrap();
            set(name, 0o644);
        }
        set("own", 0o600);
        set("deep", 0o700);
        assert_eq!(open_to_all(folder.path()), ["open"]);
        set("deep", 0o755);
        let mut all = open_to_all(folder.path());
        all.sort();
        assert_eq!(all, ["deep/file", "open"]);
    }

    #[test]
    fn the_name_of_a_file_is_searched_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("blue pot"), "").unwrap();
        let (_, found) = search(folder.path(), &Search::new(&[Canary::text("blue pot")]), &[]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
