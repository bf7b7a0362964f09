//! One connection of the open loop: it connects, sends and reads without ever waiting, and says what
//! became of it. When to send and what an answer means is the generator's.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, socket,
};

use super::answer::AnswerReader;
use crate::client::Answer;
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: AnswerReader,
    phase: Phase,
    /// What of the request the kernel did not take yet.
    unsent: Vec<u8>,
}

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    Connecting,
    Idle,
    Awaiting(Awaited),
    /// Of no more use.
    Dead,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Awaited {
    pub due_ns: u64,
    pub body_bytes: u64,
}

/// What a look at the connection brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    Nothing,
    /// It can take its first request.
    Connected,
    /// It can take the next request.
    Answered(Awaited, Answer),
    /// It is dead; the request on it, if any, is lost.
    Ended(Option<Awaited>),
}

impl Connection {
    /// Begins to connect, and has `epoll` tell of it by this number.
    pub fn begin(address: SocketAddr, epoll: &Epoll, number: u64) -> Result<Self> {
        let failed = |error: Errno| Error::while_doing("cannot make a connection")(error.into());
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let made = socket(family, SockType::Stream, flags, SockProtocol::Tcp).map_err(failed)?;
        let began = connect(made.as_raw_fd(), &SockaddrStorage::from(address));
        // A refusal may come at once; it is told of like one that comes later.
        let phase = match began {
            Ok(()) | Err(Errno::EINPROGRESS) => Phase::Connecting,
            Err(_) => Phase::Dead,
        };
        let stream = TcpStream::from(made);
        stream.set_nodelay(true).map_err(Error::while_doing("cannot set socket options"))?;
        // Told once for each thing that happens: read to the end of what there is.
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        epoll.add(&stream, EpollEvent::new(flags, number)).map_err(failed)?;
        Ok(Self { stream, reader: AnswerReader::default(), phase, unsent: Vec::new() })
    }

    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Sends a request on an idle connection. False: it is dead, and the request was not taken.
    pub fn send(&mut self, request: &[u8], awaited: Awaited) -> bool {
        self.phase = Phase::Awaiting(awaited);
        self.unsent.clear();
        match self.stream.write(request) {
            Ok(bytes) => self.unsent.extend_from_slice(request.get(bytes..).unwrap_or_default()),
            Err(error) if is_later(error.kind()) => self.unsent.extend_from_slice(request),
            Err(_) => self.phase = Phase::Dead,
        }
        self.phase != Phase::Dead
    }

    /// Does what can be done now. `scratch` is room to read into.
    pub fn look(&mut self, scratch: &mut [u8]) -> News {
        match self.phase {
            Phase::Dead => News::Nothing,
            Phase::Connecting => self.connected(),
            Phase::Idle => self.still_idle(scratch),
            Phase::Awaiting(awaited) => {
                let news = self.flush().and_then(|()| self.read(scratch));
                match news {
                    Ok(None) => News::Nothing,
                    Ok(Some(answer)) => {
                        self.phase = Phase::Idle;
                        News::Answered(awaited, answer)
                    }
                    Err(_) => self.end(Some(awaited)),
                }
            }
        }
    }

    fn connected(&mut self) -> News {
        match self.stream.take_error() {
            Ok(None) if self.stream.peer_addr().is_ok() => {
                self.phase = Phase::Idle;
                News::Connected
            }
            Ok(None) => News::Nothing,
            Ok(Some(_)) | Err(_) => self.end(None),
        }
    }

    /// Nobody asked for anything, so whatever comes is the end.
    fn still_idle(&mut self, scratch: &mut [u8]) -> News {
        match self.stream.read(scratch) {
            Err(error) if is_later(error.kind()) => News::Nothing,
            Ok(_) | Err(_) => self.end(None),
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.unsent) {
            Ok(bytes) => {
                self.unsent.drain(..bytes);
                Ok(())
            }
            Err(error) if is_later(error.kind()) => Ok(()),
            Err(error) => Err(Error::while_doing("cannot send a request")(error)),
        }
    }

    fn read(&mut self, scratch: &mut [u8]) -> Result<Option<Answer>> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(Error::unexpected("the answer", "the connection ended")),
                Ok(bytes) => {
                    let piece = scratch.get(..bytes).unwrap_or_default();
                    let answer = self.reader.take(piece)?;
                    // Less than there was room for is all there is.
                    if answer.is_some() || bytes < scratch.len() {
                        return Ok(answer);
                    }
                }
                Err(error) if is_later(error.kind()) => return Ok(None),
                Err(error) => return Err(Error::while_doing("cannot read an answer")(error)),
            }
        }
    }

    const fn end(&mut self, lost: Option<Awaited>) -> News {
        self.phase = Phase::Dead;
        News::Ended(lost)
    }
}

/// Not now, but epoll will tell.
fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
