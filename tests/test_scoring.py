"""``serotone score`` on one machine: the rows of predict in Parquet, each recording once, whatever is killed."""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from typer.testing import CliRunner

from made_audio import env
from serotone.cli import app
from serotone.errors import CorpusError, RunError
from serotone.recognition.part import Part
from serotone.recognition.recognizer import Recognizer
from serotone.recognition.rows import rows
from serotone.runs.writing import held
from serotone.scoring import folder as scored_folder
from serotone.scoring import pool
from serotone.scoring.inputs import find
from serotone.scoring.scoring import Place, score, terms_of
from serotone.scoring.terms import Outcome
from toy_bundle import LABELS, SAMPLE_RATE, buzz, make_toy_bundle, tone, write_toy_manifest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'serotone[score]'")
from pyarrow import dataset  # noqa: E402

ROW_PROBABILITIES = [f"p_{label}" for label in LABELS]


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Five recordings and one that is none: short, long, silent, of two channels, with a name that is no UTF-8."""
    folder = tmp_path_factory.mktemp("calls")
    soundfile.write(folder / "angry.wav", tone(1, 0.9), SAMPLE_RATE)
    soundfile.write(folder / "long.flac", np.concatenate([tone(5, 0.9), buzz(5, 0.2)]), SAMPLE_RATE)
    soundfile.write(folder / "silent.wav", np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    soundfile.write(folder / "two.wav", np.stack([tone(1, 0.9), buzz(1, 0.2)], axis=1), SAMPLE_RATE)
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/odd-\xff.wav"))
    odd.write_bytes((folder / "angry.wav").read_bytes())
    (folder / "bad.wav").write_text("hello", encoding="utf-8")
    return folder


def command(*arguments, stdin=None):
    return CliRunner().invoke(app, ["score", *map(str, arguments)], input=stdin)


def table(out, name="clips"):
    return sorted(
        dataset.dataset(out / name).to_table().to_pylist(),
        key=lambda row: (row["name"], row.get("channel") or 0, row.get("start") or 0),
    )


def expected(adaptable, paths, *, timeline=False, **part):
    """The same rows by the recogniser in this process, as Parquet keeps them."""
    recognizer = Recognizer(adaptable)
    found = []
    for path in sorted(map(str, paths)):
        for prediction in Part(**part).each(path, recognizer.predict, timeline=timeline):
            found += rows(prediction, timeline=timeline)
    for row in found:
        row["name"] = row["name"].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        for column in ("confidence", *ROW_PROBABILITIES):
            row[column] = float(np.float32(row[column])) if column in row else None
    return found


def good(calls):
    return [path for path in calls.iterdir() if path.name != "bad.wav"]


def test_a_bundle_that_cannot_be_adapted_has_embeddings_all_the_same(calls, tmp_path):
    done = command(calls / "long.flac", "--bundle", "emodb-crnn", "--out", tmp_path / "out", "--embeddings")
    assert done.exit_code == 0, done.output
    (row,) = table(tmp_path / "out")
    recognizer = Recognizer("emodb-crnn")
    assert not recognizer.bundle.adaptation
    hearing = recognizer.hear(calls / "long.flac")
    expected = np.average(hearing.embeddings, axis=0, weights=[window.weight for window in hearing.answering])
    assert len(row["embedding"]) == 64
    assert row["embedding"] == pytest.approx(expected.tolist(), rel=2**-11)


# Rows -----------------------------------------------------------------------------------------------------------------


def test_rows_are_those_of_predict_and_a_second_command_does_nothing(adaptable, calls, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = command(calls, "--bundle", adaptable, "--out", out, "--jobs", 2, "--embeddings")
    assert first.exit_code == 1, first.output
    assert f"{out}: 5 recordings answered, 1 failed" in first.output
    found = table(out)
    embeddings = [row.pop("embedding") for row in found]
    assert found == expected(adaptable, good(calls))
    by_name = {Path(row["name"]).name: embedding for row, embedding in zip(found, embeddings, strict=True)}
    assert by_name["silent.wav"] is None
    hearing = Recognizer(adaptable).hear(calls / "long.flac")
    weights = [row.weight for row in hearing.answering]
    assert len(weights) > 1
    assert by_name["long.flac"] == pytest.approx(weights @ hearing.embeddings / np.sum(weights), rel=2**-12)
    (error,) = table(out, "errors")
    assert error["name"] == str(calls / "bad.wav")
    assert error["error"] == "AudioFormatError"
    assert error["message"].startswith(f"{calls / 'bad.wav'}: not audio")
    (part,) = (out / "clips").iterdir()
    about = json.loads(pa.parquet.read_schema(part).metadata[b"serotone"])
    assert about == json.loads((out / "score.json").read_text())
    assert about["bundle"]["sha256"] == Recognizer(adaptable).bundle.sha256
    assert about["options"]["embeddings"] is True

    monkeypatch.setattr(pool, "PROGRAM", "raise SystemExit('nothing is to be heard')")
    monkeypatch.chdir(calls)
    second = command(".", "--bundle", adaptable, "--out", out, "--embeddings")  # however the folder is called
    assert second.exit_code == 1
    assert "5 of 6 recordings are answered, 1 failed; 0 to do" in second.output
    assert sorted(path.name for path in out.rglob("*.parquet")) == ["part-000000.parquet"] * 2

    for changed, words in {
        ("--bundle", adaptable): "was made with --embeddings, but this command has no --embeddings; give the same",
        ("--bundle", adaptable, "--embeddings", "--strict"): "made without --strict, but this command has --strict",
        (
            "--bundle",
            adaptable,
            "--embeddings",
            "--channels",
        ): "made without --channels, but this command has --channels",
        ("--bundle", adaptable, "--embeddings", "--channel", 1): "without --channel, but this command has --channel 1",
        ("--bundle", "light", "--embeddings"): "was made with bundle toy 1, but this command has bundle light",
    }.items():
        refused = command(calls, "--out", out, *changed)
        assert refused.exit_code == 1
        assert words in " ".join(refused.output.split())
    with held(out):
        busy = command(calls, "--bundle", adaptable, "--out", out, "--embeddings")
    assert busy.exit_code == 1
    assert "another serotone process is running here" in busy.output


@pytest.mark.parametrize("options", [[], ["--timeline"], ["--embeddings"]])
def test_a_row_names_the_profile(adaptable, calls, tmp_path, options):
    loud = [tone(1, level) for level in (0.1, 0.2, 0.3, 0.4, 0.5)]
    odd = "p\udce9re"  # the name of a folder that is no UTF-8
    Recognizer(adaptable).profile(loud, source_rate=SAMPLE_RATE, name=odd).save(tmp_path / "p.json")
    for folder, more, named in [("adapted", ["--profile", tmp_path / "p.json"], "p\\xe9re"), ("plain", [], None)]:
        done = command(calls / "long.flac", "--bundle", adaptable, "--out", tmp_path / folder, *options, *more)
        assert done.exit_code == 0, done.output
        (kept,) = {
            row["profile"] for row in table(tmp_path / folder, "segments" if "--timeline" in options else "clips")
        }
        assert kept == named


def test_another_profile_is_named(adaptable, calls, tmp_path):
    recognizer, options = Recognizer(adaptable), [calls / "angry.wav", "--bundle", adaptable]
    for name, level, file in [("desk", 0.1, "a"), ("desk", 0.2, "b"), ("hall", 0.1, "c")]:
        loud = [tone(1, level + number / 100) for number in range(5)]
        recognizer.profile(loud, source_rate=SAMPLE_RATE, name=name).save(tmp_path / f"{file}.json")
    assert command(*options, "--out", tmp_path / "x", "--profile", tmp_path / "a.json").exit_code == 0
    assert command(*options, "--out", tmp_path / "y").exit_code == 0
    for folder, profile, words in [
        (
            "x",
            "b",
            r"with --profile desk \([0-9a-f]{12}\.\.\.\), but this command has --profile desk \([0-9a-f]{12}\.{3}\);",
        ),
        ("x", "c", r"was made with --profile desk, but this command has --profile hall;"),
        ("x", None, r"was made with --profile desk, but this command has no --profile;"),
        ("y", "c", r"was made without --profile, but this command has --profile hall;"),
    ]:
        more = [] if profile is None else ["--profile", tmp_path / f"{profile}.json"]
        refused = command(*options, "--out", tmp_path / folder, *more)
        assert refused.exit_code == 1
        assert re.search(words, " ".join(refused.output.split()))


def test_a_folder_whose_description_does_not_name_its_profile_is_continued(adaptable, calls, tmp_path):
    options = [calls, "--bundle", adaptable, "--out", tmp_path]
    assert command(*options).exit_code == 1
    about = json.loads((tmp_path / "score.json").read_text())
    assert about.pop("profile") is None
    (tmp_path / "score.json").write_text(json.dumps(about))
    for part in tmp_path.rglob("*.parquet"):
        rows = pa.parquet.read_table(part)
        pa.parquet.write_table(rows.replace_schema_metadata({b"serotone": json.dumps(about)}), part)
    assert "5 of 6 recordings are answered, 1 failed; 0 to do" in command(*options).output


def test_a_folder_with_other_columns_is_not_continued(adaptable, calls, tmp_path):
    options = [calls / "angry.wav", "--bundle", adaptable, "--out", tmp_path]
    assert command(*options).exit_code == 0
    (part,) = (tmp_path / "clips").iterdir()
    pa.parquet.write_table(pa.parquet.read_table(part).drop_columns("profile"), part)  # serotone before profiles
    refused = command(*options)
    assert refused.exit_code == 1
    assert "another version of serotone wrote other columns; use another --out" in " ".join(refused.output.split())


def test_an_embedding_takes_little_more_than_two_bytes_a_number(tmp_path):
    terms = {"timeline": False, "embeddings": True}
    vectors = np.random.default_rng(0).normal(size=(20, 2000)).astype(np.float16).astype(np.float64)
    with scored_folder.opened(tmp_path, {"bundle": {}, "options": {}}, LABELS, **terms) as folder:
        for number, vector in enumerate(vectors):
            folder.add(Outcome(str(number), ({"name": str(number), "embedding": vector.tolist()},)))
    (part,) = (tmp_path / "clips").iterdir()
    assert part.stat().st_size < 2.3 * vectors.size
    kept = {row["name"]: row["embedding"] for row in table(tmp_path)}
    assert all(kept[str(number)] == vector.tolist() for number, vector in enumerate(vectors))


def test_segments_channels_and_stretches(adaptable, calls, tmp_path, monkeypatch):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"path,start,end\n{calls / 'long.flac'},2,\n{calls / 'long.flac'},0.5,7.25\ngone.wav,,\n")
    loaded, terms = terms_of(str(adaptable), timeline=True, part=Part(apart=True))
    recordings = find(["-", str(manifest), "-"], listing=f"{calls / 'two.wav'}\n".encode())
    assert len(recordings) == 4
    tally = score(recordings, tmp_path / "out", loaded, terms, Place(jobs=1))
    assert (tally.answered, tally.failed) == (3, 1)
    found = table(tmp_path / "out", "segments")
    heard = expected(adaptable, [calls / "two.wav"], timeline=True, apart=True)
    for start, end in ((0.5, 7.25), (2.0, None)):
        stretch = expected(adaptable, [calls / "long.flac"], timeline=True, start=start, end=end)
        name = f"{calls / 'long.flac'}#t={start:g}{'' if end is None else f',{end:g}'}"
        heard += [row | {"name": name} for row in stretch]
    assert found == sorted(heard, key=lambda row: (row["name"], row["channel"] or 0, row["start"]))
    assert {row["channel"] for row in found} == {None, 0, 1}
    assert [row["error"] for row in table(tmp_path / "out", "errors")] == ["AudioMissingError"]

    options = {"retry_errors": True}
    assert score(find([str(calls / "bad.wav")]), tmp_path / "out", loaded, terms, Place(jobs=1)).failed == 1
    soundfile.write(tmp_path / "gone.wav", tone(1, 0.9), SAMPLE_RATE)  # it has come
    assert score(recordings, tmp_path / "out", loaded, terms, Place(jobs=1), **options).answered == 1
    assert [Path(row["name"]).name for row in table(tmp_path / "out", "errors")] == ["bad.wav"]  # was not asked for
    assert len({row["name"] for row in table(tmp_path / "out", "segments")}) == 4


def test_stretches_of_a_long_recording_have_names_of_their_own(tmp_path):
    starts = ("1000.001", "1000.004", "36000.25", "2")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,start,end\n" + "".join(f"a.wav,{start},40000\n" for start in starts))
    names = [recording.name for recording in find([str(manifest)])]
    assert names == [f"{tmp_path / 'a.wav'}#t={start},40000" for start in starts]


def test_a_row_that_makes_no_sense_is_one_error(tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,start,end\na.wav,soon,\nb.wav,2,1\n,1,2\nc.wav,1,2\n")
    *bad, good = find([str(manifest)])
    assert [recording.problem and recording.problem[0] for recording in bad] == [
        "CorpusError",
        "CorpusError",
        "AudioMissingError",
    ]
    assert good.source == str(tmp_path / "c.wav")


def test_an_error_of_a_place_goes_once_there_is_something_to_hear_at_it(adaptable, tmp_path):
    manifest, calls, out = tmp_path / "manifest.csv", tmp_path / "calls", tmp_path / "out"
    manifest.write_text("path,start\na.wav,soon\n,3\n")
    calls.mkdir()
    loaded, terms = terms_of(str(adaptable))
    given = [str(manifest), str(calls)]
    assert score(find(given), out, loaded, terms, Place(jobs=1)).failed == 3
    for path in (tmp_path / "a.wav", calls / "b.wav"):
        soundfile.write(path, tone(1, 0.9), SAMPLE_RATE)
    manifest.write_text("path,start\na.wav,\n,3\n")
    assert score(find(given), out, loaded, terms, Place(jobs=1)).answered == 2
    assert [row["name"] for row in table(out, "errors")] == [f"{manifest}, line 3"]


def test_a_home_that_is_nobodys_and_a_list_with_a_mark(tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path\n~$a.wav\n")
    found = find([str(manifest), "-"], b"\xef\xbb\xbf/b.wav\n")
    assert [recording.source for recording in found] == [str(tmp_path / "~$a.wav"), "/b.wav"]


def test_inputs(tmp_path, calls):
    listing = b"a.wav\0" + os.fsencode(next(calls.glob("odd*"))) + b"\0s3://bucket/b.wav\0a.wav\0"
    names = [recording.source for recording in find(["-", "", "https://host/x.wav"], listing)]
    assert names == [
        str(Path.cwd() / "a.wav"),
        str(next(calls.glob("odd*"))),
        "s3://bucket/b.wav",
        "",
        "https://host/x.wav",
    ]
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop").symlink_to(tmp_path)
    (recording,) = find([str(tmp_path)])
    assert recording.problem is not None
    assert recording.problem[0] == "AudioFormatError"
    refused = command(calls, "--out", tmp_path / "out", "--timeline", "--embeddings")
    assert refused.exit_code == 2
    toy = make_toy_bundle(tmp_path / "toy").path
    graph = onnx.load(toy / "model.onnx")
    (embedding,) = [output for output in graph.graph.output if output.name == "embedding"]
    graph.graph.output.remove(embedding)
    onnx.save(graph, toy / "model.onnx")
    write_toy_manifest(toy)
    none = command(calls, "--bundle", toy, "--out", tmp_path / "out", "--embeddings")
    assert none.exit_code == 1
    assert "toy: its graph has no output embedding; leave out --embeddings" in none.stderr
    with pytest.raises(CorpusError, match=r"none\.csv: no such manifest; give the path of a table"):
        find([str(tmp_path / "none.csv")])
    paths = tmp_path / "paths.txt"
    paths.write_text("/calls/a.wav\n")
    with pytest.raises(CorpusError, match=r"If it is a list of paths, give it as: serotone score - < .*paths\.txt"):
        find([str(paths)])
    empty = command("-", "--out", tmp_path / "none", stdin="\n")
    assert (empty.exit_code, "the list on standard input is empty" in empty.stderr) == (1, True)
    assert not (tmp_path / "none").exists()
    foreign = command(calls, "--out", tmp_path)
    assert "loop and no score.json" in " ".join(foreign.output.split())


# Deaths ---------------------------------------------------------------------------------------------------------------

DEADLY = """
import os, sys, time
sys.path[:] = sys.argv[1:]
from serotone.scoring import worker
hear = worker.answer
def answer(recognizer, recording, terms):
    if "two" in recording.source:
        os.kill(os.getpid(), 11)
    if "long" in recording.source:
        time.sleep(60)
    return hear(recognizer, recording, terms)
