//! Hashes over the lines of the log: the Merkle tree of RFC 6962 (2.1) over all of a boot's, grown line by
//! line in little space, and the chain over the batches in which they were written. Pure.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::model::hex;

/// A SHA-256.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Hash(pub [u8; 32]);

/// RFC 6962, 2.1: leaves and nodes can never be taken for each other.
const LEAF: u8 = 0;
const NODE: u8 = 1;
/// In front of a batch, which is neither.
const BATCH: u8 = 2;

impl Hash {
    /// The leaf of a line, without its line break.
    pub fn of_line(line: &[u8]) -> Self {
        Self::of(&[&[LEAF], line])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        (text.len() == bytes.len() * 2).then_some(())?;
        hex::read(text.as_bytes(), &mut bytes)?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The tree over all leaves so far.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    size: u64,
    /// The roots of the perfect trees that it is made of, the largest first.
    peaks: Vec<Hash>,
}

impl Tree {
    /// A tree that others have grown; None when so many leaves have other peaks.
    pub fn resume(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u64::from(size.count_ones()) == peaks.len() as u64).then_some(Self { size, peaks })
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        // Each perfect tree that is as large becomes the left half of one twice as large.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            root = Hash::of(&[&[NODE], &left.0, &root.0]);
        }
        self.peaks.push(root);
        self.size += 1;
    }

    /// The hash of the whole.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Hash::of(&[]) };
        peaks.fold(*last, |right, left| Hash::of(&[&[NODE], &left.0, &right.0]))
    }
}

/// The chain over batches: each value stands for all that was before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Chain(pub Hash);

impl Chain {
    /// The value after a batch of these leaves.
    pub fn after(self, leaves: &[Hash]) -> Self {
        let mut hash = Sha256::new();
        hash.update([BATCH]);
        hash.update(self.0.0);
        hash.update((leaves.len() as u64).to_be_bytes());
        for leaf in leaves {
            hash.update(leaf.0);
        }
        Self(Hash(hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962, 2.1, word for word.
    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                Hash::of(&[&[NODE], &root_of(left).0, &root_of(right).0])
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_specification() {
        // The test vectors of Certificate Transparency: 0 leaves, one of no bytes.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let of_nothing = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        let mut tree = Tree::default();
        assert_eq!(tree.root().to_string(), empty);
        tree.push(Hash::of_line(b""));
        assert_eq!(tree.root().to_string(), of_nothing);
        assert_eq!(Hash::parse(of_nothing), Some(tree.root()));
        for text in ["", "6E", "6e", &of_nothing.to_uppercase(), &format!("{of_nothing}0")] {
            assert_eq!(Hash::parse(text), None);
        }
    }

    proptest! {
        #[test]
        fn a_grown_tree_is_the_whole_one(count in 0_usize..200, resumed_at in 0_usize..200) {
            let leaves: Vec<Hash> =
                (0..count).map(|n| Hash::of_line(n.to_string().as_bytes())).collect();
            let mut tree = Tree::default();
            for (at, leaf) in leaves.iter().enumerate() {
                if at == resumed_at {
                    let again = Tree::resume(tree.size(), tree.peaks().to_vec());
                    tree = again.expect("its own peaks");
                }
                tree.push(*leaf);
            }
            prop_assert_eq!(tree.root(), root_of(&leaves));
            prop_assert_eq!(tree.size(), count as u64);
            prop_assert!(Tree::resume(tree.size() + 1, tree.peaks().to_vec()).is_none()
                || (tree.size() + 1).count_ones() == tree.size().count_ones());
        }
    }
}
