"""Corpus readers on small trees with each corpus' own names and traps, and on real copies where there are any."""

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from corpus_trees import (
    TREES,
    by_id,
    emodb_tree,
    folders_tree,
    manifest_file,
    nemo_tree,
    put,
    ravdess_tree,
    read,
    synthetic_tree,
)
from serotone.cli.corpus import app
from serotone.corpora import (
    CORPORA,
    check_corpus,
    find_corpus,
    fingerprint,
    non_commercial,
    parse_corpora,
    read_corpus,
)
from serotone.corpora.base import UNKNOWN_SPEAKER, Official, Utterance, deviations
from serotone.corpora.labels import SYNONYMS, canonical
from serotone.emotions import EMOTIONS
from serotone.errors import CorpusError, SerotoneWarning, SplitError
from serotone.runs.writing import opened
from serotone.splits import make_splits

# What holds for every corpus -------------------------------------------------------------------------------------


def test_every_corpus_has_a_tree_here() -> None:
    assert set(TREES) == set(CORPORA)


@pytest.mark.parametrize("name", CORPORA)
def test_utterances_are_canonical_sorted_and_unique(name: str, tmp_path: Path) -> None:
    utterances = read(name, TREES[name](tmp_path))
    ids = [u.id for u in utterances]
    assert ids == sorted(set(ids))
    assert len(utterances) >= 2
    for utterance in utterances:
        assert utterance.emotion in EMOTIONS
        assert utterance.corpus == name
        assert utterance.path.is_file()
        assert utterance.speaker
        assert utterance.speaker == utterance.speaker.strip()
        assert utterance.gender in (None, "female", "male")


@pytest.mark.parametrize("name", CORPORA)
def test_reading_twice_gives_the_same(name: str, tmp_path: Path) -> None:
    root = TREES[name](tmp_path)
    assert read(name, root) == read(name, root)


@pytest.mark.parametrize("name", [n for n in CORPORA if n != "synthetic"])
def test_a_root_that_does_not_exist_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere.*looked for.*does not exist"):
        read_corpus(name, tmp_path / "x" / "nowhere")


@pytest.mark.parametrize("name", [n for n in CORPORA if n != "synthetic"])
def test_an_empty_folder_is_no_corpus(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="looked for"):
        read_corpus(name, tmp_path)


@pytest.mark.parametrize("name", [n for n in CORPORA if n != "manifest"])
def test_a_root_one_level_too_high_gets_the_right_one_named(name: str, tmp_path: Path) -> None:
    root = TREES[name](tmp_path / "here")
    with pytest.raises(CorpusError, match=re.escape(f"found 1 folder (here). Did you mean {root}?")):
        read_corpus(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("emodb", "lablaut"),
        ("ravdess", "Actor_01"),
        ("iemocap", "Session1"),
        ("casia", "wangzhe"),
        ("savee", "notes"),
        ("tess", "notes"),
        ("emovo", "Documents"),
        ("esd", "0015"),
        ("meld", "train_splits"),
        ("urdu", "Angry"),
        ("shemo", "transcript"),
        ("audformat", "wav"),
        ("folders", "docs"),
    ],
)
def test_a_root_one_level_too_low_gets_the_right_one_named(name: str, below: str, tmp_path: Path) -> None:
    root = TREES[name](tmp_path / "here")
    with pytest.raises(CorpusError, match=re.escape(f"Did you mean {root}?")):
        read_corpus(name, root / below)


@pytest.mark.parametrize("wrapped", ["tess", "esd", "cafe"])
@pytest.mark.parametrize("folders", [("archive", "data"), ("archive", "data", "data")])
def test_a_root_some_levels_too_high_gets_the_right_one_named(
    wrapped: str, folders: tuple[str, ...], tmp_path: Path
) -> None:
    """Archives wrap a corpus in more than one folder, often of the same name, beside what their packer left."""
    (tmp_path / "__MACOSX").mkdir()
    root = TREES[wrapped](tmp_path.joinpath(*folders))
    with pytest.raises(CorpusError, match=re.escape(f"Did you mean {root}?")):
        read_corpus(wrapped, tmp_path)


