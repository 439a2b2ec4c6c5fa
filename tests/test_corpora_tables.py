"""Manifests in Parquet and databases in audformat; skipped where the library of that extra is not installed."""

import os
import pickle
import re
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import pytest

from corpus_trees import AUDFORMAT_HEADER, audformat_tree, by_id, manifest_file, put, read
from serotone.corpora import CORPORA
from serotone.errors import CorpusError, MissingExtraError, SerotoneWarning


def warned(root: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CORPORA["audformat"].read(root)
    return [str(w.message) for w in caught]


# Parquet -----------------------------------------------------------------------------------------------------------


def write_parquet(file: Path, **columns: object) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'serotone[parquet]'")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), file)
    return file


def test_parquet_says_what_csv_says(tmp_path: Path) -> None:
    as_csv = CORPORA["manifest"].read(manifest_file(tmp_path))
    as_parquet = write_parquet(
        tmp_path / "clips.parquet",
        Path=["a/one.wav", "b/two.flac"],
        emotion=["Joy", "anger"],
        SPEAKER=["ann", "bob"],
        gender=["f", "male"],
        sentence=["s1", None],
        note=[b"x", None],
    )
    assert CORPORA["manifest"].read(as_parquet) == as_csv


def test_parquet_numbers_and_times(tmp_path: Path) -> None:
    put(tmp_path / "long.wav", seconds=3)
    root = write_parquet(
        tmp_path / "m.pq",
        path=["long.wav", "long.wav"],
        emotion=["sad", "happy"],
        speaker=[7, 12],
        sentence=[1.0, float("nan")],
        start=[timedelta(0), timedelta(seconds=1.5)],
        end=[1.5, None],
    )
    first, second = CORPORA["manifest"].read(root)
    assert (first.id, first.speaker, first.sentence, first.start, first.end) == ("long@0", "7", "1", 0.0, 1.5)
    assert (second.id, second.speaker, second.sentence, second.start, second.end) == ("long@1.5", "12", None, 1.5, None)


def test_parquet_errors_name_the_row(tmp_path: Path) -> None:
    put(tmp_path / "one.wav")
    root = write_parquet(
        tmp_path / "m.parquet",
        path=["one.wav", "one.wav"],
        emotion=["sad", "gloomy"],
        speaker=["a", "a"],
        id=["1", "2"],
    )
    with pytest.raises(CorpusError, match="row 2: 'gloomy' is not a known emotion"):
        CORPORA["manifest"].read(root)
    root = write_parquet(tmp_path / "n.parquet", path=["one.wav"], speaker=["a"])
    with pytest.raises(CorpusError, match=r"no column emotion.*it names path, speaker"):
        CORPORA["manifest"].read(root)
    root = write_parquet(tmp_path / "t.parquet", path=["one.wav"], emotion=["sad"], speaker=["a"], Speaker=["b"])
    with pytest.raises(CorpusError, match="the first line names speaker more than once"):
        CORPORA["manifest"].read(root)
    root.write_bytes(b"this is no table")
    with pytest.raises(CorpusError, match="not a Parquet file"):
        CORPORA["manifest"].read(root)


def test_parquet_without_its_extra_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=re.escape("m.parquet: a manifest in Parquet needs an optional part")):
        CORPORA["manifest"].read(tmp_path / "m.parquet")


@pytest.mark.parametrize("asked", [".", "clip.csv", "a", "tables"])
def test_a_manifest_nearby_is_guessed(asked: str, tmp_path: Path) -> None:
    manifest_file(tmp_path)
    (tmp_path / "tables").mkdir()
    with pytest.raises(CorpusError, match=re.escape(f"Did you mean {tmp_path / 'clips.csv'}?")):
        CORPORA["manifest"].read(tmp_path / asked)


# audformat ---------------------------------------------------------------------------------------------------------


def test_audformat_segments_speakers_and_texts(tmp_path: Path) -> None:
    found = by_id(read("audformat", audformat_tree(tmp_path)))
    said = {name: (u.emotion, u.speaker, u.gender, u.sentence, u.start, u.end) for name, u in found.items()}
    assert said == {
        "wav/one@0": ("angry", "ann", "female", "The cloth is on the fridge.", 0.0, 1.5),
        "wav/one@1.5": ("happy", "ann", "female", "The cloth is on the fridge.", 1.5, 2.25),
        "wav/two": ("happy", "bob", "male", None, None, None),
    }
    assert found["wav/two"].path == tmp_path / "wav" / "two.wav"


def test_audformat_names_emotions_it_leaves_out(tmp_path: Path) -> None:
    message = "left out 1 of 4 segments, whose emotion serotone does not know: 1 no_agreement"
    assert warned(audformat_tree(tmp_path)) == [f"audformat: {message}"]


