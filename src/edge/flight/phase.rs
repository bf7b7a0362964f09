//! Whose turn it is on a connection, and whose the bytes are that come: what an expired deadline and a byte
//! after the request mean.

/// What the connection is doing, which says what an expired phase means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Phase {
    /// Between requests.
    Idle = 0,
    /// A head has begun and is not complete.
    Head = 1,
    /// The caller sends its body, or should read ours.
    Caller = 2,
    /// The upstream should answer, or send on.
    Upstream = 3,
    /// Its streams carry requests, each with a flight of its own.
    Streams = 4,
}

/// What the bytes are that a caller sends after its request's last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Tail {
    /// The framing has not said yet that the request is over.
    Framed = 0,
    /// The next request's.
    Next = 1,
    /// Both sides agreed to leave HTTP: whatever they are, they are for the other side.
    Switched = 2,
    /// Not known before the upstream has answered: the request asks to leave HTTP.
    Held = 3,
    /// The next request's, once the end of this one was told: the upstream did not switch.
    Stays = 4,
}