def test_of_several_right_folders_none_is_guessed(tmp_path: Path) -> None:
    for speaker in ("ann", "bob"):
        put(tmp_path / speaker / "angry" / "one.wav")
    with pytest.raises(CorpusError, match=r"found 2 folders \(ann, bob\)\. Give the folder that holds them"):
        read_corpus("folders", tmp_path)


def test_a_misspelt_root_gets_its_neighbour_named(tmp_path: Path) -> None:
    root = emodb_tree(tmp_path / "emodb")
    with pytest.raises(CorpusError, match=re.escape(f"Did you mean {root}?")):
        read_corpus("emodb", tmp_path / "emo-db")


@pytest.mark.parametrize("name", [n for n, c in CORPORA.items() if c.official])
def test_a_partial_copy_warns_of_the_gap(name: str, tmp_path: Path) -> None:
    official = CORPORA[name].official
    assert official is not None
    root = TREES[name](tmp_path)
    count = len(read(name, root))
    with pytest.warns(SerotoneWarning) as caught:
        read_corpus(name, root)
    assert any(f"{count} of {official.total} utterances" in str(w.message) for w in caught)


@pytest.mark.parametrize("name", [n for n, c in CORPORA.items() if c.official])
def test_official_counts_add_up(name: str) -> None:
    official = CORPORA[name].official
    assert official is not None
    assert sum(official.emotions.values()) == official.total
    assert set(official.emotions) <= set(EMOTIONS)
    if isinstance(official.speakers, dict):
        assert sum(official.speakers.values()) == official.total


def test_an_unknown_corpus_lists_the_known() -> None:
    with pytest.raises(CorpusError, match=r"'iemocup'.*emodb, ravdess"):
        read_corpus("iemocup", ".")


# Each corpus ------------------------------------------------------------------------------------------------------


def test_emodb_names(tmp_path: Path) -> None:
    found = by_id(read("emodb", emodb_tree(tmp_path)))
    assert list(found) == ["03a01Fa", "08b02Wc", "12a05Ea", "16a07Ld"]
    assert [u.emotion for u in found.values()] == ["happy", "angry", "disgusted", "bored"]
    assert [u.gender for u in found.values()] == ["male", "female", "male", "female"]
    assert found["08b02Wc"].sentence == "b02"
    assert found["08b02Wc"].speaker == "08"


def test_emodb_root_may_be_the_wav_folder(tmp_path: Path) -> None:
    root = emodb_tree(tmp_path)
    assert read("emodb", root) == read("emodb", root / "wav")


def test_any_decodable_suffix_is_matched_by_its_stem(tmp_path: Path) -> None:
    for suffix in ("flac", "ogg", "mp3", "WAV"):
        put(tmp_path / suffix / f"03a01F{suffix[0].lower()}.{suffix}")
        assert len(read("emodb", tmp_path / suffix)) == 1


def test_a_recording_in_two_formats_is_read_once(tmp_path: Path) -> None:
    put(tmp_path / "03a01Fa.flac")
    put(tmp_path / "03a01Fa.wav")
    with pytest.warns(SerotoneWarning, match="more than one format"):
        (utterance,) = CORPORA["emodb"].read(tmp_path)
    assert utterance.path.suffix == ".wav"


def test_a_recording_in_two_formats_is_told_once(tmp_path: Path) -> None:
    for name in ("a.flac", "a.wav", "b.wav"):
        put(tmp_path / "angry" / name)
    put(tmp_path / "sad" / "c.wav")
    report = check_corpus("folders", tmp_path)
    assert sum("more than one format" in warning for warning in report.warnings) == 1


def test_a_recording_of_two_corpora_is_refused(tmp_path: Path) -> None:
    """Its copies could stand in training and test, and no check of names would see it."""
    one, other = tmp_path / "one", tmp_path / "other"
    for name in ("angry/ann/a.wav", "sad/ann/b.wav", "sad/bob/c.wav"):
        put(one / name)
    other.mkdir()
    (other / "link.wav").symlink_to(one / "sad" / "ann" / "b.wav")
    (other / "mine.csv").write_text("path,emotion,speaker\nlink.wav,sad,x\n")
    options = [f"folders={one}", f"mine={other / 'mine.csv'}"]
    with pytest.raises(CorpusError, match=r"the corpora have 1 recording \(folders/sad/ann/b = mine/link\) in common"):
        parse_corpora(options)
    (other / "mine.csv").write_text("path,emotion,speaker,start,end\nlink.wav,sad,x,0,0.1\n")
    assert len(parse_corpora(options)) == 4


