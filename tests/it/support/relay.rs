//! A network that can be cut: a relay of TCP connections that ends them after so many bytes, wherever in a message that is.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How many bytes may pass of the next connection before it is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// From the recorder to the server.
    pub(crate) up: u64,
    /// From the server to the recorder.
    pub(crate) down: u64,
}

/// All that anybody sends.
pub(crate) const UNLIMITED: Budget = Budget { up: u64::MAX, down: u64::MAX };

#[derive(Clone, Copy, Debug)]
enum Way {
    Up,
    Down,
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    /// Nobody gets through.
    down: bool,
    budget: Budget,
    running: CancellationToken,
}

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Connections that were let through.
    pub(crate) connections: u64,
    /// Connections of which the budget was used up: nothing passes any more.
    pub(crate) spent: u64,
}

/// The relay.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    seen: watch::Sender<Seen>,
    _accept: AbortOnDropHandle<()>,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { server, down: false, budget: UNLIMITED, running: CancellationToken::new() };
        let (state, seen) = (Arc::new(Mutex::new(state)), watch::Sender::new(Seen::default()));
        let accept = accept(listener, Arc::clone(&state), seen.clone());
        Self { address, state, seen, _accept: AbortOnDropHandle::new(tokio::spawn(accept)) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens, as it happens.
    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// The budget of the next connection.
    pub(crate) fn arm(&self, budget: Budget) {
        self.state.lock().unwrap().budget = budget;
    }

    /// Cuts what runs. With `down` nobody gets through any more.
    pub(crate) fn cut(&self, down: bool) {
        let mut state = self.state.lock().unwrap();
        state.down = down;
        std::mem::take(&mut state.running).cancel();
    }

    /// Cuts what runs, and brings the next connections to another server.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        self.state.lock().unwrap().server = server;
        self.cut(false);
    }

    /// Lets connections through again.
    pub(crate) fn up(&self) {
        self.state.lock().unwrap().down = false;
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, seen: watch::Sender<Seen>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (server, budget, cut) = {
            let state = state.lock().unwrap();
            if state.down {
                // The recorder sees a connection that ends at once.
                continue;
            }
            (state.server, state.budget, state.running.clone())
        };
        let Ok(server) = TcpStream::connect(server).await else { continue };
        seen.send_modify(|seen| seen.connections += 1);
        let budget = Arc::new(Mutex::new(budget));
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        for (from, to, way) in [(from_client, to_server, Way::Up), (from_server, to_client, Way::Down)] {
            let (budget, cut, seen) = (Arc::clone(&budget), cut.clone(), seen.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = pass(from, to, way, &budget, &seen) => {}
                    () = cut.cancelled() => {}
                }
            });
        }
    }
}

/// Passes bytes on until one side ends or the budget is used up. Then nothing moves until the connection is cut.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    budget: &Mutex<Budget>,
    seen: &watch::Sender<Seen>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let (allowed, spent) = {
            let mut budget = budget.lock().unwrap();
            let was_spent = budget.up == 0 || budget.down == 0;
            let left = match way {
                Way::Up => &mut budget.up,
                Way::Down => &mut budget.down,
            };
            let allowed = if was_spent { 0 } else { read.min(usize::try_from(*left).unwrap_or(usize::MAX)) };
            *left -= allowed as u64;
            (allowed, !was_spent && *left == 0)
        };
        if to.write_all(&buffer[..allowed]).await.is_err() {
            return;
        }
        if spent {
            seen.send_modify(|seen| seen.spent += 1);
        }
        if allowed < read {
            // A cable that is out: neither side hears anything.
            std::future::pending::<()>().await;
        }
    }
}
