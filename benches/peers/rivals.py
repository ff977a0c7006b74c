"""The rivals offline: faster-whisper in the ways in which it is used, each file in turn, all cores on it."""
import time

from faster_whisper import BatchedInferencePipeline, WhisperModel


class Rivals:
    """Models are loaded and have seen a recording before anything is timed."""

    def __init__(self, weights, threads, warm_up):
        self.model = WhisperModel(weights, device="cpu", compute_type="int8", cpu_threads=threads)
        self.batched = BatchedInferencePipeline(self.model)
        # The language is given, as it is to vivavoce; all else is the package's default.
        self.ways = {
            "beam1": lambda item: self.model.transcribe(item["samples"], language=item["language"], beam_size=1),
            "beam5": lambda item: self.model.transcribe(item["samples"], language=item["language"]),
            "batched_vad": lambda item: self.batched.transcribe(
                item["samples"], language=item["language"], vad_filter=True
            ),
            # As cheap as it can be: nothing is tried again at another temperature, no text before is looked at.
            "beam1_plain": lambda item: self.model.transcribe(
                item["samples"], language=item["language"], beam_size=1, temperature=0.0, condition_on_previous_text=False
            ),
        }
        for way in self.ways.values():
            list(way(warm_up)[0])

    def run(self, name, items):
        """Seconds for all items, and the text of each."""
        texts, begun = {}, time.perf_counter()
        for item in items:
            segments, _ = self.ways[name](item)
            texts[item["id"]] = " ".join(segment.text.strip() for segment in segments)
        return time.perf_counter() - begun, texts


def word_times(weights, threads, item):
    """When each word of an item was spoken, by the same model in full precision with five beams: the clock for both sides."""
    model = WhisperModel(weights, device="cpu", compute_type="float32", cpu_threads=threads)
    segments, _ = model.transcribe(
        item["samples"], language=item["language"], word_timestamps=True, condition_on_previous_text=False
    )
    return [
        {"id": item["id"], "w": word.word.strip(), "b": round(float(word.start), 3), "e": round(float(word.end), 3)}
        for segment in segments
        for word in segment.words
    ]