def test_strange_audio_is_passed_over_and_named(tmp_path: Path) -> None:
    root = emodb_tree(tmp_path)
    put(root / "wav" / "calibration.wav")
    with pytest.warns(SerotoneWarning, match=re.escape("left out 1 audio file (calibration.wav)")):
        assert len(CORPORA["emodb"].read(root)) == 4


def test_ravdess_reads_speech_only(tmp_path: Path) -> None:
    found = by_id(read("ravdess", ravdess_tree(tmp_path)))
    assert list(found) == ["03-01-02-02-01-02-01", "03-01-06-01-02-01-01", "03-01-08-01-01-01-12"]
    first, second, third = found.values()
    assert (first.emotion, first.gender, first.speaker, first.intensity) == ("calm", "male", "01", "strong")
    assert (second.emotion, second.sentence, second.intensity) == ("fearful", "02", "normal")
    assert (third.emotion, third.gender, third.speaker) == ("surprised", "female", "12")


def test_nemo_strips_the_speakers_in_its_table(tmp_path: Path) -> None:
    found = by_id(read("nemo", nemo_tree(tmp_path)))
    assert {u.speaker: u.gender for u in found.values()} == {"WR0": "male", "EB0": "female"}
    assert found["WR0_happiness_12"].sentence == "12"
    assert found["WR0_happiness_12"].emotion == "happy"


def test_nemo_without_its_table_lacks_only_the_gender(tmp_path: Path) -> None:
    root = nemo_tree(tmp_path)
    (root / "data.tsv").unlink()
    with pytest.warns(SerotoneWarning, match=re.escape("data.tsv is missing or lacks 2 speakers (EB0, WR0)")):
        found = CORPORA["nemo"].read(root / "samples")
    assert [u.gender for u in found] == [None] * 3


