//! Bytes that come piece by piece: nearly always in one, which is kept as it is.

use bytes::{Bytes, BytesMut};

/// What has come so far.
#[derive(Debug, Default)]
pub struct Pieces {
    first: Bytes,
    /// All of it, once there are more.
    all: BytesMut,
}

impl Pieces {
    pub fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    pub fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    pub fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pieces_are_there_in_order() {
        let check = |pieces: &[&'static str], whole: &str| {
            let mut all = Pieces::default();
            for piece in pieces {
                all.push(Bytes::from_static(piece.as_bytes()));
            }
            assert_eq!((all.len(), all.into_bytes()), (whole.len(), whole.to_owned().into()));
        };
        check(&[], "");
        check(&["one"], "one");
        check(&["", "one", "", "two", "three"], "onetwothree");
    }
}