worker.answer = answer
worker.main()
"""


def test_a_file_that_kills_or_holds_its_worker_is_one_error(adaptable, calls, tmp_path, monkeypatch):
    program = pool.PROGRAM
    monkeypatch.setattr(pool, "PROGRAM", DEADLY)
    loaded, terms = terms_of(str(adaptable), time_limit=4.0)
    tally = score(find([str(calls)]), tmp_path / "out", loaded, terms, Place(jobs=2))
    assert (tally.answered, tally.failed) == (3, 3)
    messages = {Path(row["name"]).name: row["message"] for row in table(tmp_path / "out", "errors")}
    assert "ended 2 times the process that hears it (SIGSEGV)" in messages["two.wav"]
    assert "takes more than 4 s" in messages["long.flac"]
    quiet = {"angry.wav", "odd-\\xff.wav", "silent.wav"}
    assert {Path(row["name"]).name for row in table(tmp_path / "out")} == quiet

    mark = tmp_path / "killed"  # by the first process, while it starts
    die_once = f"import os, pathlib\nmark = pathlib.Path({str(mark)!r})\nif not mark.exists():\n"
    die_once += " mark.touch(); os.kill(os.getpid(), 9)\n"
    monkeypatch.setattr(pool, "PROGRAM", die_once + program)
    assert score(find([str(calls / "angry.wav")]), tmp_path / "again", loaded, terms, Place(jobs=1)).answered == 1
    assert mark.exists()

    monkeypatch.setattr(pool, "PROGRAM", "raise SystemExit(3)")
    with pytest.raises(RunError, match="could not start \\(exit status 3\\)"):
        score(find([str(calls)]), tmp_path / "other", loaded, terms, Place(jobs=2))


@pytest.fixture(scope="module")
def many(tmp_path_factory, calls):
    """A folder of 60 recordings, two of which are none."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(60):
        (folder / f"{number:02}.wav").hardlink_to(calls / ("bad.wav" if number in (7, 41) else "angry.wav"))
    return folder