def test_nemo_with_a_foreign_table_is_an_error(tmp_path: Path) -> None:
    root = nemo_tree(tmp_path)
    (root / "data.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(CorpusError, match="expected the columns speaker_id and gender"):
        CORPORA["nemo"].read(root)


def test_folders_speaker_level(tmp_path: Path) -> None:
    found = by_id(CORPORA["folders"].read(folders_tree(tmp_path)))
    assert list(found) == ["Anger/ann/1", "Anger/bob/1", "pleasant-surprise/ann/2"]
    assert [u.emotion for u in found.values()] == ["angry", "angry", "surprised"]
    assert [u.speaker for u in found.values()] == ["ann", "bob", "ann"]


def test_folders_without_speakers_say_so(tmp_path: Path) -> None:
    put(tmp_path / "sad" / "1.wav")
    with pytest.warns(SerotoneWarning, match="the speaker of 1 utterance .* is unknown"):
        (utterance,) = CORPORA["folders"].read(tmp_path)
    assert utterance.speaker == "unknown"


def test_folders_name_audio_that_lies_elsewhere(tmp_path: Path) -> None:
    root = folders_tree(tmp_path)
    for place in ("stray.wav", "Anger/ann/take 2/3.wav", "docs/a/b/4.wav", "Anger/ann/.hidden/5.wav"):
        put(root / place)
    message = (
        r"folders: left out 3 audio files \(Anger/ann/take 2/3.wav, docs/a/b/4.wav, stray.wav\); put them into"
        r" <emotion>/ or <emotion>/<speaker>/"
    )
    with pytest.warns(SerotoneWarning, match=message):
        found = CORPORA["folders"].read(root)
    assert [u.id for u in found] == ["Anger/ann/1", "Anger/bob/1", "pleasant-surprise/ann/2"]


def test_folders_with_an_unknown_emotion_list_the_known(tmp_path: Path) -> None:
    put(folders_tree(tmp_path) / "melancholic" / "ann" / "3.wav")
    with pytest.raises(CorpusError, match=r"melancholic.*not a known emotion.*angry"):
        CORPORA["folders"].read(tmp_path)


# Manifest ---------------------------------------------------------------------------------------------------------


def test_manifest_columns(tmp_path: Path) -> None:
    one, two = CORPORA["manifest"].read(manifest_file(tmp_path))
    assert (one.id, one.emotion, one.speaker, one.gender, one.sentence) == ("one", "happy", "ann", "female", "s1")
    assert (two.id, two.emotion, two.gender, two.sentence) == ("two", "angry", "male", None)
    assert two.path == tmp_path / "b" / "two.flac"


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_manifest_delimiters_and_byte_order_mark(delimiter: str, tmp_path: Path) -> None:
    put(tmp_path / "one.wav")
    lines = [("path", "emotion", "speaker"), (str(tmp_path / "one.wav"), "neu", "a, b" if delimiter != "," else "a")]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    (tmp_path / "m.tsv").write_text(text, encoding="utf-8-sig")
    (utterance,) = CORPORA["manifest"].read(tmp_path / "m.tsv")
    assert utterance.emotion == "neutral"
    assert utterance.path == tmp_path / "one.wav"


def test_manifest_lines_may_end_in_empty_values_and_quote_commas(tmp_path: Path) -> None:
    for name in ("one.wav", "two.wav"):
        put(tmp_path / name)
    text = 'path,emotion,sentence,speaker,note,note\none.wav,sad,"Yes, please",a,,,,\ntwo.wav,sad,No,b\n'
    (tmp_path / "m.csv").write_text(text)
    one, two = CORPORA["manifest"].read(tmp_path / "m.csv")
    assert (one.sentence, one.speaker, two.sentence, two.speaker) == ("Yes, please", "a", "No", "b")


def test_manifest_stretches_of_one_file(tmp_path: Path) -> None:
    put(tmp_path / "long.wav", seconds=3)
    text = "path,emotion,speaker,start,end\nlong.wav,sad,a,0,1.5\nlong.wav,happy,b,1.5,\n"
    (tmp_path / "m.csv").write_text(text)
    first, second = CORPORA["manifest"].read(tmp_path / "m.csv")
    assert (first.id, first.start, first.end) == ("long@0", 0.0, 1.5)
    assert (second.id, second.start, second.end) == ("long@1.5", 1.5, None)
    report = check_corpus("manifest", tmp_path / "m.csv")
    assert report.seconds == pytest.approx({"long@0": 1.5, "long@1.5": 1.5})
    assert report.identical == ()


def test_manifest_with_equal_stems_uses_paths(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1.wav")
    put(tmp_path / "b" / "1.wav")
    (tmp_path / "m.csv").write_text("path,emotion,speaker\na/1.wav,sad,a\nb/1.wav,sad,b\n")
    assert [u.id for u in CORPORA["manifest"].read(tmp_path / "m.csv")] == ["a/1", "b/1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,speaker\none.wav,a\n", "no column emotion.*it names path, speaker"),
        ("", "no column path, emotion.*it names nothing"),
        ("path,emotion,speaker\n", "and no rows"),
        ("path,emotion,speaker\none.wav,gloomy,a\n", "line 2: 'gloomy' is not a known emotion; use one of: .*angry"),
        ("path,speaker,emotion\none.wav,a\n", "line 2: emotion is empty"),
        (
            "path,emotion,speaker\none.wav,nuetral,a\n",
            r"line 2: 'nuetral' is not a known emotion \(did you mean neutral",
        ),
        ("path,emotion,speaker\none.wav,sad,a\n,sad,a\n", "line 3: path is empty"),
        ("path,emotion,speaker,gender\none.wav,sad,a,x\n", "line 2: gender is 'x'"),
        ("path,emotion,speaker,start\none.wav,sad,a,-1\n", "line 2: start is '-1'; expected seconds"),
        ("path,emotion,speaker,start\none.wav,sad,a,nan\n", "line 2: start is 'nan'; expected seconds"),
        ("path,emotion,speaker,start,end\none.wav,sad,a,2,1\n", "line 2: ends at 1.0 s"),
        ("path,emotion,speaker\none.wav,sad,a\none.wav,sad,a\n", "line 3: it has the same id as line 2"),
        ("path,emotion,speaker\nelse.wav,sad,a\n", "none of its 1 files exists, such as .*else.wav"),
        ('path,emotion,speaker\n"one.wav,sad,a\n', "not a CSV or TSV file: .*; correct it"),
        (
            "path,emotion,sentence,speaker\none.wav,sad,Yes,02\none.wav,sad,Yes, please,03\n",
            "m.csv: line 3 has 5 values, and the first line names 4 columns; quote values that hold a comma",
        ),
        (
            "path;emotion\none.wav;sad;a\n",
            "line 2 has 3 values, and the .* 2 columns; quote values that hold a semicolon",
        ),
        ("emotion,speaker,path\nsad,a\n", "line 2: path is empty"),
        ("path,emotion,speaker,Speaker\none.wav,sad,a,b\n", "the first line names speaker more than once; remove or"),
    ],
)
def test_manifest_errors_name_the_line(text: str, message: str, tmp_path: Path) -> None:
    put(tmp_path / "one.wav")
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        CORPORA["manifest"].read(tmp_path / "m.csv")


