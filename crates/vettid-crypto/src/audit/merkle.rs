//! The Merkle tree of RFC 6962 §2.1, kept as its frontier: the hashes of the perfect subtrees, largest first.
//! Enough to append and to know the root. Paths of leaves are read from all levels of the tree, and checked from the path alone.

use crate::kdf::{h256, h256_parts};

const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// A tree that can grow. Takes memory of one hash for each set bit of its size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    peaks: Vec<[u8; 32]>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stored frontier; `None` if it has not one peak for each set bit of `size`.
    #[must_use]
    pub fn from_parts(size: u64, peaks: Vec<[u8; 32]>) -> Option<Self> {
        (size.count_ones() as usize == peaks.len()).then_some(Self { size, peaks })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Hashes of the perfect subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[[u8; 32]] {
        &self.peaks
    }

    /// Appends a leaf: `H256(0x00 ‖ leaf)`, merged with every subtree that it completes.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut node = h256_parts(&[LEAF, leaf]);
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = h256_parts(&[NODE, &left, &node]);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// Root over all leaves; of the empty tree `H256("")`.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        let joined = self.peaks.iter().rev().copied().reduce(|right, left| h256_parts(&[NODE, &left, &right]));
        joined.unwrap_or_else(|| h256(b""))
    }
}

/// Root over these leaves.
#[must_use]
pub fn root_of<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut tree = Tree::new();
    leaves.into_iter().for_each(|leaf| tree.push(leaf));
    tree.root()
}

/// Hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    h256_parts(&[LEAF, leaf])
}

/// The whole tree over leaves that were hashed already, level by level, from which the paths of many leaves are read: made with one
/// hash for each node, and kept in memory of twice the leaves.
#[derive(Debug, Clone)]
pub struct Levels(Vec<Vec<[u8; 32]>>);

impl Levels {
    /// The tree over these leaves.
    #[must_use]
    pub fn over(leaves: Vec<[u8; 32]>) -> Self {
        let (mut levels, mut level) = (Vec::new(), leaves);
        while level.len() > 1 {
            // What has no neighbour goes up as it is, so that the left side of every node is a perfect subtree.
            let node =
                |pair: &[[u8; 32]]| pair.iter().copied().reduce(|left, right| h256_parts(&[NODE, &left, &right]));
            let above = level.chunks(2).filter_map(node).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        levels.push(level);
        Self(levels)
    }

    /// Root over all leaves; of the empty tree `H256("")`.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.0.last().and_then(|top| top.first()).copied().unwrap_or_else(|| h256(b""))
    }

    /// The hashes beside the way from a leaf to the root, nearest first (RFC 6962 §2.1.1). Empty if there is no such leaf.
    #[must_use]
    pub fn path(&self, index: usize) -> Vec<[u8; 32]> {
        let leaves = self.0.first().map_or(0, Vec::len);
        let levels = self.0.iter().take(if index < leaves { self.0.len() } else { 0 });
        levels.enumerate().filter_map(|(height, level)| level.get((index >> height) ^ 1).copied()).collect()
    }
}