def test_audformat_of_whole_files_without_speakers(tmp_path: Path) -> None:
    root = audformat_tree(tmp_path)
    header = re.sub(r"  files:\n.*", "", AUDFORMAT_HEADER.replace("segmented", "filewise"), flags=re.DOTALL)
    (root / "db.yaml").write_text(header)
    (root / "db.emotion.csv").write_text("file,emotion\nwav/one.wav,anger\nwav/two.wav,\nwav/three.wav,anger\n")
    assert warned(root) == [
        "audformat: left out 1 of 3 segments, whose emotion serotone does not know: 1 none",
        f"{root / 'db.yaml'}: the speaker of 2 utterances (one, three) is unknown; "
        "give them a speaker each to allow speaker-independent tests",
    ]
    utterance, gone = read("audformat", root)
    assert (utterance.id, utterance.emotion, utterance.speaker, utterance.start) == ("one", "angry", "unknown", None)
    assert (gone.id, gone.path.is_file()) == ("three", False)


def test_audformat_written_by_the_library_itself(tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat", reason="audformat is not installed")
    put(tmp_path / "one.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the library with a newer pandas
        database = audformat.Database("small")
        database.schemes["emotion"] = audformat.Scheme(labels={"W": "anger", "F": "joy"})
        database.schemes["speaker"] = audformat.Scheme("int", labels=[3])
        database["files"] = audformat.Table(audformat.filewise_index(["one.wav"]))
        for scheme, value in (("emotion", "F"), ("speaker", 3)):
            database["files"][scheme] = audformat.Column(scheme_id=scheme)
            database["files"][scheme].set([value])
        database.save(str(tmp_path))
    assert list(tmp_path.glob("db.files.parquet"))
    (utterance,) = CORPORA["audformat"].read(tmp_path)
    assert (utterance.id, utterance.emotion, utterance.speaker) == ("one", "happy", "3")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tables:", "tabels:", "no table has a scheme or a column called emotion"),
        ("name: small", "nome: small", r"audformat [\d.]+ cannot load it"),
        ("name: small", "name: !!python/object/apply:os.system [exit]", "YAML tags.*can run code"),
        ("name: small", "name: !<tag:yaml.org,2002:python/name:os.system> ''", "YAML tags.*can run code"),
    ],
)
def test_audformat_headers_that_cannot_be_used(old: str, new: str, message: str, tmp_path: Path) -> None:
    root = audformat_tree(tmp_path)
    (root / "db.yaml").write_text(AUDFORMAT_HEADER.replace(old, new))
    with pytest.raises(CorpusError, match=message):
        read("audformat", root)


def test_audformat_with_two_opinions_is_an_error(tmp_path: Path) -> None:
    root = audformat_tree(tmp_path)
    table = "  second:\n    type: filewise\n    columns:\n      emotion: {scheme_id: emotion}\n"
    (root / "db.yaml").write_text(AUDFORMAT_HEADER + table)
    (root / "db.second.csv").write_text("file,emotion\nwav/two.wav,anger\n")
    with pytest.raises(CorpusError, match=r"cannot load it: Found overlapping data in column 'emotion'"):
        read("audformat", root)


def test_audformat_without_a_known_emotion_lists_the_known(tmp_path: Path) -> None:
    root = audformat_tree(tmp_path)
    (root / "db.emotion.csv").write_text("file,start,end,emotion\nwav/one.wav,0 days,,no_agreement\n")
    with pytest.raises(CorpusError, match=r"none of its emotions, 1 word \(no_agreement\); use some of: .*angry"):
        read("audformat", root)


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["TRAP"],)


def test_audformat_unpickles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    root = audformat_tree(tmp_path / "database")
    before = read("audformat", root)
    (root / "db.emotion.pkl").write_bytes(pickle.dumps(Trap()))
    assert read("audformat", root) == before
    (root / "db.emotion.csv").unlink()
    with pytest.raises(CorpusError, match="cannot load it"):
        read("audformat", root)
    assert not (tmp_path / "sprung").exists()


def test_audformat_without_its_extra_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "db.yaml").write_text("name: small\n")
    monkeypatch.setitem(sys.modules, "audformat", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'serotone[audformat]'")):
        CORPORA["audformat"].read(tmp_path)


def test_audformat_reading_warns_of_nothing_of_the_library(tmp_path: Path) -> None:
    root = audformat_tree(tmp_path)
    with pytest.warns(SerotoneWarning) as caught:
        CORPORA["audformat"].read(root)
    assert {w.category for w in caught} == {SerotoneWarning}