@pytest.mark.parametrize("table", ["path,emotion\none.wav,sad\n", "path,emotion,speaker\none.wav,sad,\n"])
def test_a_manifest_need_not_name_speakers(table: str, tmp_path: Path) -> None:
    """As folders need not; protocols that keep speakers apart then say what is missing."""
    put(tmp_path / "one.wav")
    (tmp_path / "m.csv").write_text(table)
    with pytest.warns(
        SerotoneWarning, match=r"m\.csv: the speaker of 1 utterance \(one\) is unknown; give them a speaker"
    ):
        (utterance,) = parse_corpora([f"manifest={tmp_path / 'm.csv'}"])
    assert (utterance.id, utterance.speaker) == ("manifest/one", UNKNOWN_SPEAKER)
    with pytest.raises(SplitError, match=r"without a speaker: manifest/one \(1 of 1\); name their speakers"):
        make_splits([utterance], "leave-one-speaker-out")


@pytest.mark.parametrize(("name", "meant"), [("emo-db", "emodb"), ("ravdes", "ravdess"), ("x", None)])
def test_an_unknown_corpus_guesses_the_nearest(name: str, meant: str | None) -> None:
    with pytest.raises(CorpusError) as caught:
        find_corpus(name)
    assert (f"(did you mean {meant}?)" in str(caught.value)) == (meant is not None)
    assert "choose one of: emodb, " in str(caught.value)


def test_manifest_that_is_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"one\.wav"):
        CORPORA["manifest"].read(put(tmp_path / "one.wav"))


def test_a_row_of_a_manifest_that_names_no_file_is_left_out(tmp_path: Path) -> None:
    put(tmp_path / "one.wav")
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    rows = "one.wav,sad,ann\nfolder.wav,sad,ann\npipe.wav,sad,ann\n"
    (tmp_path / "m.csv").write_text(f"path,emotion,speaker\n{rows}")
    with pytest.warns(SerotoneWarning, match=r"left out 2 rows \(.*folder.wav, .*pipe.wav\) whose path is a folder, a"):
        assert [u.id for u in CORPORA["manifest"].read(tmp_path / "m.csv")] == ["one"]


def test_a_row_of_a_manifest_whose_file_is_missing_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    root = manifest_file(tmp_path)
    whole = fingerprint(CORPORA["manifest"].read(root))
    (tmp_path / "a" / "one.wav").unlink()
    utterances = CORPORA["manifest"].read(root)
    assert [u.id for u in utterances] == ["one", "two"]
    assert fingerprint(utterances) != whole
    with pytest.warns(SerotoneWarning, match=r"left out 1 clip \(.*one.wav\) whose file does not exist"):
        assert [u.id for u in parse_corpora([f"m={root}"])] == ["m/two"]
    assert [u.id for u in parse_corpora([f"m={root}"], keep_missing=True)] == ["m/one", "m/two"]
    report = check_corpus("manifest", root)
    assert [path for path, _ in report.unreadable] == [str(tmp_path / "a" / "one.wav")]
    assert list(report.seconds) == ["two"]


