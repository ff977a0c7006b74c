//! The gRPC server: the service, health and reflection on one listener.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{DESCRIPTORS, TranscriptionService, pb::transcription_server::TranscriptionServer};

/// Serves on `listener` until `stop` is cancelled; then connections are told to go and open calls may finish. Where the task is
/// aborted, they are cut.
///
/// # Errors
/// If the protocol's own description could not be read, which a test of reflection excludes.
pub async fn serve(
    service: TranscriptionService,
    listener: TcpListener,
    max_message_bytes: usize,
    stop: CancellationToken,
) -> Result<tokio::task::JoinHandle<Result<(), tonic::transport::Error>>, tonic_reflection::server::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<TranscriptionServer<TranscriptionService>>().await;
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Python's client and older ones know only v1alpha.
    let (reflection, older_reflection) = (described().build_v1()?, described().build_v1alpha()?);
    let transcription = TranscriptionServer::new(service)
        .max_decoding_message_size(max_message_bytes)
        .max_encoding_message_size(usize::MAX);
    let router = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        // Small windows, so that a busy channel is felt by its recorder and not hidden in buffers.
        .initial_stream_window_size(Some(1 << 18))
        .initial_connection_window_size(Some(1 << 20))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(older_reflection)
        .add_service(transcription);
    let cut = CancellationToken::new();
    // Each connection is served on a task of its own, which nobody can abort.
    let goes_with_the_task = cut.clone().drop_guard();
    let incoming = TcpListenerStream::new(listener).map(move |accepted| {
        let cut = Box::pin(cut.clone().cancelled_owned());
        accepted.map(|stream| Connection { stream, cut })
    });
    Ok(tokio::spawn(async move {
        let _goes_with_the_task = goes_with_the_task;
        let stopped = async move {
            stop.cancelled().await;
            health.set_not_serving::<TranscriptionServer<TranscriptionService>>().await;
        };
        router.serve_with_incoming_shutdown(incoming, stopped).await
    }))
}

/// A connection that can be cut.
struct Connection {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A connection is always being read.
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
