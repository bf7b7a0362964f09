//! A service behind the gate that remembers every request it got, raw, and behaves as the path says:
//! `/lab/ok/7` is answered well, `/lab/close-mid-body/7` is not.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::address;
use super::answers::{
    CHUNKED, SWITCH, bytes_of_target, check_body, converse, parse_head, read_body, respond,
    send_pattern,
};
use super::http::Fields;
use super::poll::{self, PATIENCE};

/// How a request is answered. Its name is a segment of the path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Behaviour {
    /// 200 with 1 KB.
    Ok,
    /// 200 with the request's body.
    Echo,
    /// 200 with what came of the request's body, which may be of any size: `BYTES right`.
    Check,
    /// 200 with as many bytes of a pattern as the path's last segment says, in chunks.
    Source,
    /// 200 with a body that never ends.
    Endless,
    /// 101 to WebSocket; then every byte goes back until the other side leaves.
    Switch,
    /// 101 to WebSocket; then it leaves at the first byte.
    SwitchAndLeave,
    /// 101 to WebSocket; then it reads, and says nothing.
    SwitchAndListen,
    /// 417, before the body is read.
    Refuse,
    /// 200 in chunks, with a trailer.
    Trailer,
    /// 200 with a body in two chunks; the second comes once the test says `release`.
    Stream,
    /// Nothing until the test says `release`, then as `Ok`.
    Hold,
    /// 404 of the upstream's own.
    Absent,
    /// 503 of the upstream's own.
    Busy,
    /// 204.
    Empty,
    /// 200, half of the promised body, then the end of the connection.
    CloseMidBody,
    /// The end of the connection, without a word.
    Close,
    /// A reset of the connection, without a word.
    Reset,
    /// Bytes that are not HTTP.
    Garbage,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub target: String,
    pub fields: Fields,
    pub body_bytes: usize,
}

/// How the whole service is, whatever the path says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mood {
    /// Each request is answered as its path says.
    #[default]
    Well,
    /// Requests are taken and never answered, until the mood changes; then their connections end.
    Hanging,
    /// 503 to every request.
    Busy,
    /// The end of the connection at every request.
    Closing,
    /// Every request waits for `release`.
    Holding,
}

pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// How often the gate connected, and how many connections are open now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connections {
    pub made: usize,
    pub open: usize,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    connections: Mutex<Connections>,
    released: AtomicBool,
    /// No longer listens.
    ended: AtomicBool,
    mood: Mutex<Mood>,
    /// Open ones, to break them off.
    streams: Mutex<Vec<Weak<TcpStream>>>,
}

impl Upstream {
    pub fn start() -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").expect("a port of this machine"))
    }

    /// One that can `die` and `return_again`: at an address where nobody else listens meanwhile.
    pub fn mortal() -> Self {
        Self::listening(TcpListener::bind(address::free()).expect("a port of this test"))
    }

    fn listening(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        Self::accept(&shared, listener);
        Self { address, shared }
    }

    fn accept(shared: &Arc<Shared>, listener: TcpListener) {
        let of_acceptor = Arc::clone(shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of_acceptor.ended.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&of_acceptor);
                thread::spawn(move || shared.connected(&Arc::new(stream)));
            }
        });
    }

    /// Stops listening and breaks every connection off, like a process that is killed.
    pub fn die(&self) {
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the acceptor, until nobody listens.
        poll::until("nobody listens", || TcpStream::connect(self.address).is_err().then_some(()));
        let mut streams = self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..).filter_map(|stream| stream.upgrade()) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Listens again, at the same address.
    pub fn return_again(&self) {
        let listener = TcpListener::bind(self.address).expect("nobody else took it");
        self.shared.ended.store(false, Ordering::Release);
        Self::accept(&self.shared, listener);
    }

    pub fn feel(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Everything received so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received().clone()
    }

    /// What arrived for a target.
    pub fn received_at(&self, target: &str) -> Vec<Received> {
        let received = self.shared.received();
        received.iter().filter(|request| request.target == target).cloned().collect()
    }

    /// The one request that arrived for a target.
    pub fn one_at(&self, target: &str) -> Received {
        let mut received = self.received_at(target);
        assert_eq!(received.len(), 1, "requests for {target}: {received:?}");
        received.remove(0)
    }

    pub fn connections(&self) -> Connections {
        *self.shared.connections()
    }

    pub fn wait_for(&self, target: &str) {
        let arrived = || (!self.received_at(target).is_empty()).then_some(());
        poll::until(&format!("the upstream gets {target}"), arrived);
    }

    /// Lets `Hold` and `Stream` go on, from now on.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::Release);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
    }
}

impl Behaviour {
    const ALL: [(&str, Self); 19] = [
        ("ok", Self::Ok),
        ("echo", Self::Echo),
        ("digest", Self::Check),
        ("source", Self::Source),
        ("endless", Self::Endless),
        ("switch", Self::Switch),
        ("switch-and-leave", Self::SwitchAndLeave),
        ("switch-and-listen", Self::SwitchAndListen),
        ("refuse", Self::Refuse),
        ("trailer", Self::Trailer),
        ("stream", Self::Stream),
        ("hold", Self::Hold),
        ("absent", Self::Absent),
        ("busy", Self::Busy),
        ("empty", Self::Empty),
        ("close-mid-body", Self::CloseMidBody),
        ("close", Self::Close),
        ("reset", Self::Reset),
        ("garbage", Self::Garbage),
    ];

