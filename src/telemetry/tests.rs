//! What was recorded, as collectors read it.

use super::*;

#[test]
fn what_was_recorded_is_what_is_shown() {
    let metrics = Metrics::new();
    let running = metrics.stream_opened();
    drop(metrics.stream_opened());
    metrics.stream_refused(Refusal::Full);
    metrics.disk_free(9 << 30);
    metrics.audio_received(Encoding::MuLaw, Duration::from_millis(1_500));
    let flags = [FlagCode::Repetition, FlagCode::LowAudio];
    metrics.utterance(CaptionState::Withheld, flags, Duration::from_millis(1_200));
    metrics.channel_alarmed(Alarm::Hum);
    metrics.decoded(DecodePass::Final, Duration::from_millis(120));
    metrics.decode_failed(DecodePass::Partial);
    metrics.engine_restarted(EngineLoss::Hung);
    metrics.queue_depth(Queue::AsrFinals, 3);
    metrics.queue_waited(Queue::AsrFinals, Duration::from_secs(1));
    metrics.queue_rejected(Queue::AsrPartials);
    metrics.record_appended(Duration::from_micros(300));
    metrics.journal_synced(Duration::from_millis(2));
    let text = metrics.encode();
    for line in [
        "vivavoce_streams_running 1",
        "vivavoce_streams_opened_total 2",
        "vivavoce_disk_free_bytes 9663676416",
        "vivavoce_streams_refused_total{reason=\"full\"} 1",
        "vivavoce_audio_received_seconds_total{encoding=\"mu_law\"} 1.5",
        "vivavoce_utterances_total{captions=\"withheld\"} 1",
        "vivavoce_utterances_total{captions=\"shown\"} 0",
        "vivavoce_segments_flagged_total{code=\"repetition\"} 1",
        "vivavoce_segments_flagged_total{code=\"clipped_audio\"} 0",
        "vivavoce_channel_alarms_total{alarm=\"hum\"} 1",
        "vivavoce_channel_alarms_total{alarm=\"dead\"} 0",
        "vivavoce_decode_seconds_count{pass=\"final\"} 1",
        "vivavoce_decode_seconds_bucket{le=\"0.1\",pass=\"final\"} 0",
        "vivavoce_decode_seconds_bucket{le=\"0.2\",pass=\"final\"} 1",
        "vivavoce_decode_failures_total{pass=\"partial\"} 1",
        "vivavoce_engine_restarts_total{reason=\"hung\"} 1",
        "vivavoce_engine_restarts_total{reason=\"killed\"} 0",
        "vivavoce_final_latency_seconds_sum 1.2",
        "vivavoce_queue_depth{queue=\"asr_finals\"} 3",
        "vivavoce_queue_wait_seconds_count{queue=\"asr_finals\"} 1",
        "vivavoce_queue_rejected_total{queue=\"asr_partials\"} 1",
        "vivavoce_record_append_seconds_count 1",
        "vivavoce_journal_sync_seconds_bucket{le=\"0.0025\"} 1",
        concat!("vivavoce_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    drop(running);
    assert!(metrics.encode().contains("vivavoce_streams_running 0\n"));
}

#[test]
fn every_series_bears_the_name_of_the_product_and_only_plain_letters() {
    let text = Metrics::new().encode();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = series.filter_map(|line| line.split(['{', ' ']).next()).collect();
    assert!(names.len() > 100, "{}", names.len());
    for name in names {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(plain && name.starts_with("vivavoce_"), "{name}");
    }
}