def test_manifest_folder_instead_of_file(tmp_path: Path) -> None:
    root = manifest_file(tmp_path)
    with pytest.raises(CorpusError, match=re.escape(f"Did you mean {root}?")):
        CORPORA["manifest"].read(tmp_path)


# Labels, several corpora, fingerprint -------------------------------------------------------------------------------


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_means_itself(emotion: str) -> None:
    assert canonical(emotion.upper(), where="here") == emotion


def test_synonyms_mean_emotions() -> None:
    assert set(SYNONYMS.values()) == set(EMOTIONS)
    pairs = {"Anger": "angry", "JOY": "happy", "fear": "fearful", "boredom": "bored", "disgust": "disgusted"}
    assert {word: canonical(word, where="") for word in pairs} == pairs


@pytest.mark.parametrize(
    ("word", "hint"),
    [("Freude", ""), ("Angst", ""), ("surp", " (did you mean surprise?)"), ("hapy", " (did you mean happy?)")],
)
def test_an_unknown_emotion_is_guessed_from_whole_words(word: str, hint: str) -> None:
    assert {canonical(short, where="") for short in ("fru", "Hap", "SUR")} == {"frustrated", "happy", "surprised"}
    with pytest.raises(
        CorpusError, match=rf"^clips\.csv: '{word}' is not a known emotion{re.escape(hint)}; use one of"
    ):
        canonical(word, where="clips.csv")


def test_parse_corpora_prefixes_ids_and_speakers(tmp_path: Path) -> None:
    options = [f"folders={folders_tree(tmp_path / 'f')}", f"synthetic={synthetic_tree(tmp_path / 's')}"]
    utterances = parse_corpora(options)
    assert [u.id for u in utterances] == [
        "folders/Anger/ann/1",
        "folders/Anger/bob/1",
        "folders/pleasant-surprise/ann/2",
        "synthetic/syn00_angry_00",
        "synthetic/syn01_sad_12",
    ]
    assert {u.speaker for u in utterances} == {"folders/ann", "folders/bob", "synthetic/00", "synthetic/01"}


def test_manifests_go_by_names_of_their_own(tmp_path: Path) -> None:
    one, two = manifest_file(tmp_path / "one"), manifest_file(tmp_path / "two")
    utterances = parse_corpora([f"ased={one}", f"home-2={two}"])
    assert [u.id for u in utterances] == ["ased/one", "ased/two", "home-2/one", "home-2/two"]
    assert {u.speaker for u in utterances} == {"ased/ann", "ased/bob", "home-2/ann", "home-2/bob"}
    assert [u.corpus for u in utterances] == ["ased", "ased", "home-2", "home-2"]
    assert check_corpus("ased", one).corpus == "ased"


def test_a_folder_under_a_name_of_ones_own_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "angry").mkdir()
    with pytest.raises(CorpusError, match=f"give folders={tmp_path}"):
        read_corpus("mine", tmp_path)
    table = manifest_file(tmp_path)
    with pytest.raises(CorpusError, match=rf"is a folder; did you mean mine={table}\?"):
        read_corpus("mine", tmp_path)