SLOW = (
    "import sys, time; sys.path[:] = sys.argv[1:]; from serotone.scoring import worker; hear = worker.answer; "
    "worker.answer = lambda *all: time.sleep(0.05) or hear(*all); worker.main()"
)
DRIVER = f"""
from serotone.cli import main
from serotone.scoring import folder, pool
folder.PART_ROWS, pool.PROGRAM = 3, {SLOW!r}
main()
"""


def test_killed_drivers_and_workers_lose_and_double_nothing(adaptable, many, tmp_path):
    psutil = pytest.importorskip("psutil")
    dice = random.Random(4)
    out = tmp_path / "out"
    arguments = [sys.executable, "-c", DRIVER, "score", many, "--bundle", adaptable, "--out", out, "--jobs", "2"]
    for last in (False, False, True):
        driver = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env())
        parts = len(list(out.rglob("*.parquet")))
        for victim in ("worker", "driver"):
            parts += dice.randint(1, 4)
            while driver.poll() is None and len(list(out.rglob("*.parquet"))) < parts:
                time.sleep(0.005)
            assert driver.poll() is None
            if victim == "worker":
                dice.choice(psutil.Process(driver.pid).children()).kill()
            elif not last:
                driver.kill()
        output = driver.communicate(timeout=120)[0]
    assert driver.returncode == 1, output
    assert table(out) == expected(adaptable, [path for path in many.iterdir() if path.stem not in ("07", "41")])
    assert [Path(row["name"]).stem for row in table(out, "errors")] == ["07", "41"]
    assert not [path for path in out.rglob(".*") if path.name.endswith(".tmp")]


