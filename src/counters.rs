//! Counters: what quotas have used, durable. A unit is leased from the ledger before it is spent,
//! and a lease is on disk before anybody has it, so a crash may burn units and never gives one back.
//! One thread owns the file; whoever needs units asks and awaits the answer. It decides nothing.

mod book;
mod error;

pub use book::{Book, DATABASE_FILE};
pub use error::CountersError;

use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::model::meter::Wanted;

/// Requests for units that wait for the thread; more are answered as unavailable.
const ORDERS_MAX: usize = 65_536;
/// Most requests that share one transaction.
const BATCH_MAX: usize = 1024;

/// Where units are asked for.
#[derive(Clone, Debug)]
pub struct Counters {
    orders: SyncSender<Order>,
}

/// The thread that owns the file.
#[derive(Debug)]
pub struct Ledger {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

/// No unit can be leased now: the log has the reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unavailable;

enum Order {
    Lease(Box<Wanted>, Option<oneshot::Sender<Result<(), Unavailable>>>),
    Close,
}

/// Opens the counters of a data directory, or makes empty ones.
pub fn open(data_dir: &Path) -> Result<(Counters, Ledger), CountersError> {
    let book = Book::open(data_dir)?;
    let (orders, received) = sync_channel(ORDERS_MAX);
    let work = move || keep(book, &received);
    let thread = thread::Builder::new().name("onegate-counters".to_owned()).spawn(work);
    let thread = thread.map_err(CountersError::Thread)?;
    Ok((Counters { orders: orders.clone() }, Ledger { orders, thread }))
}

impl Counters {
    /// Asks for units ahead of need. When that is not possible now, whoever needs one asks again.
    pub fn renew(&self, wanted: Box<Wanted>) {
        self.orders.try_send(Order::Lease(wanted, None)).ok();
    }

    /// Returns when the ledger has answered: the meters have what there is.
    pub async fn lease(&self, wanted: Box<Wanted>) -> Result<(), Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.orders.try_send(Order::Lease(wanted, Some(answer))).map_err(|_| Unavailable)?;
        answered.await.unwrap_or(Err(Unavailable))
    }
}

impl Ledger {
    /// Gives back what is leased and not spent, and closes the file. Nothing may be admitted after.
    pub fn close(self) {
        self.orders.send(Order::Close).ok();
        if self.thread.join().is_err() {
            log::error!("the counters' thread has panicked; leased units are burnt");
        }
    }
}

/// What waits is done in one transaction, however many ask.
fn keep(mut book: Book, received: &Receiver<Order>) {
    let mut failing = false;
    while let Ok(first) = received.recv() {
        let mut batch = vec![first];
        batch.extend(received.try_iter().take(BATCH_MAX - 1));
        let mut closes = false;
        let (mut asked, mut answers) = (Vec::new(), Vec::new());
        for order in batch {
            match order {
                Order::Lease(wanted, answer) => {
                    asked.push(*wanted);
                    answers.extend(answer);
                }
                Order::Close => closes = true,
            }
        }
        let done = book.lease(&asked);
        match (&done, failing) {
            (Err(error), false) => log::error!("{error}. Calls that need units are refused"),
            (Ok(()), true) => log::info!("{DATABASE_FILE} can be written again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
        failing = done.is_err();
        for answer in answers {
            // Who asked may have left.
            answer.send(done.as_ref().map_or(Err(Unavailable), |()| Ok(()))).ok();
        }
        if closes {
            if let Err(error) = book.give_back_all() {
                log::error!("{error}. Leased units are burnt");
            }
            return;
        }
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lease(..) => "Lease",
            Self::Close => "Close",
        })
    }
}
