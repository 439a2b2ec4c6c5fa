"""IEMOCAP on a small tree with the whole dialog structure: what `iemocap_tree` writes was counted by hand here."""

import json
import re
import warnings
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from corpus_trees import IEMOCAP, by_id, evaluation, iemocap_tree, put, read
from serotone.cli.corpus import app
from serotone.corpora import CORPORA, check_corpus, read_corpus
from serotone.errors import CorpusError, SerotoneWarning

EVALUATIONS = Path("dialog") / "EmoEvaluation"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return iemocap_tree(tmp_path / "IEMOCAP_full_release")


def test_labels_are_those_of_the_bracketed_lines(root: Path) -> None:
    found = by_id(read("iemocap", root))
    assert {name: u.emotion for name, u in found.items()} == {
        "Ses01F_impro01_F000": "neutral",
        "Ses01F_impro01_M000": "frustrated",
        "Ses01F_impro01_M001": "neutral",
        "Ses01M_impro07_F000": "excited",
        "Ses01M_impro07_M000": "happy",
        "Ses01F_script02_2_F000": "other",
        "Ses01F_script02_2_M000": "angry",
        "Ses03M_impro05a_F000": "surprised",
        "Ses03M_impro05a_M000": "sad",
        "Ses03M_impro05b_F000": "fearful",
        "Ses05M_script01_1b_F000": "excited",
        "Ses05M_script01_1b_F001": "disgusted",
        "Ses05M_script01_1b_M000": "happy",
    }


def test_the_speaker_is_the_letter_of_the_last_token(root: Path) -> None:
    found = by_id(read("iemocap", root))
    said = {name: (u.speaker, u.gender, u.session, u.style) for name, u in found.items()}
    assert said["Ses01M_impro07_F000"] == ("Ses01F", "female", "Ses01", "improvised")
    assert said["Ses01M_impro07_M000"] == ("Ses01M", "male", "Ses01", "improvised")
    assert said["Ses01F_script02_2_M000"] == ("Ses01M", "male", "Ses01", "scripted")
    assert said["Ses05M_script01_1b_F000"] == ("Ses05F", "female", "Ses05", "scripted")
    assert said["Ses03M_impro05a_M000"] == ("Ses03M", "male", "Ses03", "improvised")
    assert all(u.sentence is None and u.path.stem == u.id and u.path.parent.name in IEMOCAP for u in found.values())


def warnings_of(root: Path) -> list[str]:
    with pytest.warns(SerotoneWarning) as caught:
        CORPORA["iemocap"].read(root)
    return [str(w.message) for w in caught]


def test_a_turn_without_sound_is_left_out_and_named(root: Path) -> None:
    assert warnings_of(root) == ["iemocap: left out 1 turn (Ses03M_impro05b_M000) without sound in sentences/wav"]


def test_sound_without_a_label_is_left_out_and_named(root: Path) -> None:
    put(root / "Session5" / "sentences" / "wav" / "Ses05F_impro02" / "Ses05F_impro02_F000.wav")
    assert "iemocap: left out 1 audio file (Ses05F_impro02_F000) without a line in EmoEvaluation" in warnings_of(root)
    assert len(read("iemocap", root)) == 13


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1.0 - 2.0]\tSes01F_impro01_F009\tbor\t[2.5, 2.5, 2.5]", "line 31, which is no turn with a known label"),
        ("[1.0 - 2.0]\tSes01F_impro01\tneu\t[2.5, 2.5, 2.5]", "line 31, which is no turn with a known label"),
        ("[1.0 - 2.0]\tSes01F_impro01_F009", "line 31, which is no turn with a known label"),
        ("[1.0 - 2.0]\tSes01F_impro01_F000\tang\t[2.5, 2.5, 2.5]", "line 31: Ses01F_impro01_F000 has the label neu"),
    ],
)
def test_lines_that_cannot_be_used_are_named(line: str, message: str, root: Path) -> None:
    path = root / "Session1" / EVALUATIONS / "Ses01F_impro01.txt"
    before = read("iemocap", root)
    text = path.read_bytes()
    assert text.count(b"\n") == 30  # header, empty line, 4 turns of 7 lines less the last end, one line of latin-1
    path.write_bytes(text + line.encode() + b"\n")
    assert any(message in warning for warning in warnings_of(root))
    assert read("iemocap", root) == before


def test_sounds_of_any_suffix(root: Path) -> None:
    for path in sorted(root.rglob("Session3/sentences/wav/*/S*.wav")):
        put(path.with_suffix(".flac"))
        path.unlink()
    found = [u for u in read("iemocap", root) if u.session == "Ses03"]
    assert [u.path.suffix for u in found] == [".flac"] * 3


def test_a_copy_with_one_session_loads(root: Path) -> None:
    for number in (3, 5):
        (root / f"Session{number}").rename(root / f"Other{number}")
    with pytest.warns(SerotoneWarning, match="7 of 7532 utterances; 2 of 10 speakers"):
        assert {u.session for u in read_corpus("iemocap", root)} == {"Ses01"}


@pytest.mark.parametrize("below", ["Session1", "Session3"])
def test_a_session_as_root_gets_the_right_root_named(below: str, root: Path) -> None:
    message = re.escape("looked for Session1 to Session5 with dialog/EmoEvaluation") + ".*found 2 folders "
    with pytest.raises(CorpusError, match=message + re.escape(f"(dialog, sentences). Did you mean {root}?")):
        read_corpus("iemocap", root / below)


def test_the_folder_above_is_guessed_from_a_relative_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "Session1")
    with pytest.raises(CorpusError, match=re.escape(f"Did you mean {root}?")):
        read_corpus("iemocap", ".")


