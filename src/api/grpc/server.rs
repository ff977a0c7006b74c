//! The gRPC server: the service, health and reflection on one listener.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use super::{DESCRIPTORS, TranscriptionService, pb::transcription_server::TranscriptionServer};

/// Serves on `listener` until `stop` is cancelled; then connections are told to go and open calls may finish.
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
    let incoming = TcpListenerStream::new(listener);
    Ok(tokio::spawn(router.serve_with_incoming_shutdown(incoming, async move {
        stop.cancelled().await;
        health.set_not_serving::<TranscriptionServer<TranscriptionService>>().await;
    })))
}