@contextlib.contextmanager
def small_disk(folder, options):
    """A disk of a few kilobytes; the test is skipped where it cannot be mounted."""
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mount.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(adaptable, many, tmp_path):
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        out = disk / "out"
        assert command(many / "07.wav", "--bundle", adaptable, "--out", out).exit_code == 1
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(1 << 10))
        full = command(many, "--bundle", adaptable, "--out", out, "--jobs", 1)
        assert full.exit_code == 1
        assert re.search(r"error: .*out/clips/part-000000.parquet: .*[Nn]o space left", " ".join(full.output.split()))
        assert [path.parent.name for path in out.rglob("*part*")] == ["errors"]
        (disk / "ballast").unlink()
        assert command(many, "--bundle", adaptable, "--out", out, "--jobs", 1).exit_code == 1
        assert (len(table(out)), len(table(out, "errors"))) == (58, 2)


def test_a_disk_that_is_read_only_is_a_clear_error(adaptable, many, tmp_path):
    with small_disk(tmp_path / "disk", "ro,size=64k") as disk:
        refused = command(many, "--bundle", adaptable, "--out", disk / "out")
        assert refused.exit_code == 2
        assert "no permission to write there" in " ".join(refused.output.split())


def test_a_description_that_says_nothing_is_damaged(adaptable, calls, tmp_path):
    (tmp_path / "score.json").write_text("{}")
    done = command(calls / "angry.wav", "--bundle", adaptable, "--out", tmp_path)
    assert (done.exit_code, "score.json: damaged; use another --out" in done.stderr) == (1, True)


