//! What a recorder sends: audio, marks, gaps, clocks and orders, each taken in its turn.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::{
    api::{
        grpc::{convert, entries, pb, pb::stream_request::Kind as In},
        status::status,
    },
    domain::{id::ChannelId, time::SamplePos},
    hearing::live::AudioIn,
};

/// How the input of a stream ended.
pub(super) enum InputEnd {
    /// The recorder has no more for now, or the hearing is to end. The results up to here are waited for.
    Over(Vec<(ChannelId, SamplePos)>),
    /// The server is to end: what is being said goes on with the next stream. The results of what ended are waited for.
    Left(Vec<(ChannelId, SamplePos)>),
    /// A break, a broken rule, another stream: what was said goes on with the next stream.
    Broken(Status),
}

/// A mark of the client's, and where each channel stood when it came.
pub(super) type Mark = (u64, Vec<(ChannelId, SamplePos)>);

/// Takes audio until the recorder ends the stream, breaks a rule, or goes away, or the hearing is closed.
pub(super) async fn take_audio(
    mut live: AudioIn,
    mut requests: Streaming<pb::StreamRequest>,
    marks: mpsc::Sender<Mark>,
    draining: CancellationToken,
) -> Result<InputEnd, Status> {
    let halt = Halt { ending: live.ending(), draining, replaced: live.replaced() };
    let mut chunks = 0;
    let leaves = loop {
        let message = tokio::select! {
            // An input that is over is over, whatever else is to end.
            biased;
            message = requests.message() => message?,
            leaves = halt.told() => break leaves?,
        };
        let Some(message) = message else { break false };
        // Also in the middle of a message: its audio may be long, and what was taken of it is known by position.
        tokio::select! {
            biased;
            leaves = halt.told() => break leaves?,
            taken = take_message(&mut live, message, &marks, &mut chunks) => taken?,
        }
    };
    let end = if leaves { live.leave().await.map(InputEnd::Left) } else { live.finish().await.map(InputEnd::Over) };
    end.map_err(|e| status(&e))
}

/// What ends the input before the recorder does.
struct Halt {
    ending: CancellationToken,
    draining: CancellationToken,
    replaced: CancellationToken,
}

impl Halt {
    /// Ready when the input is to end; whether it goes on with another stream.
    async fn told(&self) -> Result<bool, Status> {
        tokio::select! {
            () = self.ending.cancelled() => Ok(false),
            () = self.draining.cancelled() => Ok(true),
            () = self.replaced.cancelled() => Err(Status::aborted("another stream of the hearing took over")),
        }
    }
}

async fn take_message(
    live: &mut AudioIn,
    message: pb::StreamRequest,
    marks: &mpsc::Sender<Mark>,
    chunks: &mut u64,
) -> Result<(), Status> {
    match message.kind {
        Some(In::Audio(chunk)) => {
            *chunks += 1;
            take_chunk(live, chunk, *chunks).await?;
        }
        Some(In::Marker(pb::Marker { id })) => {
            // The other side is there as long as the input is.
            let _gone = marks.send((id, live.positions())).await;
        }
        Some(In::Start(_)) => return Err(Status::invalid_argument("`start` came twice in one stream")),
        Some(In::Interval(event)) => live.order(entries::interval_event(event)?).await.map_err(|e| status(&e))?,
        Some(In::Gap(pb::Gap { channel, end_sample, reason })) => {
            let reason = entries::gap_reason(reason)?;
            live.missing(channel, SamplePos::new(end_sample), reason).await.map_err(|e| status(&e))?;
        }
        Some(In::Clock(reading)) => {
            let (channel, at, wall) = entries::clock_reading(&reading)?;
            live.clock(channel, at, wall).map_err(|e| status(&e))?;
        }
        None => return Err(Status::invalid_argument("a message without content")),
    }
    Ok(())
}

async fn take_chunk(live: &mut AudioIn, chunk: pb::AudioChunk, number: u64) -> Result<(), Status> {
    let pb::AudioChunk { channel, first_sample, sequence, samples, crc32c } = chunk;
    if sequence != 0 && sequence != number {
        return Err(Status::invalid_argument(format!("audio chunk {sequence} came where {number} was due")));
    }
    if let Some(expected) = crc32c {
        let found = crc32c::crc32c(&samples);
        if found != expected {
            return Err(Status::invalid_argument(format!(
                "audio chunk {number} has CRC-32C {found:08x}, not {expected:08x}: it was damaged on its way; send it again"
            )));
        }
    }
    if channel > u32::from(ChannelId::MAX) {
        convert::channel_id(channel)?;
    }
    live.audio(channel, first_sample.map(SamplePos::new), &samples).await.map_err(|e| status(&e))
}
