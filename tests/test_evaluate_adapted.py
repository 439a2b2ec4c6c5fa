"""Plain and adapted answers side by side: from one reading, by unlabelled recordings, every figure from the rows."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from serotone import metrics
from serotone.cli import app
from serotone.corpora import parse_corpora
from serotone.errors import BundleError, ProfileError
from serotone.evaluation import agree, compare, evaluate, readings
from serotone.evaluation.comparison import collections, name_in
from serotone.evaluation.rows import certainty
from serotone.recognition.hearing import without_embedding
from serotone.recognition.recognizer import Recognizer
from toy_bundle import ADAPTATION, HEADS, SAMPLE_RATE, make_adaptable_bundle, make_toy_bundle, tone

EMOTIONS = {"angry": 2.0, "bored": 1.0, "sad": 0.5}
SPEAKERS = {"anna": 0.01, "ben": 0.1}


def make_corpus(root, *, takes=2):
    """A soft speaker, whose anger a plain toy takes for sadness, and a louder one. Bored is no class of the toy."""
    for emotion, louder in EMOTIONS.items():
        for speaker, amplitude in SPEAKERS.items():
            folder = root / emotion / speaker
            folder.mkdir(parents=True)
            for take in range(takes):
                samples = tone(1, amplitude * louder * (1 + 0.1 * take))
                soundfile.write(folder / f"{emotion}{speaker}{take}.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    return f"folders={root}"


def make_manifest(folder, *, speakers=True):
    """The same sounds as a manifest, with or without a column of speakers."""
    make_corpus(folder / "sounds")
    rows = [
        (path.relative_to(folder), path.parts[-3], path.parts[-2])
        for path in sorted((folder / "sounds").rglob("*.wav"))
    ]
    columns = 3 if speakers else 2
    lines = [("path", "emotion", "speaker"), *rows]
    text = "\n".join(",".join(map(str, line[:columns])) for line in lines) + "\n"
    (folder / "m.csv").write_text(text, encoding="utf-8")
    return f"manifest={folder / 'm.csv'}"


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_answers_are_those_of_predict_and_the_audio_is_read_once(adaptable, corpus, monkeypatch):
    """The collection is every recording, bored ones too; its answers are those of a recogniser adapted to the files."""
    utterances = parse_corpora([corpus])
    recognizer = Recognizer(adaptable)
    scored = [u for u in utterances if u.emotion != "bored"]
    paths, names = [u.path for u in utterances], [u.speaker for u in utterances]
    by_collection, by_speaker = recognizer.adapted_to(paths), recognizer.adapted_to(paths, speakers=names)
    expected = {
        "collection": [by_collection.predict(u.path) for u in scored],
        "speaker": [by_speaker.predict(u.path, speaker=u.speaker) for u in scored],
    }
    plain = evaluate(recognizer, utterances)
    heard = []
    hear = Recognizer.hear_audio
    monkeypatch.setattr(Recognizer, "hear_audio", lambda self, a, **how: heard.append(a.name) or hear(self, a, **how))
    steps = []
    result = compare(recognizer, utterances, on_utterance=lambda: steps.append(1))
    assert len(heard) == len(set(heard)) == len(steps) == 12
    assert readings(utterances, result.plain.terms, own=True) == 12
    assert result.plain == plain
    assert list(result.adapted) == ["collection", "speaker"]
    for way, predictions in expected.items():
        rows = result.adapted[way].rows
        assert [row.id for row in rows] == [u.id for u in scored]
        for row, prediction in zip(rows, predictions, strict=True):
            assert row.probabilities == pytest.approx(prediction.probabilities)
            assert row.certain is not prediction.uncertain
    assert result.recordings == {"folders": 12}
    assert result.profiles["folders"].count == 12
    assert result.plain.scores()["ua"] == (2 / 4 + 4 / 4) / 2
    ways = (result.plain, *result.adapted.values())
    assert len({round(sum((row.probabilities or {})["angry"] for row in way.rows), 6) for way in ways}) == 3


@pytest.mark.filterwarnings("ignore:.*the speaker of")
def test_each_corpus_is_a_collection_of_its_own(adaptable, corpus, tmp_path):
    other = make_manifest(tmp_path, speakers=False)
    recognizer = Recognizer(adaptable)
    both = compare(recognizer, parse_corpora([corpus, other]))
    uas = []
    for option, name in ((corpus, "folders"), (other, "manifest")):
        alone = compare(recognizer, parse_corpora([option]))
        for way, evaluation in alone.adapted.items():
            assert both.adapted[way].by_corpus()[name] == evaluation.by_corpus()[name]
        uas.append(alone.adapted["speaker" if name == "folders" else "collection"].scores()["ua"])
    speakerless = [evaluation.by_corpus()["manifest"] for evaluation in both.adapted.values()]
    assert speakerless[0] == speakerless[1]
    assert list(alone.adapted) == ["collection"]
    assert both.adapted["speaker"].mean_of_corpora()["restricted"]["ua"] == pytest.approx(sum(uas) / 2)


def test_recordings_that_are_not_there_are_not_drawn(corpus, tmp_path):
    there = parse_corpora([make_manifest(tmp_path)])
    gone = [replace(u, id=f"{u.id}-gone", path=u.path.with_name("gone.wav")) for u in there]
    drawn = collections([*there, *gone], adapt_with=None, seed=0)
    assert set(drawn["manifest"]) == {u.id for u in there}
    with pytest.raises(ProfileError, match=r"manifest: 0 recordings"):
        collections(gone, adapt_with=8, seed=0)


def test_what_another_bundle_heard_is_not_adapted(adaptable, corpus):
    utterances = parse_corpora([corpus])
    adapted = Recognizer(adaptable).adapted_to([u.path for u in utterances])
    with pytest.raises(BundleError, match="another bundle than toy heard it"):
        adapted.answer(Recognizer("emodb-crnn").hear(utterances[0].path))
    with pytest.raises(ValueError, match="heard without embeddings, which a profile needs"):
        adapted.probabilities([without_embedding(adapted.hear(utterances[0].path).answering[0])], None)


def test_a_few_recordings_are_drawn_by_seed_and_corpus_alone(adaptable, corpus, tmp_path):
    utterances = parse_corpora([corpus])
    both = parse_corpora([corpus, make_manifest(tmp_path)])
    six = collections(utterances, adapt_with=6, seed=3)["folders"]
    assert len(set(six)) == 6
    assert collections(both[::-1], adapt_with=6, seed=3)["folders"] == six
    assert collections(utterances, adapt_with=8, seed=3)["folders"][:6] == six
    assert set(collections(utterances, adapt_with=6, seed=4)["folders"]) != set(six)
    assert len(collections(utterances, adapt_with=99, seed=0)["folders"]) == 12
    result = compare(Recognizer(adaptable), utterances, adapt_with=6, seed=3)
    chosen = [u for u in utterances if u.id in six]
    profile = Recognizer(adaptable).profile([u.path for u in chosen], speakers=[u.speaker for u in chosen])
    np.testing.assert_allclose(result.profiles["folders"].collection.mean, profile.collection.mean)
    assert {name: s.count for name, s in result.profiles["folders"].speakers.items()} == {
        name: s.count for name, s in profile.speakers.items()
    }
    unscored = sum(u.emotion == "bored" for u in chosen)
    terms = agree(Recognizer(adaptable).bundle, utterances)
    assert readings(utterances, terms, own=True, adapt_with=6, seed=3) == 8 + unscored
    assert (result.adapt_with, result.seed, result.recordings) == (6, 3, {"folders": 6})


def test_a_profile_made_elsewhere(adaptable, corpus, tmp_path):
    """Its speakers are used where the corpus calls them so."""
    recognizer = Recognizer(adaptable)
    utterances = parse_corpora([corpus])
    profile = recognizer.profile([u.path for u in utterances], speakers=[u.speaker for u in utterances], name="office")
    result = compare(recognizer, utterances, profile=profile)
    own = compare(recognizer, utterances)
    assert list(result.adapted) == ["profile"]
    assert result.adapted["profile"].rows == own.adapted["speaker"].rows
    profile.save(tmp_path / "office.json")
    shown = run("evaluate", adaptable, "--corpus", corpus, "--profile", tmp_path / "office.json")
    assert shown.exit_code == 0, shown.stderr
    assert "adapted to the profile office, count 12, 2 speakers" in shown.stdout
    assert "it knows 2 of the 2 speakers that are scored\n" in shown.stdout
    bare = [u.speaker.partition("/")[2] for u in utterances]  # as adapt --speakers folder calls them
    named = recognizer.profile([u.path for u in utterances], speakers=bare, name="office")
    again = compare(recognizer, utterances, profile=named)
    assert again.adapted["profile"].rows == own.adapted["speaker"].rows
    others = recognizer.profile([u.path for u in utterances], speakers=[f"x{name}" for name in bare], name="office")
    assert compare(recognizer, utterances, profile=others).known_speakers == (0, 2)
    with pytest.raises(ValueError, match="give a plain one"):
        compare(recognizer.with_profile(profile), utterances)


def test_what_cannot_be_adapted_is_refused_before_anything_is_read(adaptable, corpus, tmp_path, monkeypatch):
    def read(*_, **__):
        raise AssertionError("audio was read")

    make_toy_bundle(tmp_path / "plain")
    make_adaptable_bundle(tmp_path / "other", version="2")
    utterances = parse_corpora([corpus])
    profile = Recognizer(tmp_path / "other").profile([u.path for u in utterances])
    profile.save(tmp_path / "other.json")
    monkeypatch.setattr("serotone.audio.read", read)
    with pytest.raises(BundleError, match="cannot be adapted"):
        compare(Recognizer(tmp_path / "plain"), utterances)
    with pytest.raises(ProfileError, match="a profile of the bundle toy"):
        compare(Recognizer(adaptable), utterances, profile=profile)
    with pytest.raises(ProfileError, match=r"folders: 4 recordings, 4 of them to adapt to; .* at least 5"):
        compare(Recognizer(adaptable), [utterances[i] for i in (0, 1, -2, -1)])
    for bundle, options, status, says in [
        (tmp_path / "plain", ["--adapt"], 1, "toy cannot be adapted"),
        (tmp_path / "plain", ["--adapt-with", "6"], 1, "toy cannot be adapted"),
        (tmp_path / "plain", ["--profile", tmp_path / "other.json"], 1, "toy cannot be adapted"),
        (adaptable, ["--profile", tmp_path / "other.json"], 1, "make one with serotone adapt"),
        (adaptable, ["--profile", tmp_path / "none.json"], 1, "no such file"),
        (adaptable, ["--adapt-with", "4"], 2, "4 is not in the range x>=5"),
        (adaptable, ["--adapt", "--profile", tmp_path / "other.json"], 2, "not both"),
        (adaptable, ["--adapt", "--seed", "1"], 2, "only with --adapt-with"),
        (adaptable, ["--labels", " ,"], 2, "names fewer than two emotions"),
    ]:
        result = run("evaluate", bundle, "--corpus", corpus, *options)
        assert result.exit_code == status, result.stderr
        assert says in " ".join(result.stderr.replace("│", " ").split())


def test_the_command_line(adaptable, corpus, tmp_path):
    out = tmp_path / "out"
    command = ["evaluate", adaptable, "--corpus", corpus, "--format", "json"]
    plain = json.loads(run(*command).stdout)
    written = json.loads(run(*command, "--adapt", "--out", out).stdout)
    assert {key: written[key] for key in plain} == plain
    assert set(written) - set(plain) == {"adaptation", "adapted"}
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == written
    assert written["adaptation"]["adapt_with"] is None
    (profile,) = written["adaptation"]["profiles"].values()
    assert (profile["recordings"], profile["count"], profile["speakers"]) == (12, 12, 2)
    names = {"collection": "predictions-collection.csv", "speaker": "predictions-speaker.csv"}
    assert {path.name for path in out.iterdir() if path.suffix in {".json", ".csv"}} == {
        *("metrics.json", "predictions.csv", "speakers.csv"),
        *names.values(),
    }
    for way, scores in {"plain": written, **written["adapted"]}.items():
        with (out / names.get(way, "predictions.csv")).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        truth = [row["truth"] for row in rows]
        ua = metrics.unweighted_accuracy(truth, [row["prediction"] for row in rows], labels=written["shared"])
        assert scores["restricted"]["ua"] == ua
        certain = [row["answer"] == row["truth"] for row in rows if row["certain"] == "yes"]
        assert scores["certainty"]["certain"]["clips"] == len(certain)
        assert scores["certainty"]["certain"]["unrestricted"] == (sum(certain) / len(certain) if certain else None)
    shown = run("evaluate", adaptable, "--corpus", corpus, "--adapt-with", "6", "--seed", "3").stdout
    assert "with 6 random recordings (seed 3), whatever their emotion, without labels:" in shown
    assert "folders: 6 recordings, count 6, 2 speakers" in shown
    more = run("evaluate", adaptable, "--corpus", corpus, "--adapt-with", "99").stdout
    assert "with 99 random recordings (seed 0), or all that it has, whatever" in more
    lines = run("evaluate", adaptable, "--corpus", corpus, "--adapt").stdout.splitlines()
    assert any(line.split() == ["plain", "collection", "then", "the", "speaker"] for line in lines)
    cells = next(line.split() for line in lines if line.startswith("folders "))
    expected = [written["restricted"], *(scores["restricted"] for scores in written["adapted"].values())]
    assert cells == ["folders", "8", "50.00%"] + [f"{100 * s[key]:.2f}%" for s in expected for key in ("wa", "ua")]


def test_a_recording_that_only_the_profile_needed_fails_by_name(adaptable, corpus, tmp_path):
    (tmp_path / "corpus" / "bored" / "ben" / "boredben1.wav").write_text("no audio", encoding="utf-8")
    assert run("evaluate", adaptable, "--corpus", corpus).exit_code == 0
    result = run("evaluate", adaptable, "--corpus", corpus, "--adapt", "--format", "json")
    assert result.exit_code == 1
    assert "boredben1" in result.stderr
    written = json.loads(result.stdout)
    assert written["failed"] == []
    assert [one["id"].split("/")[-1] for one in written["adaptation"]["unheard"]] == ["boredben1"]
    assert written["adaptation"]["profiles"]["folders"]["count"] == 11


def test_certainty_by_hand(adaptable, corpus):
    rows = evaluate(Recognizer(adaptable), parse_corpora([corpus])).rows
    found = certainty(rows)
    told = [row for row in rows if row.certain]
    assert found["certain"]["clips"] == len(told) == 8
    assert found["certain"]["unrestricted"] == sum(row.answer == row.truth for row in told) / 8 == 6 / 8
    assert found["uncertain"] == {"clips": 0, "share": 0.0, "restricted": None, "unrestricted": None}
    assert found["no_answer"] == 0


def test_a_name_without_its_corpus_is_looked_for_in_the_profile_of_a_single_corpus_alone(adaptable, corpus, tmp_path):
    """Two corpora may each have an anna."""
    utterances = parse_corpora([corpus])
    bare = [u.speaker.partition("/")[2] for u in utterances]
    profile = Recognizer(adaptable).profile([u.path for u in utterances], speakers=bare)
    assert name_in({"folders": profile}, "folders/anna", "folders") == "anna"
    assert name_in({"folders": profile, "other": profile}, "folders/anna", "folders") == "folders/anna"
    assert name_in({"folders": profile}, "folders/carl", "folders") == "folders/carl"
    assert name_in({"folders": profile}, None, "folders") is None


def test_a_bundle_without_a_head_for_speakers_adapts_to_collections(corpus, tmp_path):
    bundle = make_adaptable_bundle(
        tmp_path / "toy",
        heads={name: values for name, values in HEADS.items() if name.startswith("collection")},
        adaptation={"collection": ADAPTATION["collection"]},
    )
    result = compare(Recognizer(bundle.path), parse_corpora([corpus]))
    assert list(result.adapted) == ["collection"]
    assert result.profiles["folders"].speakers == {}


def test_shares_of_certain_answers_are_of_the_rows_with_an_answer(adaptable, corpus):
    rows = list(evaluate(Recognizer(adaptable), parse_corpora([corpus])).rows)
    rows[0] = replace(rows[0], probabilities=None, failure="no speech", answer=None, prediction=None, certain=None)
    rows[1] = replace(rows[1], certain=False, answer="sad", prediction="angry", truth="angry")
    found = certainty(rows)
    assert found["no_answer"] == 1
    assert (found["certain"]["share"], found["uncertain"]["share"]) == (6 / 7, 1 / 7)
    assert found["uncertain"] == {"clips": 1, "share": 1 / 7, "restricted": 1.0, "unrestricted": 0.0}
