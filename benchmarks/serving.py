"""A server at saturation with good, bad and vanishing clients: is memory flat, and is every answer right?

    SEROTONE_DATA=/data python benchmarks/serving.py [--minutes 5] [--bundle default] [--out F]

The clips are EmoDB's, every tenth; without EmoDB, synthetic voices. First the recogniser answers them without a server,
in as many threads as the server has workers: these answers are the truth, and their clips a second the measure. Then
the server answers one client alone, and then, for the minutes asked for, all of these at once:

- good clients, two more than workers, upload one clip after another and compare each answer to 1e-4;
- a live stream sends clip after clip and compares each summary;
- bad clients send what is no audio, is cut off, has options without meaning, or is too large; each must get its 4xx;
- vanishing clients go away within a request's head, within its body, before its answer, and within a stream.

All of them share the machine with the server. Memory is the resident size of the server and its children, each child's
own, every five seconds; it is flat where its median over the last fifth is within 5 % of that over the second fifth.
At the end the server is told to end while requests are in flight. Then schemathesis, where it is installed, asks a
server of its own what its OpenAPI allows, and what it does not.
"""

import argparse
import json
import logging
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

import httpx
import numpy as np
import psutil
import soundfile
from websockets.sync.client import connect

from machine import busy_machine
from serotone import Recognizer, audio
from serotone.corpora.voice import speak

EMOTIONS = ("angry", "happy", "neutral", "sad")
TOLERANCE = 1e-4
SAMPLE_SECONDS = 5.0
OFFLINE_SECONDS = 20.0
PIECE = 3200  # samples of a message of the stream


@dataclass(frozen=True)
class Clip:
    """The bytes of a file, its samples at 16 kHz, and what the recogniser says to it, whole and streamed."""

    name: str
    content: bytes
    samples: np.ndarray
    truth: dict[str, float]
    streamed: dict[str, float]


@dataclass
class Tally:
    """What the clients saw; appending and counting are safe between threads."""

    seconds: list[float] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, what: str) -> None:
        """Count something."""
        with self.lock:
            self.seen[what] += 1


def main() -> int:
    """Measure, print, and write the figures where asked; exit status 1 where an answer was wrong or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SEROTONE_DATA"), help="default: SEROTONE_DATA")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the server is kept busy")
    parser.add_argument("--bundle", default="default", help="a shipped bundle or the folder of one")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="of the server")
    parser.add_argument("--examples", type=int, default=30, help="that schemathesis makes for each operation; 0: none")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()
    figures: dict[str, object] = {
        "schema": 1,
        "machine": busy_machine(),
        "python": platform.python_version(),
        "bundle": arguments.bundle,
        "workers": arguments.workers,
        "minutes": arguments.minutes,
    }
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # that streams are cut off is meant
    recognizer = Recognizer(arguments.bundle)
    clips, figures["audio"] = read_clips(arguments.data, recognizer)
    figures["mean_clip_seconds"] = float(np.mean([len(clip.samples) for clip in clips])) / 16000
    figures["offline"] = offline(recognizer, clips, arguments.workers)
    with served(arguments.bundle, arguments.workers) as (process, url):
        figures["alone"] = alone(url, clips)
        figures["saturated"] = saturated(process, url, clips, arguments)
    if arguments.examples and (program := shutil.which("schemathesis", path=str(Path(sys.executable).parent))):
        with served(arguments.bundle, arguments.workers) as (_, url):
            figures["schemathesis"] = fuzzed(program, url, arguments.examples)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    saturation, fuzz = figures["saturated"], figures.get("schemathesis")
    assert isinstance(saturation, dict)
    return int(bool(saturation["wrong_answers"]) or not saturation["memory_is_flat"] or fuzz not in (None, "no fault"))


def read_clips(data: Path | None, recognizer: Recognizer) -> tuple[list[Clip], str]:
    """The clips with their answers, and what they are, in words."""
    files = sorted((Path(data) / "emodb").rglob("*.flac"))[::10] if data else []
    contents = [(path.name, path.read_bytes()) for path in files] or list(voices())
    clips = []
    for name, content in contents:
        samples = audio.read(content, sample_rate=recognizer.bundle.sample_rate).samples
        stream = recognizer.stream(sample_rate=recognizer.bundle.sample_rate)
        stream.feed(samples)
        truth = dict(recognizer.predict(content).probabilities)
        clips.append(Clip(name, content, samples, truth, dict(stream.finish().probabilities)))
    return clips, f"EmoDB ({len(clips)} clips)" if files else f"{len(clips)} synthetic voices"


def voices() -> Iterator[tuple[str, bytes]]:
    """Synthetic voices as WAV files."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(40):
            sex = "male" if number % 2 else "female"
            voice = speak(0, number, sex, EMOTIONS[number % len(EMOTIONS)], number)
            path = Path(folder) / f"{number}.wav"
            soundfile.write(path, voice.astype(np.float32) / np.float32(32768), 16000)
            yield path.name, path.read_bytes()


