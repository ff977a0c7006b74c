//! Health, readiness and metrics over HTTP, on a thread and a runtime of their own: a service with more to do than it can
//! still answers here, so that overload never looks like death.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{runtime, sync::oneshot, time::timeout};

use super::readiness::Readiness;
use crate::{
    domain::fault::{Fault, FaultKind},
    telemetry::Metrics,
};

/// How long running answers may take once the server stops. They are small; a client that hangs must not hold the stop.
const GRACE: Duration = Duration::from_secs(2);

/// What `GET /healthz` answers: the first word says whose port this is.
pub const ALIVE: &str = concat!("vivavoce ", env!("CARGO_PKG_VERSION"), " is alive\n");

/// The admin server. It stops when it is dropped.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// An admin server that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be had.
    #[error("cannot listen on {address} for health and metrics: {source}; set server.admin_listen to a free address")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No thread or runtime.
    #[error("the thread for health and metrics cannot be started: {source}")]
    Thread {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Fault for AdminError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Listen { .. } => FaultKind::Unavailable,
            Self::Thread { .. } => FaultKind::Internal,
        }
    }
}

/// What the answers are made of.
#[derive(Clone, Debug)]
struct Sources {
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
}

impl AdminServer {
    /// Listens on `address` (port 0 takes a free one) and serves `GET /healthz`, `/readyz` and `/metrics` from a thread
    /// named `admin`.
    ///
    /// # Errors
    /// [`AdminError::Listen`] where the address cannot be had, [`AdminError::Thread`] where the system gives no thread.
    pub fn start(address: SocketAddr, metrics: Arc<Metrics>, readiness: Arc<Readiness>) -> Result<Self, AdminError> {
        let listen = |source| AdminError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        let failed = |source| AdminError::Thread { source };
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let sources = Sources { metrics, readiness };
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve(listener, sources, stopped)) {
                    tracing::error!(%error, "health and metrics are no longer served");
                }
            })
            .map_err(failed)?;
        Ok(Self { address: bound, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, answers those that came in, and waits for the thread: 2 seconds at most.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        // Without a receiver the thread has ended already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for health and metrics panicked");
        }
    }
}

/// Serves until `stopped` resolves, which it also does when its sender is dropped. Nothing is lost when this stops.
async fn serve(listener: TcpListener, sources: Sources, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(async || ALIVE))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(sources);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (draining, drained) = oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
        let _ = draining.send(());
    });
    tokio::select! {
        outcome = server.into_future() => outcome,
        () = past_grace(drained) => Ok(()),
    }
}

/// Resolves [`GRACE`] after `drained` did.
async fn past_grace(drained: oneshot::Receiver<()>) {
    let _ = drained.await;
    let _ = timeout(GRACE, std::future::pending::<()>()).await;
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let report = sources.readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&report) {
        Ok(json) => (status, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
        // A report is made of plain words; should that change, a service that cannot say how it does is not ready.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], sources.metrics.encode()).into_response()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{Ipv4Addr, TcpStream},
    };

    use super::{
        super::readiness::{Part, PartState},
        *,
    };

    const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    struct Running {
        server: AdminServer,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    }

    fn running() -> Running {
        let (metrics, readiness) = (Arc::<Metrics>::default(), Arc::<Readiness>::default());
        let server = AdminServer::start(LOOPBACK, Arc::clone(&metrics), Arc::clone(&readiness)).unwrap();
        Running { server, metrics, readiness }
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_part_that_is_not_ready_is_named() {
        let running = running();
        let ask = |path: &str| get(running.server.address(), path);
        assert!(ask("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
        for part in [Part::Record, Part::Journal, Part::Engine] {
            running.readiness.set(part, PartState::Ready);
        }
        let answer = ask("/readyz");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("application/json"), "{answer}");
        assert!(answer.contains("\r\n\r\n{\"ready\":true,\"draining\":false,"), "{answer}");
        running.readiness.set(Part::Engine, PartState::Failed { reason: "no model".to_owned() });
        let answer = ask("/readyz");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains(r#""engine":{"state":"failed","reason":"no model"}"#), "{answer}");
        assert!(answer.contains(r#""record":{"state":"ready"}"#), "{answer}");
        assert!(ask("/healthz").ends_with(ALIVE));
        assert!(ask("/secrets").starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn the_metrics_are_those_of_the_service() {
        let running = running();
        let _stream = running.metrics.stream_opened();
        let answer = get(running.server.address(), "/metrics");
        assert!(answer.contains("application/openmetrics-text"), "{answer}");
        assert!(answer.contains("\nvivavoce_streams_running 1\n") && answer.ends_with("# EOF\n"), "{answer}");
    }

    #[test]
    fn a_client_that_never_ends_its_request_does_not_hold_the_stop() {
        let running = running();
        let address = running.server.address();
        let mut hanging = TcpStream::connect(address).unwrap();
        hanging.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
        assert!(get(address, "/healthz").ends_with(ALIVE), "the hanging client holds the others");
        running.server.stop();
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = TcpListener::bind(LOOPBACK).unwrap();
        let address = taken.local_addr().unwrap();
        let error = AdminServer::start(address, Arc::default(), Arc::default()).unwrap_err();
        assert_eq!(error.kind(), FaultKind::Unavailable);
        assert!(error.to_string().starts_with(&format!("cannot listen on {address} ")), "{error}");
    }
}