@pytest.mark.parametrize(
    ("name", "root", "message"),
    [
        ("emobd", "data", r"'emobd' is not a known corpus \(did you mean emodb\?\).*mine=clips.csv"),
        ("emobd", "clips.wav", "did you mean emodb"),
        ("zzz", "data", "'zzz' is not a known corpus; choose one of: emodb, ravdess"),
        ("a/b", "clips.csv", "'a/b' is not a known corpus"),
        ("ased", "clips.csv", "manifest at clips.csv: looked for a CSV, TSV or Parquet file"),
    ],
)
def test_a_misspelt_reader_is_no_manifest(name: str, root: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(name, root)


def test_utterances_know_their_language(tmp_path: Path) -> None:
    assert {u.language for u in read("emodb", emodb_tree(tmp_path / "emodb"))} == {"de"}
    assert {u.language for u in read("esd", TREES["esd"](tmp_path / "esd"))} == {"en", "zh"}
    assert {u.language for u in read("folders", folders_tree(tmp_path / "folders"))} == {None}
    put(tmp_path / "x.wav")
    (tmp_path / "m.csv").write_text("path,emotion,speaker,language\nx.wav,joy,ann,hi-en\n")
    assert [u.language for u in read("mine", tmp_path / "m.csv")] == ["hi-en"]


@pytest.mark.parametrize("name", CORPORA)
def test_licences_of_creative_commons_say_whether_they_allow_commerce(name: str) -> None:
    corpus = CORPORA[name]
    if corpus.licence.startswith("CC"):
        assert corpus.non_commercial == ("-NC" in corpus.licence)
    assert all(2 <= len(language) <= 3 and language.islower() for language in corpus.languages)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC BY-NC-SA 4.0", True),
        ("for Non-Commercial use", True),
        ("for research only, by signed licence", True),
        ("free for academic purposes", True),
        ("CC BY-SA 4.0", False),
        ("free for research, citing Burkhardt et al. 2005", False),
        ("of ANC, public domain", False),
    ],
)
def test_what_the_words_of_a_licence_allow(licence: str, expected: bool) -> None:
    assert non_commercial(licence) is expected


@pytest.mark.parametrize("option", ["emodb", "emodb=", "=x"])
def test_parse_corpora_wants_name_and_root(option: str) -> None:
    with pytest.raises(CorpusError):
        parse_corpora([option])


def test_parse_corpora_refuses_a_name_twice_and_nothing(tmp_path: Path) -> None:
    option = f"folders={folders_tree(tmp_path)}"
    with pytest.raises(CorpusError, match="given twice"):
        parse_corpora([option, option])
    with pytest.raises(CorpusError, match="at least one"):
        parse_corpora([])


def test_fingerprint_depends_on_what_is_said_not_where_it_lies(tmp_path: Path) -> None:
    here = read("emodb", emodb_tree(tmp_path / "a"))
    there = read("emodb", emodb_tree(tmp_path / "b"))
    first = fingerprint(here)
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert fingerprint(there) == fingerprint(list(reversed(here))) == first
    assert fingerprint(here[1:]) != first
    assert fingerprint([replace(here[0], emotion="sad"), *here[1:]]) != first
    assert fingerprint([replace(here[0], speaker="09"), *here[1:]]) != first
    put(here[0].path, seconds=0.5)
    assert fingerprint(here) != first


# Check --------------------------------------------------------------------------------------------------------------


def test_deviations_in_plain_words(tmp_path: Path) -> None:
    official = Official(total=4, emotions={"sad": 2, "happy": 2}, speakers={"a": 2, "b": 1, "c": 1})
    said = [("1", "sad", "a"), ("2", "angry", "b"), ("3", "happy", "d")]
    utterances = [Utterance(i, tmp_path, emotion, speaker, "x") for i, emotion, speaker in said]
    assert deviations(utterances, official) == [
        "3 of 4 utterances",
        "no utterance of 1 speaker (c)",
        "speaker a: 1 of 2",
        "speaker d: 1, and not in the official corpus at all",
        "angry: 1 of 0",
        "happy: 1 of 2",
        "sad: 1 of 2",
    ]
    whole = replace(official, total=3, emotions={"sad": 1, "angry": 1, "happy": 1}, speakers=3)
    assert deviations(utterances, whole) == []


def damaged_emodb(root: Path) -> Path:
    emodb_tree(root)
    (root / "wav" / "11a01Wa.wav").write_bytes(b"this is no audio at all")
    (root / "wav" / "11a02Wa.wav").write_bytes((root / "wav" / "03a01Fa.wav").read_bytes())
    soundfile.write(root / "wav" / "11a04Na.wav", np.zeros(8000), 16000)
    return root