def offline(recognizer: Recognizer, clips: list[Clip], workers: int) -> dict[str, float]:
    """Clips a second of the recogniser alone, in as many threads as the server has workers."""
    end, done = time.perf_counter() + OFFLINE_SECONDS, count()

    def work(first: int) -> None:
        for clip in cycle(clips[first:] + clips[:first]):
            if time.perf_counter() >= end:
                return
            recognizer.predict(clip.content)
            next(done)

    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    per_second = next(done) / (time.perf_counter() - begun)
    print(f"without a server, {workers} threads: {per_second:.1f} clips/s", flush=True)
    return {"clips_per_second": per_second}


@contextmanager
def served(bundle: str, workers: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-m", "serotone", "serve", "--bundle", bundle, "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen([*command, "--idle-seconds", "10"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"listens at (http://\S+)", line):
                break
        else:
            sys.exit("the server did not start")
        log = process.stderr
        threading.Thread(target=lambda: sum(1 for _ in log), daemon=True).start()
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def alone(url: str, clips: list[Clip]) -> dict[str, float]:
    """Latency of one client, nobody else about."""
    tally, ends = Tally(), count()
    good(url, clips, tally, lambda: next(ends) >= 2 * len(clips))
    figures = percentiles(tally.seconds)
    print(f"one client alone: {spell(figures)}", flush=True)
    return figures


def saturated(
    process: subprocess.Popen[str], url: str, clips: list[Clip], arguments: argparse.Namespace
) -> dict[str, object]:
    """All clients at once, and the memory of the server meanwhile."""
    tally, over = Tally(), threading.Event()
    kinds: list[Callable[..., None]] = [good] * (arguments.workers + 2) + [live, bad, bad, vanishing, vanishing]
    threads = [threading.Thread(target=kind, args=(url, clips, tally, over.is_set), daemon=True) for kind in kinds]
    begun, memory = time.perf_counter(), []
    for thread in threads:
        thread.start()
    while time.perf_counter() < begun + 60 * arguments.minutes:
        time.sleep(SAMPLE_SECONDS)
        memory.append(resident(process))
        if process.poll() is not None:
            sys.exit(f"the server ended with exit status {process.returncode}")
    seconds, answered = time.perf_counter() - begun, len(tally.seconds)
    metrics = httpx.get(f"{url}/metrics").text
    process.send_signal(signal.SIGTERM)  # with requests in flight
    ending = time.perf_counter()
    over.set()
    process.wait(60)
    for thread in threads:
        thread.join(30)
    fifth = max(1, len(memory) // 5)
    before, after = float(np.median(memory[fifth : 2 * fifth])), float(np.median(memory[-fifth:]))
    failures = re.search(r"^serotone_decoder_failures (\S+)", metrics, re.MULTILINE)
    figures: dict[str, object] = {
        "good_clients": arguments.workers + 2,
        "clips_per_second": answered / seconds,
        **percentiles(tally.seconds[:answered]),
        "wrong_answers": len(tally.wrong),
        "wrong": tally.wrong[:5],
        "seen": dict(sorted(tally.seen.items())),
        "decoders_replaced": float(failures[1]) if failures else None,
        "memory_megabytes": [round(value, 1) for value in memory],
        "memory_second_fifth": before,
        "memory_last_fifth": after,
        "memory_is_flat": after <= 1.05 * before,
        "seconds_to_end": time.perf_counter() - ending,
    }
    print(f"saturated: {answered / seconds:.1f} clips/s, {spell(figures)}")
    print(f"  {answered} answers of good clients, {len(tally.wrong)} wrong; also seen: {figures['seen']}")
    flat = "flat" if figures["memory_is_flat"] else "it grew"
    print(f"  memory: {before:.0f} MB in the second fifth, {after:.0f} MB in the last: {flat}", flush=True)
    return figures


def good(url: str, clips: list[Clip], tally: Tally, over: Callable[[], bool]) -> None:
    """Upload one clip after another, and compare."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for clip in cycle(clips):
            if over():
                return
            begun = time.perf_counter()
            try:
                answer = client.post("/v1/recognize", files={"file": (clip.name, clip.content)})
            except httpx.TransportError:
                if not over():
                    tally.wrong.append(f"{clip.name}: no answer")
                return
            if answer.status_code == 503:
                tally.saw("503 of a good client")
                time.sleep(min(1.0, float(answer.headers["retry-after"])))
                continue
            tally.seconds.append(time.perf_counter() - begun)
            compare(answer.json(), clip.truth, clip.name, tally)


def live(url: str, clips: list[Clip], tally: Tally, over: Callable[[], bool]) -> None:
    """Stream one clip after another, and compare the summaries."""
    address = url.replace("http", "ws") + "/v1/stream?encoding=f32le"
    for clip in cycle(clips):
        if over():
            return
        try:
            with connect(address) as stream:
                for at in range(0, len(clip.samples), PIECE):
                    stream.send(clip.samples[at : at + PIECE].tobytes())
                stream.send(json.dumps({"kind": "end"}))
                last = [json.loads(message) for message in stream][-1]
        except Exception as error:  # whatever it is, the stream had no answer
            if not over():
                tally.wrong.append(f"{clip.name}: stream: {error!r}")
            return
        if not over():
            compare(last, clip.streamed, f"{clip.name}, streamed", tally)
            tally.saw("streams")


def compare(answer: dict[str, object], truth: dict[str, float], name: str, tally: Tally) -> None:
    """Note an answer that is not the recogniser's own."""
    said = answer.get("probabilities")
    if not isinstance(said, dict) or set(said) != set(truth):
        tally.wrong.append(f"{name}: {str(answer)[:200]}")
    elif any(abs(said[label] - truth[label]) > TOLERANCE for label in truth):
        tally.wrong.append(f"{name}: {said} instead of {truth}")


def bad(url: str, clips: list[Clip], tally: Tally, over: Callable[[], bool]) -> None:
    """Send what cannot be answered, and look at the problem that comes back."""
    draw = np.random.default_rng(0)
    with httpx.Client(base_url=url, timeout=60) as client:
        for clip in cycle(clips):
            damaged = bytearray(clip.content)
            damaged[: min(60, len(damaged))] = draw.bytes(min(60, len(damaged)))
            requests: list[tuple[int, dict[str, object]]] = [
                (422, {"content": draw.bytes(5000)}),
                (422, {"content": bytes(damaged)}),
                (422, {"content": clip.content[:60]}),
                (422, {"content": clip.content, "params": {"start": "soon"}}),
                (422, {"content": clip.content, "params": {"start": 1e5}}),
                (404, {"content": clip.content, "params": {"bundle": "nobody"}}),
                (413, {"files": [("file", clip.content), ("file", clip.content)]}),
            ]
            for status, request in requests:
                if over():
                    return
                try:
                    answer = client.post("/v1/recognize", **request)  # type: ignore[arg-type]
                except httpx.TransportError:
                    if not over():
                        tally.wrong.append(f"a bad request ({status}): no answer")
                    return
                if answer.status_code not in (status, 503) or "problem" not in answer.headers["content-type"]:
                    tally.wrong.append(f"a bad request ({status}): {answer.status_code} {answer.text[:200]}")
                tally.saw(f"{answer.status_code} of a bad client")
                time.sleep(0.05)


def vanishing(url: str, clips: list[Clip], tally: Tally, over: Callable[[], bool]) -> None:
    """Go away in the middle."""
    host, port = url.removeprefix("http://").split(":")
    for clip in cycle(clips):
        head = f"POST /v1/recognize HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(clip.content)}\r\n\r\n".encode()
        for sent in (head[:30], head + clip.content[:2000], head + clip.content):
            if over():
                return
            try:
                with socket.create_connection((host, int(port)), timeout=30) as connection:
                    connection.sendall(sent)
                    time.sleep(0.02)
                with connect(url.replace("http", "ws") + "/v1/stream") as stream:
                    stream.send(bytes(32000))
                    stream.socket.close()
            except Exception:  # a refusal is an answer, too, and the server may be ending
                tally.saw("refused vanishing clients")
            tally.saw("vanishing clients")
            time.sleep(0.1)


def resident(process: subprocess.Popen[str]) -> float:
    """Megabytes of the server and its children."""
    parent = psutil.Process(process.pid)
    total = parent.memory_info().rss
    for child in parent.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def fuzzed(program: str, url: str, examples: int) -> str:
    """What schemathesis says of a server."""
    options = [f"--max-examples={examples}", "--seed=1", "--exclude-checks=positive_data_acceptance"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [program, "run", f"{url}/openapi.json", *options], cwd=folder, capture_output=True, text=True, check=False
        )
    verdict = "no fault" if done.returncode == 0 else done.stdout[-3000:]
    print(f"schemathesis, {examples} examples an operation: {verdict}", flush=True)
    return verdict


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Latency in milliseconds."""
    return {f"p{share}_milliseconds": float(np.percentile(seconds, share)) * 1000 for share in (50, 95, 99)}


def spell(figures: dict[str, object] | dict[str, float]) -> str:
    """Latency in words."""
    return ", ".join(f"p{share} {figures[f'p{share}_milliseconds']:.0f} ms" for share in (50, 95, 99))


if __name__ == "__main__":
    sys.exit(main())
