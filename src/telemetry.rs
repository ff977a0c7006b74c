//! What the service tells its operators: log lines ([`log`]), and every metric with its name (`labels`: what it is told
//! apart by).
//!
//! No text of a hearing, no name and no audio ever goes through here.

mod labels;
pub mod log;

use std::time::Duration;

use prometheus_client::{
    encoding::text,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::domain::{alarm::Alarm, audio::Encoding, flag::FlagCode, load::LoadStep, segment::CaptionState};

use self::labels::{ByAlarm, ByCaptions, ByCode, ByEncoding, ByPass, ByQueue, ByReason, captions_name, encoding_name};

pub use self::labels::{DecodePass, EngineLoss, Queue, Refusal};

/// The upper ends of a histogram's buckets, in seconds.
#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

/// From a short window on a fast machine to a long one on an overloaded machine.
const DECODE: Buckets = Buckets(&[0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0]);
/// People notice from about a second on; past a minute a hearing is no longer followed live.
const LATENCY: Buckets = Buckets(&[0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 300.0]);
/// From a write into memory to a disk that hangs.
const DISK: Buckets = Buckets(&[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Seconds = Counter<f64, std::sync::atomic::AtomicU64>;

/// Every metric of the service. Recording takes no lock that is held for long and never fails.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    streams_running: Gauge,
    load_step: Gauge,
    disk_free: Gauge,
    streams_opened: Counter,
    streams_refused: Family<ByReason, Counter>,
    audio_received: Family<ByEncoding, Seconds>,
    utterances: Family<ByCaptions, Counter>,
    flags: Family<ByCode, Counter>,
    channel_alarms: Family<ByAlarm, Counter>,
    decode: Family<ByPass, Histogram, Buckets>,
    decode_failures: Family<ByPass, Counter>,
    engine_restarts: Family<ByReason, Counter>,
    final_latency: Histogram,
    queue_depth: Family<ByQueue, Gauge>,
    queue_wait: Family<ByQueue, Histogram, Buckets>,
    queue_rejected: Family<ByQueue, Counter>,
    record_append: Histogram,
    journal_sync: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero. Series of every label value exist from the start, so that a rate is right from the first event.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("vivavoce"),
            streams_running: Gauge::default(),
            load_step: Gauge::default(),
            disk_free: Gauge::default(),
            streams_opened: Counter::default(),
            streams_refused: Family::default(),
            audio_received: Family::default(),
            utterances: Family::default(),
            flags: Family::default(),
            channel_alarms: Family::default(),
            decode: Family::new_with_constructor(DECODE),
            decode_failures: Family::default(),
            engine_restarts: Family::default(),
            final_latency: LATENCY.new_metric(),
            queue_depth: Family::default(),
            queue_wait: Family::new_with_constructor(LATENCY),
            queue_rejected: Family::default(),
            record_append: DISK.new_metric(),
            journal_sync: DISK.new_metric(),
        };
        metrics.register();
        metrics.begin();
        metrics
    }

    /// The one place where names are given. The registry adds `vivavoce_`, the unit, and `_total` of counters.
    fn register(&mut self) {
        let Self { registry: r, .. } = self;
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The version that runs", version);
        r.register("streams_running", "Audio streams that run now", self.streams_running.clone());
        let help = "Step of the ladder: 0 normal, 1 fewer partials, 2 none, 3 late finals and no new live hearings";
        r.register("load_step", help, self.load_step.clone());
        let help = "Room that this service may use on the disk of its data";
        r.register_with_unit("disk_free", help, Unit::Bytes, self.disk_free.clone());
        r.register("streams_opened", "Audio streams that were let in", self.streams_opened.clone());
        r.register("streams_refused", "Audio streams that were not let in, by reason", self.streams_refused.clone());
        let help = "Audio that came in, in seconds of one channel, by the encoding it was sent in";
        r.register_with_unit("audio_received", help, Unit::Seconds, self.audio_received.clone());
        r.register(
            "utterances",
            "Utterances put on the record, by whether captions show them",
            self.utterances.clone(),
        );
        r.register("segments_flagged", "Flags put on segments, by code", self.flags.clone());
        let help = "Dead, clipped or humming channels that were noticed, by alarm";
        r.register("channel_alarms", help, self.channel_alarms.clone());
        let help = "Time that decoding one window took, by what it was for";
        r.register_with_unit("decode", help, Unit::Seconds, self.decode.clone());
        let help = "Windows that could not be decoded, by what they were for";
        r.register("decode_failures", help, self.decode_failures.clone());
        let help = "Processes of the engine that were lost and replaced, by reason";
        r.register("engine_restarts", help, self.engine_restarts.clone());
        let help = "From the arrival of an utterance's last audio to its place on the record";
        r.register_with_unit("final_latency", help, Unit::Seconds, self.final_latency.clone());
        r.register("queue_depth", "Jobs that wait now, by queue", self.queue_depth.clone());
        r.register_with_unit("queue_wait", "Time that jobs waited, by queue", Unit::Seconds, self.queue_wait.clone());
        let help = "Jobs that a full queue refused or replaced, by queue";
        r.register("queue_rejected", help, self.queue_rejected.clone());
        let help = "Time from handing a change to the record to its receipt";
        r.register_with_unit("record_append", help, Unit::Seconds, self.record_append.clone());
        let help = "Time that forcing audio to the disk took";
        r.register_with_unit("journal_sync", help, Unit::Seconds, self.journal_sync.clone());
    }

    fn begin(&self) {
        use Refusal::{Capacity, Disk, Draining, Full, Late, NotReady};
        for reason in [Full, Draining, NotReady, Late, Capacity, Disk] {
            drop(self.streams_refused.get_or_create(&reason.as_str().into()));
        }
        for encoding in Encoding::ALL {
            drop(self.audio_received.get_or_create(&encoding_name(encoding).into()));
        }
        for state in [CaptionState::Shown, CaptionState::Withheld] {
            drop(self.utterances.get_or_create(&captions_name(state).into()));
        }
        for code in FlagCode::ALL {
            drop(self.flags.get_or_create(&code.as_str().into()));
        }
        for alarm in Alarm::ALL {
            drop(self.channel_alarms.get_or_create(&alarm.as_str().into()));
        }
        for pass in [DecodePass::Partial, DecodePass::Final] {
            drop(self.decode.get_or_create(&pass.as_str().into()));
            drop(self.decode_failures.get_or_create(&pass.as_str().into()));
        }
        for loss in
            [EngineLoss::NotStarted, EngineLoss::Exited, EngineLoss::Killed, EngineLoss::Hung, EngineLoss::Broken]
        {
            drop(self.engine_restarts.get_or_create(&loss.as_str().into()));
        }
        for queue in [Queue::AsrFinals, Queue::AsrPartials, Queue::RecordWrites, Queue::ClientEvents] {
            drop(self.queue_depth.get_or_create(&queue.as_str().into()));
            drop(self.queue_wait.get_or_create(&queue.as_str().into()));
            drop(self.queue_rejected.get_or_create(&queue.as_str().into()));
        }
    }

    /// A stream was let in; it runs until the answer is dropped.
    #[must_use = "the stream counts as ended when this is dropped"]
    pub fn stream_opened(&self) -> RunningStream {
        self.streams_opened.inc();
        self.streams_running.inc();
        RunningStream(self.streams_running.clone())
    }

    /// The service is on this step of the ladder.
    pub fn load_step(&self, step: LoadStep) {
        self.load_step.set(i64::from(step.number()));
    }

    /// So many bytes are free on the disk of the data.
    pub fn disk_free(&self, bytes: u64) {
        self.disk_free.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A stream was not let in.
    pub fn stream_refused(&self, reason: Refusal) {
        self.streams_refused.get_or_create(&reason.as_str().into()).inc();
    }

    /// Audio of one channel came in.
    pub fn audio_received(&self, encoding: Encoding, length: Duration) {
        self.audio_received.get_or_create(&encoding_name(encoding).into()).inc_by(length.as_secs_f64());
    }

    /// An utterance is on the record with these flags, `latency` after its last audio had come in.
    pub fn utterance(&self, captions: CaptionState, flags: impl IntoIterator<Item = FlagCode>, latency: Duration) {
        self.utterances.get_or_create(&captions_name(captions).into()).inc();
        for code in flags {
            self.flags.get_or_create(&code.as_str().into()).inc();
        }
        self.final_latency.observe(latency.as_secs_f64());
    }

    /// An alarm began on a channel.
    pub fn channel_alarmed(&self, alarm: Alarm) {
        self.channel_alarms.get_or_create(&alarm.as_str().into()).inc();
    }

    /// A window was decoded in `took`.
    pub fn decoded(&self, pass: DecodePass, took: Duration) {
        self.decode.get_or_create(&pass.as_str().into()).observe(took.as_secs_f64());
    }

    /// A window could not be decoded. One that was cancelled or replaced is none of these.
    pub fn decode_failed(&self, pass: DecodePass) {
        self.decode_failures.get_or_create(&pass.as_str().into()).inc();
    }

    /// A process of the engine was lost; another one takes its place.
    pub fn engine_restarted(&self, loss: EngineLoss) {
        self.engine_restarts.get_or_create(&loss.as_str().into()).inc();
    }

    /// How many jobs wait in a queue now.
    pub fn queue_depth(&self, queue: Queue, depth: usize) {
        self.queue_depth.get_or_create(&queue.as_str().into()).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// A job left a queue after `waited`.
    pub fn queue_waited(&self, queue: Queue, waited: Duration) {
        self.queue_wait.get_or_create(&queue.as_str().into()).observe(waited.as_secs_f64());
    }

    /// A full queue refused a job, or replaced one by a newer one.
    pub fn queue_rejected(&self, queue: Queue) {
        self.queue_rejected.get_or_create(&queue.as_str().into()).inc();
    }

    /// A change was put on the record in `took`.
    pub fn record_appended(&self, took: Duration) {
        self.record_append.observe(took.as_secs_f64());
    }

    /// Audio was forced to the disk in `took`.
    pub fn journal_synced(&self, took: Duration) {
        self.journal_sync.observe(took.as_secs_f64());
    }

    /// All metrics as text in the format of `OpenMetrics` 1.0.0.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        if let Err(error) = text::encode(&mut out, &self.registry) {
            // Writing to a String cannot fail; text cut short lacks its `# EOF`, and a collector refuses it.
            tracing::error!(%error, "the metrics could not be written");
        }
        out
    }
}

/// A stream that runs; it counts as ended when this is dropped.
#[derive(Debug)]
pub struct RunningStream(Gauge);

impl Drop for RunningStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
