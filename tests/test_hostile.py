"""Hundreds of hostile files through predict, score, server and corpus check: an answer or an error, and no harm."""

import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hostile_files import make
from made_audio import env
from toy_bundle import tone

MEMORY_BYTES = 1 << 30
"""More than a process may take for all files together."""

SECONDS = 300
"""Far more than a process needs on a busy machine, and far less than a hang."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "files"
    assert make(folder) >= 300
    return folder


def serotone(*arguments) -> subprocess.CompletedProcess[str]:
    """Run a command; a crash, a hang, a traceback or too much memory fails the test."""
    command = [sys.executable, "-m", "serotone", *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
        env=env(),
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES)),
    ) as process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode in (0, 1), err[-2000:]
    assert "Traceback" not in err, err[-2000:]
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def recordings(folder: Path) -> set[str]:
    """Every file that ends like audio; a folder or a link to one does not count."""
    found = set()
    for place, folders, names in os.walk(folder):
        found |= {f"{place}/{name}" for name in names if name.lower().endswith((".wav", ".flac", ".ogg", ".mp3"))}
        assert "up" not in Path(place).parts
        assert folders is not None
    return set(map(as_text, found))


def as_text(name: str) -> str:
    """A name as a table holds it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@pytest.fixture(scope="module")
def predicted(hostile, toy, tmp_path_factory):
    """The answers of predict by name, and its errors."""
    out = tmp_path_factory.mktemp("predicted") / "answers.json"
    done = serotone("predict", hostile, "--bundle", toy, "--max-seconds", 60, "--out", out)
    assert done.returncode == 1
    report = json.loads(out.read_text(encoding="utf-8"))
    answers = {as_text(entry["name"]): entry for entry in report["predictions"]}
    return answers, {as_text(entry["name"]): entry["error"] for entry in report["failures"]}


def test_predict_answers_or_refuses_each(hostile, predicted):
    answers, failures = predicted
    assert len(answers) > 150
    assert len(failures) > 150
    assert len(answers) + len(failures) == len(recordings(hostile))
    for name, entry in answers.items():
        assert entry["label"] in (None, "angry", "happy", "sad"), name
        assert 0 <= entry["confidence"] <= 1, name
    kinds = set(failures.values())
    assert kinds <= {"AudioError", "AudioMissingError", "AudioFormatError", "AudioEmptyError", "AudioNotFiniteError",
                     "AudioTooShortError", "AudioTooLongError", "MissingExtraError"}  # fmt: skip


def test_score_says_the_same_of_each(hostile, predicted, toy, tmp_path):
    dataset = pytest.importorskip("pyarrow.dataset", reason="pyarrow is not installed: pip install 'serotone[score]'")
    out = tmp_path / "out"
    done = serotone(
        "score", hostile, "--bundle", toy, "--max-seconds", 60, "--jobs", 1, "--time-limit", 60, "--out", out
    )
    assert done.returncode == 1
    answers, failures = predicted
    rows = dataset.dataset(out / "clips").to_table().to_pylist()
    errors = dataset.dataset(out / "errors").to_table().to_pylist()
    assert {row["name"]: row["label"] for row in rows} == {name: entry["label"] for name, entry in answers.items()}
    assert {row["name"]: row["error"] for row in errors} == failures


def test_corpus_check_finds_fault_with_what_cannot_be_read(hostile, predicted, tmp_path):
    manifest = tmp_path / "manifest.csv"
    answers, failures = predicted
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "emotion", "speaker", "id"])
        for number, name in enumerate(sorted({*answers, *failures})):
            if name.isprintable() and "\\x" not in name and Path(name).name.strip() == Path(name).name:
                writer.writerow([name, "angry", "s1", number])
    began = time.monotonic()
    done = serotone("corpus", "check", "manifest", manifest, "--format", "json")
    assert time.monotonic() - began < SECONDS
    report = json.loads(done.stdout)
    assert report["schema"] == 1


MEGABYTES = 10
"""A bound on bodies: more than any of the files has, but for two that have holes of a quarter of a terabyte."""

FORM = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n--cut--\r\n'
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=cut"}


@pytest.mark.slow
def test_the_server_says_the_same_of_each(hostile, predicted, toy):
    pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'serotone[serve]'")
    from made_server import check_problem, running, wav

    answers, failures = predicted
    sent = sorted(path for path in hostile.iterdir() if path.is_file() and path.stat().st_size < MEGABYTES * 1e6)
    assert len(sent) > 500
    arguments = ("--bundle", toy, "--workers", 1, "--max-seconds", 60, "--max-megabytes", MEGABYTES)
    with running(*arguments) as server, server.client() as client:

        def check(path: Path, body: bytes, headers: dict[str, str]) -> None:
            name = as_text(str(path))
            answer = client.post("/v1/recognize", content=body, headers=headers)
            if answer.status_code == 200:
                assert answer.json()["label"] == answers[name]["label"], name
                assert answer.json()["confidence"] == pytest.approx(answers[name]["confidence"], abs=1e-4), name
            else:
                assert 400 <= answer.status_code < 500, (name, answer.text)
                assert check_problem(answer).get("error") == (failures[name] if body else None), name

        for number, path in enumerate(sent):
            content = path.read_bytes()
            check(path, FORM % (os.fsencode(path.name), content), FORM_TYPE)
            if number % 4 == 0:
                check(path, content, {})
        good = client.post("/v1/recognize", content=wav(tone(1, 0.9)))
        assert (good.status_code, good.json()["label"]) == (200, "angry")
        assert peak_bytes(server.process.pid) < MEMORY_BYTES
    assert "Traceback" not in "".join(server.log)


def peak_bytes(pid: int) -> int:
    """The most memory that a process or one of its children ever held."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    status = [Path(f"/proc/{process.pid}/status").read_text(encoding="ascii") for process in processes]
    return max(int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) << 10 for text in status)