def test_check_counts_turns_labels_and_subsets(root: Path) -> None:
    result = CliRunner().invoke(app, ["check", "iemocap", str(root), "--format", "json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["utterances"], report["official_utterances"]) == (13, 7532)
    counts = report["counts"]
    assert counts["turns"] == {
        "dialogs": {"found": 6, "expected": 151},
        "all": {"found": 16, "expected": 10039},
        "with sound": {"found": 15, "expected": 10039},
        "improvised": {"found": 11, "expected": 4784},
        "scripted": {"found": 5, "expected": 5255},
    }
    assert counts["labels"]["xxx"] == {"found": 2, "expected": 2507}
    assert counts["labels"]["sad"] == {"found": 2, "expected": 1084}
    assert counts["labels, improvised"]["hap"] == {"found": 1, "expected": 284}
    assert counts["labels, improvised"]["fru"] == {"found": 1, "expected": None}
    assert counts["labels, scripted"]["exc"] == {"found": 1, "expected": 378}
    assert counts["subsets"] == {
        "four classes, hap and exc": {"found": 8, "expected": 5531},
        "four classes, hap only": {"found": 6, "expected": 4490},
        "improvised, four classes, hap and exc": {"found": 5, "expected": 2943},
        "improvised, four classes, hap only": {"found": 4, "expected": 2280},
        "scripted, four classes, hap and exc": {"found": 3, "expected": 2588},
        "scripted, four classes, hap only": {"found": 2, "expected": 2210},
    }
    assert counts["sessions: four classes, hap and exc"] == {
        "Ses01": {"found": 5, "expected": 1085},
        "Ses02": {"found": 0, "expected": 1023},
        "Ses03": {"found": 1, "expected": 1151},
        "Ses04": {"found": 0, "expected": 1031},
        "Ses05": {"found": 2, "expected": 1241},
    }
    assert counts["sessions: improvised, four classes, hap and exc"]["Ses01"] == {"found": 4, "expected": 521}
    assert sum("without sound" in warning for warning in report["warnings"]) == 1


def test_check_prints_the_counts_as_a_table(root: Path) -> None:
    result = CliRunner().invoke(app, ["check", "iemocap", str(root)])
    assert result.exit_code == 0
    assert re.search(r"subsets +four classes, hap and exc +8 +5531", result.stdout)
    assert re.search(r"xxx +2 +2507", result.stdout)


def complete_iemocap(root: Path) -> dict[str, Path]:
    """Evaluation files with as many turns of each label, style and session as published, and where each sound would be.

    Where nothing is published the turns are in session 1.
    """
    labels = {  # improvised, scripted
        **{"neu": (1099, 609), "ang": (289, 814), "sad": (608, 476), "hap": (284, 311), "exc": (663, 378)},
        **{"xxx": (1500, 1007), "fru": (341, 1508), "sur": (0, 107), "fea": (0, 40), "oth": (0, 3), "dis": (0, 2)},
    }
    dialogs = [f"Ses0{s}{a}_impro{n:02d}" for s in range(1, 6) for a in "FM" for n in range(1, 9)]
    dialogs += [f"Ses0{s}{a}_script0{n}_{m}" for s in range(1, 6) for a in "FM" for n in (1, 2, 3) for m in (1, 2)]
    dialogs += [
        "Ses05M_script01_1b",
        "Ses05M_script01_3",
        "Ses05F_script01_3",
        *(f"Ses03M_impro{n}a" for n in range(10, 18)),
    ]
    assert len(dialogs) == 151
    quotas = {"impro": (521, 530, 627, 534, 731), "script": (564, 493, 524, 497, 510)}
    turns: dict[str, list[tuple[str, str]]] = {dialog: [] for dialog in dialogs}
    for style, column in (("impro", 0), ("script", 1)):
        queue = [label for label in ("neu", "ang", "sad", "hap", "exc") for _ in range(labels[label][column])]
        places = [session for session, quota in enumerate(quotas[style], start=1) for _ in range(quota)]
        rest = [label for label in ("xxx", "fru", "sur", "fea", "oth", "dis") for _ in range(labels[label][column])]
        for number, (label, session) in enumerate(zip([*queue, *rest], [*places, *([1] * len(rest))], strict=True)):
            dialog = f"Ses0{session}F_{'impro01' if style == 'impro' else 'script01_1'}"
            turns[dialog].append((f"{dialog}_{'FM'[number % 2]}{number:04d}", label))
    for dialog, named in turns.items():
        folder = root / f"Session{dialog[4]}" / EVALUATIONS
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{dialog}.txt").write_text(evaluation(named))
    return {turn: root / f"{turn}.wav" for named in turns.values() for turn, _ in named}


def test_a_complete_copy_has_every_published_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = complete_iemocap(tmp_path)  # making ten thousand files would take longer than reading them
    monkeypatch.setattr("serotone.corpora.iemocap._sounds", lambda folder: sounds)
    corpus = CORPORA["iemocap"]
    utterances = read_corpus("iemocap", tmp_path)  # a warning would fail the test
    assert Counter(u.style for u in utterances if u.emotion in ("happy", "excited")) == {
        "improvised": 947,
        "scripted": 689,
    }
    assert corpus.count is not None
    counts = corpus.count(tmp_path, utterances)
    assert [c for c in counts if c.expected is not None and c.found != c.expected] == []


def test_check_says_what_the_reader_says_only_once(root: Path) -> None:
    put(root / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / "Ses01F_impro01_F000.flac")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = check_corpus("iemocap", root)
    assert caught == []
    assert sum("more than one format" in warning for warning in report.warnings) == 1
