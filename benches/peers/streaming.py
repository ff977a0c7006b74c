"""The streaming rival: the package whisper-streaming (a rework of ufal/whisper_streaming) over faster-whisper int8, fed at
the speed of speech. It is given all that was spoken whenever it asks, at least a second of it, so that it never falls behind
by a queue of its own.

Run by itself: streaming.py WEIGHTS LIVE.wav LANGUAGE THREADS BEAM OUT.json
"""
import difflib
import json
import logging
import queue
import re
import sys
import time

LEAST_S = 1.0
# What the original keeps before it trims; the package's own way of trimming, by sentences, is not finished.
BUFFER_S = 15.0


class Spoken:
    """Stands where the package has its queue of audio: what was spoken since the last time."""

    def __init__(self, samples, rate):
        self.samples, self.rate, self.at, self.start = samples, rate, 0, None

    def get(self, timeout=None):
        self.start = self.start or time.monotonic()
        if self.at >= len(self.samples):
            raise queue.Empty
        least = min(self.at + int(LEAST_S * self.rate), len(self.samples))
        time.sleep(max(0.0, self.start + least / self.rate - time.monotonic()))
        now = int((time.monotonic() - self.start) * self.rate)
        begin, self.at = self.at, min(len(self.samples), max(least, now))
        return self.samples[begin : self.at]


class Results:
    """Stands where the package has its queue of results: each with the moment at which it came."""

    def __init__(self, spoken):
        self.spoken, self.words = spoken, []

    def put_nowait(self, word):
        self.words.append((time.monotonic() - self.spoken.start, word.word))


def stream(weights, item, rate, threads, beam):
    """Newly committed text with its time, in order."""
    from whisper_streaming import ASRProcessor, AudioReceiver, Backend, OutputSender, TimeTrimming
    from whisper_streaming.backend import (
        FasterWhisperFeatureExtractorConfig,
        FasterWhisperModelConfig,
        FasterWhisperTranscribeConfig,
    )

    class Microphone(AudioReceiver):
        def _do_receive(self):
            return None

        def _do_close(self):
            pass

    class Screen(OutputSender):
        def start(self):
            pass

        def _do_output(self, data):
            pass

        def _do_close(self):
            pass

    microphone, screen = Microphone(), Screen()
    microphone.queue = Spoken(item["samples"], rate)
    screen.queue = Results(microphone.queue)
    processor = ASRProcessor(
        ASRProcessor.ProcessorConfig(
            sampling_rate=rate,
            prompt_size=200,
            audio_receiver_timeout=5.0,
            audio_trimming=TimeTrimming(seconds=BUFFER_S),
            language=item["language"],
        ),
        microphone,
        screen,
        Backend.FASTER_WHISPER,
        FasterWhisperModelConfig(weights, device="cpu", compute_type="int8", cpu_threads=threads),
        FasterWhisperTranscribeConfig(beam_size=beam),
        FasterWhisperFeatureExtractorConfig(),
    )
    # Not counted: the first decode makes buffers.
    list(processor.backend.model.transcribe(item["samples"][: 2 * rate], language=item["language"])[0])
    # At the end of the input the package may stumble over having nothing left to say, and log it; whether it heard all is
    # asked here.
    logging.getLogger("ASRProcessor").setLevel(logging.CRITICAL + 1)
    processor.run()
    if microphone.queue.at < len(item["samples"]):
        sys.exit(f"whisper-streaming stopped after {microphone.queue.at / rate:.1f} s")
    return screen.queue.words


def plain(word):
    return re.sub(r"[^\w']+", "", word.lower())


def latencies(results, times):
    """Seconds from the end of each word until it came, for the words that are found in the reference of times."""
    said = [(plain(t["w"]), t["e"]) for t in times if plain(t["w"])]
    heard = [(plain(word), at) for at, text in results for word in text.split() if plain(word)]
    blocks = difflib.SequenceMatcher(None, [w for w, _ in said], [w for w, _ in heard], autojunk=False)
    return sorted(
        heard[b + n][1] - said[a + n][1] for a, b, size in blocks.get_matching_blocks() for n in range(size)
    )


def percentile(figures, percent):
    """By nearest rank, as vivavoce counts."""
    return figures[max(0, -(-len(figures) * percent // 100) - 1)]


def main():
    from faster_whisper.audio import decode_audio

    weights, path, language, threads, beam, out = sys.argv[1:]
    item = {"samples": decode_audio(path, 16000), "language": language}
    results = stream(weights, item, 16000, int(threads), int(beam))
    with open(out, "w", encoding="utf8") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main()