def test_check_finds_unreadable_identical_and_silent_files(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    report = check_corpus("emodb", damaged_emodb(tmp_path), on_file=lambda *call: calls.append(call))
    assert calls == [(n, 7) for n in range(1, 8)]
    assert [Path(path).name for path, _ in report.unreadable] == ["11a01Wa.wav"]
    assert report.identical == (("03a01Fa", "11a02Wa"),)
    assert any("11a04Na.wav: digital silence" in warning for warning in report.warnings)
    assert report.minutes == pytest.approx((5 * 0.25 + 0.5) / 60)
    assert report.cells["11"] == Counter(angry=2, neutral=1)
    assert "7 of 535 utterances" in report.deviations


def test_check_prints_json_with_its_schema(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", "emodb", str(damaged_emodb(tmp_path)), "--format", "json"])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["schema"] == 1
    assert (report["utterances"], report["official_utterances"]) == (7, 535)
    assert report["emotions"]["angry"] == {"found": 3, "official": 127}
    assert report["speakers"]["11"]["gender"] == "male"
    assert report["speakers"]["11"]["emotions"]["angry"] == 2
    assert [Path(entry["path"]).name for entry in report["unreadable"]] == ["11a01Wa.wav"]
    assert report["identical"] == [["03a01Fa", "11a02Wa"]]


def test_check_prints_a_table(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", "ravdess", str(ravdess_tree(tmp_path))])
    assert result.exit_code == 0
    assert "3 of 1440 utterances" in result.stdout
    assert "known oddity: 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07" in result.stdout
    assert "fearful" in result.stdout


def test_check_of_a_wrong_root_fails_on_standard_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", "emodb", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "looked for files named like 03a01Fa.wav" in result.stderr


def test_list_names_every_corpus() -> None:
    assert all(name in CliRunner().invoke(app, ["list"]).stdout for name in CORPORA)
    listing = json.loads(CliRunner().invoke(app, ["list", "--format", "json"]).stdout)
    assert [corpus["name"] for corpus in listing["corpora"]] == list(CORPORA)


# Real copies --------------------------------------------------------------------------------------------------------


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("SEROTONE_DATA")
    if not folder:
        pytest.skip("no real corpora here; SEROTONE_DATA names the folder that holds emodb/, ravdess/, nemo/")
    return Path(folder)


def test_real_emodb_is_exactly_official(data: Path) -> None:
    utterances = read_corpus("emodb", data / "emodb")  # a warning would fail the test
    assert len(utterances) == 535
    report = check_corpus("emodb", data / "emodb")
    assert (report.deviations, report.unreadable, report.warnings) == ((), (), ())
    assert report.minutes == pytest.approx(24.8, abs=0.05)
    assert min(report.seconds.values()) == pytest.approx(1.23, abs=0.005)
    assert max(report.seconds.values()) == pytest.approx(8.98, abs=0.005)
    assert {s for s, g in report.genders.items() if g == "male"} == {"03", "10", "11", "12", "15"}


def test_real_ravdess_names_its_gap(data: Path) -> None:
    with pytest.warns(SerotoneWarning, match=r"1200 of 1440 utterances; no utterance of 4 speakers \(21, 22, 23, 24\)"):
        utterances = read_corpus("ravdess", data / "ravdess")
    assert Counter(u.emotion for u in utterances) == {"neutral": 80} | dict.fromkeys(
        ("calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised"), 160
    )


def test_real_nemo_names_its_gap(data: Path) -> None:
    with pytest.warns(SerotoneWarning, match="3402 of 4481 utterances; 7 of 9 speakers"):
        utterances = read_corpus("nemo", data / "nemo")
    assert Counter(u.gender for u in utterances if u.gender)["male"] == 540 + 256 + 538 + 539
    assert all(u.gender for u in utterances)


def test_names_that_are_no_utf8_become_text_in_what_is_written(tmp_path):
    for emotion in ("angry", "sad"):
        folder = tmp_path / "clips" / emotion / "ann"
        folder.mkdir(parents=True)
        soundfile.write(tmp_path / "clip.wav", np.full(8000, 0.1), 16000)
        (tmp_path / "clip.wav").rename(os.fsdecode(os.fsencode(folder) + b"/p\xe9re.wav"))
    utterances = parse_corpora([f"folders={tmp_path / 'clips'}"])
    assert [u.id for u in utterances] == ["folders/angry/ann/p\\xe9re", "folders/sad/ann/p\\xe9re"]
    with opened(tmp_path / "run", "name: mine", utterances, differences=lambda path: []):
        lines = (tmp_path / "run" / "utterances.csv").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["file", "p\\xe9re.wav", "p\\xe9re.wav"]
