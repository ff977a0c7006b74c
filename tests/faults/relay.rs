//! A network that can be cut: passes bytes on between a recorder and a server, until so many have passed.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Both sides are told.
    Told,
    /// Nobody is told: the bytes stop, and the server holds the stream to be alive.
    Silent,
}

/// One connection's way through the network.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// Becomes true when the connection is cut.
    cut: watch::Receiver<bool>,
    work: JoinSet<()>,
}

impl Relay {
    /// Passes on to `server` until `after` bytes passed, in either direction.
    pub(crate) async fn to(server: SocketAddr, after: u64, how: Cut) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, cut) = watch::channel(false);
        let mut work = JoinSet::new();
        work.spawn(async move {
            let (recorder, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(server).await.unwrap();
            let left = Arc::new(AtomicI64::new(after as i64));
            let ((from, to), (back, forth)) = (recorder.into_split(), server.into_split());
            let mut ways = JoinSet::new();
            ways.spawn(pass(from, forth, Arc::clone(&left)));
            ways.spawn(pass(back, to, left));
            // The first way that ends takes the other with it. A silent one keeps both sockets open.
            let ends = ways.join_next().await;
            tell.send_replace(true);
            match how {
                Cut::Told => drop(ways),
                Cut::Silent => {
                    let _held = (ends, ways.join_next().await);
                    std::future::pending().await
                }
            }
        });
        Self { address, cut, work }
    }

    /// Ready when it is cut.
    pub(crate) async fn is_cut(&self) {
        let mut cut = self.cut.clone();
        // An error means that its task is gone, and the connection with it.
        drop(cut.wait_for(|cut| *cut).await);
    }

    /// The connection is dropped at last, also a silent one.
    pub(crate) fn drop_all(mut self) {
        self.work.abort_all();
    }
}

/// Passes bytes on until there are no more, or none may pass. Gives both halves, so that whoever waits decides when they close.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    left: Arc<AtomicI64>,
) -> (OwnedReadHalf, OwnedWriteHalf) {
    let mut bytes = vec![0; 1 << 14];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        let before = left.fetch_sub(read as i64, Ordering::Relaxed);
        let may = read.min(usize::try_from(before).unwrap_or(0));
        if may > 0 && to.write_all(&bytes[..may]).await.is_err() || read == 0 || may < read {
            return (from, to);
        }
    }
}
