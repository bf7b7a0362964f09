//! Facts of a record as bytes, one after the other: what fact, how long, what. Whoever is in many records keeps
//! its own in one piece, so that a record costs one copy of it.
//!
//! A fact is one byte that says which, two of length (least significant first), and the bytes. Readers pass
//! over what they do not know.

/// What the bytes are. The numbers are written, so they never change their meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Fact {
    Method = 1,
    Host = 2,
    Path = 3,
    PeerIp = 4,
    /// Where it is not the peer's; nothing where it is unknown.
    SourceIp = 5,
    Client = 6,
    Profile = 7,
    Credential = 8,
    Holder = 9,
    Api = 10,
    Operation = 11,
    /// Separated by spaces, which no scope has (RFC 6749, 3.3).
    Scopes = 12,
    Product = 13,
    Denial = 14,
    Failure = 15,
    Reason = 16,
    Limit = 17,
    ShadowLimit = 18,
    Upstream = 19,
    /// An address of 4 or 16 bytes, then the port.
    EndpointInet = 20,
    EndpointUnix = 21,
    Policy = 22,
    ParentRequestId = 23,
    /// What a client says that it is.
    Agent = 24,
    McpProtocol = 25,
    /// As JSON.
    McpRpcId = 26,
    McpTool = 27,
    McpToolDigest = 28,
    McpArgsDigest = 29,
    /// The tool that stood for it.
    McpVia = 30,
}

impl Fact {
    const ALL: [Self; 30] = [
        Self::Method,
        Self::Host,
        Self::Path,
        Self::PeerIp,
        Self::SourceIp,
        Self::Client,
        Self::Profile,
        Self::Credential,
        Self::Holder,
        Self::Api,
        Self::Operation,
        Self::Scopes,
        Self::Product,
        Self::Denial,
        Self::Failure,
        Self::Reason,
        Self::Limit,
        Self::ShadowLimit,
        Self::Upstream,
        Self::EndpointInet,
        Self::EndpointUnix,
        Self::Policy,
        Self::ParentRequestId,
        Self::Agent,
        Self::McpProtocol,
        Self::McpRpcId,
        Self::McpTool,
        Self::McpToolDigest,
        Self::McpArgsDigest,
        Self::McpVia,
    ];
}

/// Some facts in one piece.
#[derive(Debug, Default)]
pub struct Facts(Box<[u8]>);

impl Facts {
    /// Texts that are empty are no facts.
    pub fn of(texts: &[(Fact, &str)]) -> Self {
        let mut out = vec![0; texts.iter().map(|(_, text)| HEAD_BYTES + text.len()).sum()];
        let mut writer = Writer::over(&mut out);
        for (fact, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
            writer.push(*fact, text.as_bytes());
        }
        let used = writer.used;
        out.truncate(used);
        Self(out.into())
    }
}

/// Writes into room that is there already: nothing is allocated, and each part is looked at once.
#[derive(Debug)]
pub struct Writer<'a> {
    room: &'a mut [u8],
    used: usize,
    has_room: bool,
}

impl<'a> Writer<'a> {
    pub const fn over(room: &'a mut [u8]) -> Self {
        Self { room, used: 0, has_room: true }
    }

    /// Nothing that the gate takes in is longer than a fact's length can say; but then its beginning says more
    /// than nothing.
    pub fn push(&mut self, fact: Fact, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let bytes = bytes.get(..usize::from(length)).unwrap_or_default();
        let [low, high] = length.to_le_bytes();
        if let Some((head, text)) = self.take(HEAD_BYTES + bytes.len()).split_first_chunk_mut() {
            *head = [fact as u8, low, high];
            text.copy_from_slice(bytes);
        }
    }

    /// Facts that somebody has written before.
    pub fn push_all(&mut self, facts: &Facts) {
        self.push_raw(&facts.0);
    }

    /// Bytes that are no facts.
    pub fn push_raw(&mut self, bytes: &[u8]) {
        let room = self.take(bytes.len());
        if room.len() == bytes.len() {
            room.copy_from_slice(bytes);
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// None when there was not enough room.
    pub fn written(self) -> Option<&'a [u8]> {
        self.room.get(..self.used).filter(|_| self.has_room)
    }

    /// Nothing where there is too little.
    fn take(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.used + bytes;
        if let Some(room) = self.room.get_mut(self.used..end) {
            self.used = end;
            room
        } else {
            self.has_room = false;
            &mut []
        }
    }
}

/// Which fact, and how long it is.
const HEAD_BYTES: usize = 3;

/// The facts in order. The last may have been cut.
pub fn read(mut bytes: &[u8]) -> impl Iterator<Item = (Fact, &[u8])> {
    std::iter::from_fn(move || {
        let ([fact, low, high], rest) = bytes.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (found, after) = rest.split_at(length);
        bytes = after;
        Some((*fact, found))
    })
    .filter_map(|(fact, bytes)| {
        Some((Fact::ALL.into_iter().find(|known| *known as u8 == fact)?, bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_they_were_written() {
        let long = "x".repeat(70_000);
        let facts = Facts::of(&[(Fact::Host, "h"), (Fact::Path, ""), (Fact::Api, "a")]);
        let mut room = vec![0; 70_000];
        let mut writer = Writer::over(&mut room);
        writer.push_all(&facts);
        writer.push_raw(&[200, 1, 0, b'?']);
        writer.push(Fact::Path, long.as_bytes());
        let mut bytes = writer.written().expect("room").to_vec();
        let facts: Vec<_> = read(&bytes).collect();
        let expected: [(Fact, &[u8]); 3] =
            [(Fact::Host, b"h"), (Fact::Api, b"a"), (Fact::Path, &long.as_bytes()[..65_535])];
        assert_eq!(facts, expected);
        bytes.truncate(9);
        assert_eq!(read(&bytes).count(), 2);
        bytes.truncate(6);
        assert_eq!(read(&bytes).count(), 1);
        assert!(Fact::ALL.iter().zip(1..).all(|(fact, number)| *fact as u8 == number));
    }

    #[test]
    fn what_has_no_room_is_told() {
        let mut room = [0; 9];
        let check = |text: &[u8], expected: Option<usize>, room: &mut [u8]| {
            let mut writer = Writer::over(room);
            writer.push(Fact::Host, text);
            writer.push_raw(b"!");
            assert_eq!(writer.written().map(<[u8]>::len), expected);
        };
        check(b"12345", Some(9), &mut room);
        check(b"123456", None, &mut room);
        check(b"1234567", None, &mut room);
        check(b"", None, &mut []);
    }
}
