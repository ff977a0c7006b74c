"""What is transcribed: a fixed choice out of a folder of recordings with references, decoded once for all contenders.

The rule, which knows nothing of how well anybody does:
- Left out: what is derived from another row (degraded/, the leaking copy of court/), rows in which nobody speaks, languages
  that Whisper does not know, and languages written without spaces, whose errors cannot be added to those in words.
- The rows of each language (its primary subtag) are put in the order of the SHA-256 of their ids, which mixes lengths and
  sources, and taken until the language has its seconds.
- Live: every English row of long/ and en/ that is left, in that order, 0.3 s apart, as one recording.
"""
import hashlib
import os
import wave

import numpy as np
from faster_whisper.audio import decode_audio

RATE = 16000
GAP = np.zeros(RATE * 3 // 10, dtype=np.float32)
LEFT_OUT = ("degraded/", "nospeech/", "court-fr-en-leak", "qu-radio/")
WITHOUT_SPACES = ("zh", "ja", "th", "my", "lo", "km", "bo", "yue")


def rows(manifest):
    """The rows as dictionaries, with what the rule leaves out left out."""
    with open(manifest, encoding="utf8") as table:
        lines = [line.rstrip("\r\n").split("\t") for line in table if line.strip()]
    found = []
    for fields in lines[1:]:
        row = dict(zip(lines[0], fields))
        row["language"] = row["language"].split("-")[0]
        if any(part in row["file"] or part in row["id"] for part in LEFT_OUT) or not row["reference_text"].strip():
            continue
        if row["language"] not in WITHOUT_SPACES:
            found.append(row)
    return sorted(found, key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest())


def offline(found, seconds):
    """Rows of each language until it has so many seconds."""
    taken, sums = [], {}
    for row in found:
        if sums.get(row["language"], 0.0) < seconds:
            taken.append(row)
            sums[row["language"]] = sums.get(row["language"], 0.0) + float(row["duration_s"])
    return taken


def live(found, short):
    folders = ("en/",) if short else ("en/", "long/")
    return [row for row in found if row["language"] == "en" and row["file"].startswith(folders)]


def sound(folder, row):
    """A row's own channel at 16 kHz."""
    path = os.path.join(folder, row["file"])
    if row["id"].endswith((".ch1", ".ch2")):
        return decode_audio(path, RATE, split_stereo=True)[int(row["id"][-1]) - 1]
    return decode_audio(path, RATE)


def write(path, samples):
    with wave.open(path, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def table(path, items):
    """A manifest as `vivavoce evaluate` reads it."""
    with open(path, "w", encoding="utf8") as out:
        out.write("id\tfile\tlanguage\tduration_s\treference_text\n")
        for item in items:
            out.write(f"{item['id']}\t{item['id']}.wav\t{item['language']}\t{item['seconds']:.3f}\t{item['reference']}\n")


def item(out, name, language, samples, reference):
    write(os.path.join(out, name + ".wav"), samples)
    # What all contenders get is what was written.
    samples = decode_audio(os.path.join(out, name + ".wav"), RATE)
    return {"id": name, "language": language, "samples": samples, "seconds": len(samples) / RATE, "reference": reference}


def prepare(folder, out, seconds, short):
    """Writes offline.tsv and live.tsv with their recordings into `out`; gives the items with their samples."""
    os.makedirs(out, exist_ok=True)
    found = rows(os.path.join(folder, "manifest.tsv"))
    # The program takes an id that ends in .ch1 for a channel of a file.
    mixed = [
        item(out, row["id"].replace(".", "-"), row["language"], sound(folder, row), row["reference_text"])
        for row in offline(found, seconds)
    ]
    table(os.path.join(out, "offline.tsv"), mixed)
    spoken = live(found, short)
    pieces = [piece for row in spoken for piece in (sound(folder, row), GAP)]
    said = " ".join(row["reference_text"] for row in spoken)
    one = item(out, "live", "en", np.concatenate(pieces), said)
    table(os.path.join(out, "live.tsv"), [one])
    return mixed, one