    fn of_target(target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        let named = |segment| Self::ALL.iter().find(|(name, _)| *name == segment);
        path.split('/').find_map(named).map_or(Self::Ok, |(_, behaviour)| *behaviour)
    }
}

/// What `Behaviour::Ok` answers with.
pub const OK_BODY: [u8; 1024] = [b'k'; 1024];

impl Shared {
    fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connected(&self, stream: &Arc<TcpStream>) {
        let open = Arc::downgrade(stream);
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(open);
        self.connections().made += 1;
        self.connections().open += 1;
        // An I/O error is the gate leaving, which it may.
        drop(self.serve(stream));
        self.connections().open -= 1;
    }

    /// One request after the other.
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        while let Some((head, mut request)) = peek_head(stream)? {
            let mood = self.mood();
            let behaviour = match mood {
                Mood::Well => Behaviour::of_target(&request.target),
                Mood::Hanging | Mood::Holding => Behaviour::Hold,
                Mood::Closing => Behaviour::Close,
                Mood::Busy => Behaviour::Busy,
            };
            let at = self.note(request.clone());
            if behaviour == Behaviour::Reset {
                // Closing with bytes unread makes the system send a reset.
                return Ok(());
            }
            stream.read_exact(&mut vec![0; head])?;
            if behaviour == Behaviour::Refuse {
                return respond(stream, &request, "417 Expectation Failed", b"no\n");
            }
            if request.fields.value("expect").is_some() {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            // Without a body there is nothing to check: health checks ask under that name too.
            let framing = ["content-length", "transfer-encoding"];
            let has_body = framing.iter().any(|name| request.fields.value(name).is_some());
            if behaviour == Behaviour::Check && has_body {
                let body = check_body(&mut BufReader::new(stream), &request)?;
                respond(stream, &request, "200 OK", body.as_bytes())?;
                continue;
            }
            let body = read_body(&mut BufReader::new(stream), &request)?;
            request.body_bytes = body.len();
            self.received()[at] = request.clone();
            if !self.answer(behaviour, stream, &request, &body)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn note(&self, request: Received) -> usize {
        let mut received = self.received();
        received.push(request);
        received.len() - 1
    }

    /// Answers; says whether the connection goes on.
    fn answer(
        &self,
        behaviour: Behaviour,
        mut to: &TcpStream,
        request: &Received,
        body: &[u8],
    ) -> io::Result<bool> {
        match behaviour {
            Behaviour::Ok | Behaviour::Check => respond(to, request, "200 OK", &OK_BODY)?,
            Behaviour::Echo => respond(to, request, "200 OK", body)?,
            Behaviour::Busy => respond(to, request, "503 Service Unavailable", b"busy\n")?,
            Behaviour::Source => send_pattern(to, bytes_of_target(&request.target))?,
            Behaviour::Endless => {
                to.write_all(CHUNKED)?;
                loop {
                    to.write_all(b"400\r\n")?;
                    to.write_all(&OK_BODY)?;
                    to.write_all(b"\r\n")?;
                }
            }
            Behaviour::Switch | Behaviour::SwitchAndLeave | Behaviour::SwitchAndListen => {
                to.write_all(SWITCH)?;
                return converse(behaviour, to).map(|()| false);
            }
            Behaviour::Trailer => {
                to.write_all(CHUNKED)?;
                to.write_all(b"5\r\nwhole\r\n0\r\nX-Trailer: late\r\n\r\n")?;
            }
            Behaviour::Absent => respond(to, request, "404 Not Found", b"not here\n")?,
            Behaviour::Empty => to.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?,
            Behaviour::Hold => {
                self.wait_for_release(to)?;
                respond(to, request, "200 OK", &OK_BODY)?;
            }
            Behaviour::Stream => {
                to.write_all(CHUNKED)?;
                to.write_all(b"5\r\nfirst\r\n")?;
                self.wait_for_release(to)?;
                to.write_all(b"4\r\nlast\r\n0\r\n\r\n")?;
            }
            Behaviour::CloseMidBody => {
                to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n")?;
                to.write_all(&OK_BODY[..512])?;
                return Ok(false);
            }
            Behaviour::Garbage => {
                to.write_all(b"\0\x01\x02 this is not HTTP\r\n\r\n")?;
                return Ok(false);
            }
            Behaviour::Close | Behaviour::Reset => return Ok(false),
            Behaviour::Refuse => return Err(ErrorKind::Other.into()),
        }
        Ok(true)
    }

    /// Returns when the test says so; fails when the gate leaves before, or a hang is over.
    fn wait_for_release(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        let hung = self.mood() == Mood::Hanging;
        while hung || !self.released.load(Ordering::Acquire) {
            if self.ended.load(Ordering::Acquire) || (hung && self.mood() != Mood::Hanging) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            match stream.peek(&mut [0]) {
                Ok(0) => return Err(ErrorKind::ConnectionAborted.into()),
                Ok(_) => return Err(ErrorKind::InvalidData.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        stream.set_read_timeout(Some(PATIENCE))
    }
}

/// Looks at the next head without taking it; says how long it is.
fn peek_head(stream: &TcpStream) -> io::Result<Option<(usize, Received)>> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = stream.peek(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        if let Some(end) = buffer[..count].windows(4).position(|at| at == b"\r\n\r\n") {
            return Ok(Some((end + 4, parse_head(&String::from_utf8_lossy(&buffer[..end])))));
        }
        // Only a head in several pieces comes here, and the next is on its way.
        thread::yield_now();
    }
}