def test_a_damaged_part_is_named(tmp_path):
    about = {"bundle": {}, "options": {}}
    options = {"timeline": False, "embeddings": False}
    with scored_folder.opened(tmp_path / "out", about, LABELS, **options):
        pass
    part = tmp_path / "out" / "clips" / "part-000003.parquet"
    part.parent.mkdir()
    copy = part.with_stem("part-000000 (copy)")
    copy.touch()
    words = "did not write this file; move it"
    with pytest.raises(RunError, match=words), scored_folder.opened(tmp_path / "out", about, LABELS, **options):
        pass
    copy.unlink()
    part.write_bytes(b"PAR1 torn")
    words = r"part-000003\.parquet: damaged: .*delete it"
    with pytest.raises(RunError, match=words), scored_folder.opened(tmp_path / "out", about, LABELS, **options):
        pass


def test_what_is_finished_is_written_while_the_next_recording_takes_long(tmp_path, monkeypatch):
    monkeypatch.setattr(scored_folder, "PART_SECONDS", 0.05)
    monkeypatch.setattr(scored_folder, "TICK_SECONDS", 0.01)
    options = {"timeline": False, "embeddings": False}
    with scored_folder.opened(tmp_path, {"bundle": {}, "options": {}}, LABELS, **options) as folder:
        for name in ("a", "b"):  # nothing follows either
            folder.add(Outcome(name, ({"name": name},)))
            until = time.monotonic() + 30
            while name not in [row["name"] for row in (table(tmp_path) if (tmp_path / "clips").exists() else [])]:
                assert time.monotonic() < until
                time.sleep(0.01)
    assert [row["name"] for row in table(tmp_path)] == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_profile_that_can_be_read_only_once_is_refused(adaptable, calls, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    arguments = ["score", calls, "--bundle", adaptable, "--out", tmp_path / "out", "--profile", pipe]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 2
    assert "can be read only once, and each worker reads it; write it to a file first" in " ".join(done.stderr.split())
