"""vivavoce beside its rivals on this machine, in one run; see benches/README.md.

usage: bench.py --vivavoce PROGRAM --weights CT2_FOLDER --speech FOLDER --models STORE --out FOLDER [--short]
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

import material
import rivals
import streaming

KEYS = (
    "offline_ratio_beam1", "offline_ratio_beam5", "offline_ratio_batched_vad", "wer_ours", "wer_peer_beam1",
    "wer_peer_beam5", "live_first_p50_ms", "live_committed_p50_ms", "live_committed_p95_ms", "live_wer",
    "peer_live_p50_ms", "peer_live_p95_ms", "peer_live_wer",
)


def say(text):
    print(text, file=sys.stderr, flush=True)


class Vivavoce:
    """The program, with its default settings and no file of settings."""

    def __init__(self, program, models, out):
        self.program, self.out = os.path.abspath(program), out
        self.set = ["--set", f"data.models={os.path.abspath(models)}", "--set", "log.filter=warn"]

    def run(self, *arguments):
        done = subprocess.run([self.program, *arguments, *self.set], capture_output=True, text=True, check=False, cwd=self.out)
        if done.returncode != 0:
            raise SystemExit(f"vivavoce {arguments[0]} failed:\n{done.stderr}")
        return done.stdout

    def transcribe(self, manifest, folder):
        """Seconds for all of a manifest, from when the engine is loaded, and where the texts are."""
        self.run("evaluate", manifest, "--out", folder, "--json")
        with open(os.path.join(self.out, folder, "speed.json"), encoding="utf8") as speed:
            return json.load(speed)["wall_s"], os.path.join(folder, "hypotheses.tsv")

    def wer(self, manifest, hypotheses):
        return round(json.loads(self.run("evaluate", manifest, "--hypotheses", hypotheses, "--json"))["pooled"]["wer_percent"], 3)

    def load(self, manifest, times, offline):
        """A server of its own, and one channel on it."""
        with tempfile.TemporaryDirectory() as data:
            anywhere = [f"--set=server.{name}=127.0.0.1:0" for name in ("listen", "admin_listen")]
            command = [self.program, "serve", *self.set, *anywhere, "--set", f"data.dir={data}"]
            server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=self.out)
            try:
                said = ""
                while "vivavoce serves on " not in said:
                    line = server.stderr.readline()
                    if not line:
                        sys.exit(f"vivavoce serve ended:\n{said}")
                    said += line
                address = said.split("vivavoce serves on ")[1].split()[0]
                options = ["--server", f"http://{address}", "--pid", str(server.pid), "--times", times, "--offline", offline]
                self.run("load", "--manifest", manifest, *options, "--json", "load.json", "--plot", "load.svg")
            finally:
                server.terminate()
                server.communicate()
        with open(os.path.join(self.out, "load.json"), encoding="utf8") as figures:
            return json.load(figures)


def hypotheses(out, name, texts):
    path = f"{name}.tsv"
    with open(os.path.join(out, path), "w", encoding="utf8") as file:
        file.writelines(f"{key}\t{' '.join(text.split())}\n" for key, text in texts.items())
    return path


def offline(ours, out, weights, threads, mixed, rounds):
    """A B A B: in each round everybody in turn; a ratio is of neighbours, and what is reported is the mean over rounds."""
    them = rivals.Rivals(weights, threads, mixed[0])
    seconds, texts = {"ours": []}, {}
    for number in range(rounds):
        wall, path = ours.transcribe("offline.tsv", "offline-ours")
        seconds["ours"].append(wall)
        say(f"round {number + 1}: vivavoce {wall:.1f} s")
        for name in them.ways:
            wall, texts[name] = them.run(name, mixed)
            seconds.setdefault(name, []).append(wall)
            say(f"round {number + 1}: faster-whisper {name} {wall:.1f} s")
    found = {"wer_ours": ours.wer("offline.tsv", path)}
    for name in them.ways:
        ratios = [a / b for a, b in zip(seconds["ours"], seconds[name])]
        found[f"offline_ratio_{name}"] = round(sum(ratios) / len(ratios), 4)
        found[f"wer_peer_{name}"] = ours.wer("offline.tsv", hypotheses(out, f"offline-{name}", texts[name]))
    found["offline_seconds"] = {name: [round(s, 3) for s in all_] for name, all_ in seconds.items()}
    return found


def live(ours, out, weights, threads, one):
    times = rivals.word_times(weights, threads, one)
    with open(os.path.join(out, "times.jsonl"), "w", encoding="utf8") as file:
        file.writelines(json.dumps(word, ensure_ascii=False) + "\n" for word in times)
    _, path = ours.transcribe("live.tsv", "live-offline")
    say(f"live, vivavoce: {one['seconds']:.0f} s")
    figures = ours.load("live.tsv", "times.jsonl", path)
    latency = figures["latency_ms"]
    found = {
        "live_first_p50_ms": latency["first_shown"]["p50"],
        "live_committed_p50_ms": latency["committed"]["p50"],
        "live_committed_p95_ms": latency["committed"]["p95"],
        "live_final_after_span_p95_ms": figures["final_after_span_ms"]["p95"],
        "live_wer": figures["error_rate_percent"],
        "live_offline_wer": figures["offline_error_rate_percent"],
        "live_matched_words": figures["timed_words"],
        "live_reference_words": len(times),
    }
    return found, times


def live_peer(ours, out, weights, threads, one, times, beam):
    """In a process of its own, where nothing else is loaded."""
    say(f"live, whisper-streaming: {one['seconds']:.0f} s")
    path = os.path.join(out, "peer-live.json")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "streaming.py")
    wav = os.path.join(out, "live.wav")
    subprocess.run([sys.executable, script, weights, wav, "en", str(threads), str(beam), path], check=True)
    with open(path, encoding="utf8") as file:
        results = json.load(file)
    text = hypotheses(out, "live-peer", {one["id"]: "".join(text for _, text in results)})
    late = streaming.latencies(results, times)
    found = {"peer_live_wer": ours.wer("live.tsv", text), "peer_live_matched_words": len(late), "peer_live_beam": beam}
    if late:
        found["peer_live_p50_ms"] = round(1000 * streaming.percentile(late, 50))
        found["peer_live_p95_ms"] = round(1000 * streaming.percentile(late, 95))
    return found


def machine():
    with open("/proc/cpuinfo", encoding="utf8") as cpuinfo:
        names = [line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")]
    return {"processor": names[0] if names else platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}


def main():
    arguments = argparse.ArgumentParser()
    for name in ("vivavoce", "weights", "speech", "models", "out"):
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("--short", action="store_true")
    given = arguments.parse_args()
    threads, begun = 2, time.monotonic()
    out, weights = os.path.abspath(given.out), os.path.abspath(given.weights)
    report = dict.fromkeys(KEYS)
    report["machine"] = machine()
    mixed, one = material.prepare(given.speech, out, 6.0 if given.short else 65.0, given.short)
    report["offline_minutes"] = round(sum(item["seconds"] for item in mixed) / 60, 2)
    report["offline_items"] = len(mixed)
    report["live_seconds"] = round(one["seconds"], 1)
    say(f"{len(mixed)} recordings, {report['offline_minutes']} minutes")
    ours = Vivavoce(given.vivavoce, given.models, out)
    report.update(offline(ours, out, weights, threads, mixed, 1 if given.short else 2))
    figures, times = live(ours, out, weights, threads, one)
    report.update(figures)
    notes = ["figures of a busy machine are worth little: see machine.load, and run it alone"]
    try:
        import whisper_streaming  # noqa: F401

        report.update(live_peer(ours, out, weights, threads, one, times, 1))
        notes.append(
            "peer_live is the package whisper-streaming, a rework of ufal/whisper_streaming that is not its official form, "
            "with beam 1, its faster setting; ends of words are the same reference for both sides"
        )
    except ImportError as error:
        notes.append(f"peer_live is null: no streaming rival could be installed from packages ({error})")
    report["notes"] = notes
    report["short"] = given.short
    report["machine"]["load_after"] = os.getloadavg()
    report["minutes_taken"] = round((time.monotonic() - begun) / 60, 1)
    path = os.path.join(out, "..", "peers.json")
    with open(path, "w", encoding="utf8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    print(json.dumps({key: report[key] for key in KEYS}, indent=1))


if __name__ == "__main__":
    main()
