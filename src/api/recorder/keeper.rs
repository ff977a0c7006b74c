//! The spool on a thread of its own: the only one that touches its disk.
//!
//! Requests come through a bounded queue, a reply each. What is held of each channel is published; the recorder's task
//! looks at it when it likes, so that capturing waits for the disk alone and never for the network.

use std::thread;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    orders::Heard,
    session::{Absence, Holding},
    spool::{Bound, Spool, SpoolError},
};
use crate::domain::{
    channel::ChannelSetup,
    time::{SamplePos, Span},
};

/// Requests that wait. Capturing has one under way, sending one.
const REQUESTS: usize = 8;

type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

enum Request {
    Append(Vec<(usize, Vec<u8>)>, Reply<()>),
    Lose(Vec<(usize, u64)>, Absence, Reply<()>),
    Read(usize, Span, Reply<Vec<u8>>),
    Release(Vec<SamplePos>, Reply<()>),
    Order(Heard, Reply<()>),
    Bind(Bound, Reply<()>),
    Rest(Reply<()>),
    Remove(Reply<()>),
}

/// What the spool has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    /// Of each channel.
    pub held: Vec<Holding>,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A handle on the thread. It ends with the last handle.
#[derive(Clone, Debug)]
pub struct Keeper {
    requests: mpsc::Sender<Request>,
    stock: watch::Receiver<Stock>,
    channels: Vec<ChannelSetup>,
    left_at: Option<Timestamp>,
    orders: Vec<Heard>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Append(..) => "Append",
            Self::Lose(..) => "Lose",
            Self::Read(..) => "Read",
            Self::Release(..) => "Release",
            Self::Order(..) => "Order",
            Self::Bind(..) => "Bind",
            Self::Rest(..) => "Rest",
            Self::Remove(..) => "Remove",
        })
    }
}

fn stock_of(spool: &Spool) -> Stock {
    Stock { held: spool.holdings().to_vec(), bytes: spool.bytes() }
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`] where the system gives no thread.
    pub fn start(mut spool: Spool) -> Result<Self, SpoolError> {
        let (requests, mut queue) = mpsc::channel(REQUESTS);
        let (publish, stock) = watch::channel(stock_of(&spool));
        let (channels, left_at, orders) = (spool.channels().to_vec(), spool.captured_at(), spool.orders().to_vec());
        let run = move || {
            while let Some(request) = queue.blocking_recv() {
                serve(&mut spool, request, &publish);
            }
        };
        let started = thread::Builder::new().name("recorder-spool".to_owned()).spawn(run);
        started.map_err(|_no_thread| SpoolError::Stopped)?;
        Ok(Self { requests, stock, channels, left_at, orders })
    }

    /// The channels of the hearing, in ascending order.
    #[must_use]
    pub fn channels(&self) -> &[ChannelSetup] {
        &self.channels
    }

    /// When the recorder before this one took its last audio; `None` for the first of a hearing.
    #[must_use]
    pub const fn left_at(&self) -> Option<Timestamp> {
        self.left_at
    }

    /// The orders that the recorders before this one heard.
    #[must_use]
    pub fn orders(&self) -> &[Heard] {
        &self.orders
    }

    /// What is held, as it changes.
    #[must_use]
    pub fn stock(&self) -> watch::Receiver<Stock> {
        self.stock.clone()
    }

    /// Keeps what was captured together: [`Spool::append`]. If the future is dropped, it may have been kept.
    ///
    /// # Errors
    /// Those of [`Spool::append`], and [`SpoolError::Stopped`].
    pub async fn append(&self, audio: Vec<(usize, Vec<u8>)>) -> Result<(), SpoolError> {
        self.ask(|reply| Request::Append(audio, reply)).await
    }

    /// Counts samples that are not there: [`Spool::lose`].
    ///
    /// # Errors
    /// Those of [`Spool::lose`], and [`SpoolError::Stopped`].
    pub async fn lose(&self, samples: Vec<(usize, u64)>, why: Absence) -> Result<(), SpoolError> {
        self.ask(|reply| Request::Lose(samples, why, reply)).await
    }

    /// Reads samples: [`Spool::read`].
    ///
    /// # Errors
    /// Those of [`Spool::read`], and [`SpoolError::Stopped`].
    pub async fn read(&self, lane: usize, span: Span) -> Result<Vec<u8>, SpoolError> {
        self.ask(|reply| Request::Read(lane, span, reply)).await
    }

    /// Lets go of what is safe elsewhere: [`Spool::release`].
    ///
    /// # Errors
    /// Those of [`Spool::release`], and [`SpoolError::Stopped`].
    pub async fn release(&self, safe: Vec<SamplePos>) -> Result<(), SpoolError> {
        self.ask(|reply| Request::Release(safe, reply)).await
    }

    /// Takes an order about what is recorded: [`Spool::order`].
    ///
    /// # Errors
    /// Those of [`Spool::order`], and [`SpoolError::Stopped`].
    pub async fn order(&self, order: Heard) -> Result<(), SpoolError> {
        self.ask(|reply| Request::Order(order, reply)).await
    }

    /// Keeps what takes the hearing up: [`Spool::bind`].
    ///
    /// # Errors
    /// Those of [`Spool::bind`], and [`SpoolError::Stopped`].
    pub async fn bind(&self, bound: Bound) -> Result<(), SpoolError> {
        self.ask(|reply| Request::Bind(bound, reply)).await
    }

    /// Destroys all audio and keeps the hearing: [`Spool::rest`].
    ///
    /// # Errors
    /// Those of [`Spool::rest`], and [`SpoolError::Stopped`].
    pub async fn rest(&self) -> Result<(), SpoolError> {
        self.ask(Request::Rest).await
    }

    /// Destroys everything: [`Spool::remove`].
    ///
    /// # Errors
    /// Those of [`Spool::remove`], and [`SpoolError::Stopped`].
    pub async fn remove(&self) -> Result<(), SpoolError> {
        self.ask(Request::Remove).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_gone| SpoolError::Stopped)?;
        answer.await.unwrap_or(Err(SpoolError::Stopped))
    }
}

/// Does one thing. Who asked may be gone; it is done all the same. What is held is published before the answer.
fn serve(spool: &mut Spool, request: Request, publish: &watch::Sender<Stock>) {
    fn answer<T>(spool: &Spool, publish: &watch::Sender<Stock>, reply: Reply<T>, done: Result<T, SpoolError>) {
        publish.send_if_modified(|stock| {
            let now = stock_of(spool);
            let changed = *stock != now;
            *stock = now;
            changed
        });
        let _gone = reply.send(done);
    }
    match request {
        Request::Append(audio, reply) => {
            let done = spool.append(&audio);
            answer(spool, publish, reply, done);
        }
        Request::Lose(samples, why, reply) => {
            let done = spool.lose(&samples, why);
            answer(spool, publish, reply, done);
        }
        Request::Read(lane, span, reply) => {
            let done = spool.read(lane, span);
            answer(spool, publish, reply, done);
        }
        Request::Release(safe, reply) => {
            let done = spool.release(&safe).map(|_any| ());
            answer(spool, publish, reply, done);
        }
        Request::Order(order, reply) => {
            let done = spool.order(&order);
            answer(spool, publish, reply, done);
        }
        Request::Bind(bound, reply) => {
            let _gone = reply.send(spool.bind(bound));
        }
        Request::Rest(reply) => {
            let done = spool.rest();
            answer(spool, publish, reply, done);
        }
        Request::Remove(reply) => {
            let done = spool.remove();
            answer(spool, publish, reply, done);
        }
    }
}
