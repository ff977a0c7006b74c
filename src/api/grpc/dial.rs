//! Connections that can be cut: at once, and without a word that a server could take for the end of the input.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{codegen::Service, transport::Uri};

/// Makes TCP connections that end when a token is cancelled.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    cut: CancellationToken,
}

impl Dial {
    pub(super) const fn new(cut: CancellationToken) -> Self {
        Self { cut }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Cuttable>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let cut = self.cut.clone();
        Box::pin(async move {
            if cut.is_cancelled() {
                return Err(gone());
            }
            let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
            let stream = TcpStream::connect((host, address.port_u16().unwrap_or(80))).await?;
            // Chunks are small and wanted at once.
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(Cuttable { stream, cut: Box::pin(cut.cancelled_owned()), is_cut: false }))
        })
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up")
}

/// A TCP connection that fails once it is cut.
pub(super) struct Cuttable {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    is_cut: bool,
}

impl Cuttable {
    /// Also has the task woken when it is cut.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        // A future that is ready is not polled again.
        self.is_cut = self.is_cut || self.cut.as_mut().poll(context).is_ready();
        if self.is_cut { Err(gone()) } else { Ok(()) }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