/// The root to which a path leads; `None` if the path is not as long as the place of the leaf wants (RFC 9162 §2.1.3.2).
#[must_use]
pub fn root_by_path(leaf: [u8; 32], index: u64, size: u64, path: &[[u8; 32]]) -> Option<[u8; 32]> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut root) = (index, size - 1, leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            root = h256_parts(&[NODE, beside, &root]);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            root = h256_parts(&[NODE, &root, beside]);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The leaves and roots that Certificate Transparency implementations test themselves with.
    const KNOWN: [(&str, &str); 8] = [
        ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
        ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ];

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let mut tree = Tree::new();
        assert_eq!(hex::encode(tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in KNOWN {
            tree.push(&hex::decode(leaf).unwrap());
            assert_eq!(hex::encode(tree.root()), root);
        }
    }

    /// The definition of RFC 6962 §2.1, word for word.
    fn by_definition(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => h256(b""),
            [leaf] => h256_parts(&[LEAF, leaf]),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                h256_parts(&[NODE, &by_definition(left), &by_definition(right)])
            }
        }
    }

    /// Root over leaves that were hashed already, by its definition.
    fn root_of_hashes(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => h256(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                h256_parts(&[NODE, &root_of_hashes(left), &root_of_hashes(right)])
            }
        }
    }

    /// The path of one leaf by its definition, which hashes every other leaf (RFC 6962 §2.1.1).
    fn path(leaves: &[[u8; 32]], index: usize) -> Vec<[u8; 32]> {
        if leaves.len() < 2 || index >= leaves.len() {
            return Vec::new();
        }
        let middle = split(leaves.len());
        let (left, right) = leaves.split_at(middle);
        let (mut below, beside) = if index < middle {
            (path(left, index), root_of_hashes(right))
        } else {
            (path(right, index - middle), root_of_hashes(left))
        };
        below.push(beside);
        below
    }

    /// The largest power of two below a length of at least two.
    fn split(length: usize) -> usize {
        length.next_power_of_two() / 2
    }

    #[test]
    fn a_level_costs_half_of_the_one_below() {
        for size in [0, 1, 2, 3, 1000, 1024, 1025] {
            let levels = Levels::over(vec![[7; 32]; size]);
            let nodes: usize = levels.0.iter().map(Vec::len).sum();
            assert!(nodes <= 2 * size + levels.0.len(), "{nodes} nodes over {size} leaves");
        }
    }

    proptest! {
        #[test]
        fn the_levels_give_the_root_and_every_path_of_the_definition(leaves in prop::collection::vec(any::<[u8; 32]>(), 0..200)) {
            let levels = Levels::over(leaves.clone());
            prop_assert_eq!(levels.root(), root_of_hashes(&leaves));
            for index in 0..leaves.len() + 3 {
                prop_assert_eq!(levels.path(index), path(&leaves, index), "{}", index);
            }
        }

        #[test]
        fn the_frontier_gives_the_root_of_the_definition(leaves: Vec<Vec<u8>>) {
            prop_assert_eq!(root_of(leaves.iter().map(Vec::as_slice)), by_definition(&leaves));
        }

        #[test]
        fn a_path_leads_to_the_root_from_its_own_place_alone(size in 1usize..70, flip: prop::sample::Index) {
            let hashes: Vec<_> = (0..size).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
            let levels = Levels::over(hashes.clone());
            let (root, count) = (levels.root(), u64::try_from(size).unwrap());
            let leaves: Vec<_> = (0..size).map(|leaf| leaf.to_be_bytes().to_vec()).collect();
            prop_assert_eq!(root, root_of(leaves.iter().map(Vec::as_slice)));
            for (index, leaf) in hashes.iter().enumerate() {
                let place = u64::try_from(index).unwrap();
                let mut path = levels.path(index);
                prop_assert_eq!(root_by_path(*leaf, place, count, &path), Some(root));
                prop_assert_ne!(root_by_path(*leaf, place + count, count, &path), Some(root));
                for other in (0..count).filter(|other| *other != place) {
                    prop_assert_ne!(root_by_path(*leaf, other, count, &path), Some(root));
                }
                if !path.is_empty() {
                    let at = flip.index(path.len());
                    path[at][0] ^= 1;
                    prop_assert_ne!(root_by_path(*leaf, place, count, &path), Some(root));
                    path.pop();
                    prop_assert_ne!(root_by_path(*leaf, place, count, &path), Some(root));
                }
            }
        }

        #[test]
        fn a_stored_frontier_goes_on(before: Vec<Vec<u8>>, after: Vec<Vec<u8>>) {
            let mut whole = Tree::new();
            before.iter().for_each(|leaf| whole.push(leaf));
            let mut resumed = Tree::from_parts(whole.size(), whole.peaks().to_vec()).unwrap();
            for leaf in &after {
                whole.push(leaf);
                resumed.push(leaf);
            }
            prop_assert_eq!(whole, resumed);
        }
    }

    #[test]
    fn a_frontier_of_the_wrong_shape_is_refused() {
        assert!(Tree::from_parts(3, vec![[0; 32]]).is_none());
        assert!(Tree::from_parts(0, vec![[0; 32]]).is_none());
        assert!(Tree::from_parts(4, vec![[0; 32]]).is_some());
    }
}
