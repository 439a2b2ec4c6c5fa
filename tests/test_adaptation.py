"""A recogniser adapted to a collection: answers by hand, and every way to the same answer."""

import json
import re
import warnings

import numpy as np
import onnx
import pytest
import soundfile

from serotone.errors import BundleError, ProfileError, SerotoneWarning
from serotone.recognition.adaptation import Adaptation
from serotone.recognition.loading import load_bundle
from serotone.recognition.profile import ProfileBuilder
from serotone.recognition.recognizer import Recognizer
from toy_bundle import (
    ADAPTATION,
    HEADS,
    LABELS,
    SAMPLE_RATE,
    buzz,
    make_adaptable_bundle,
    make_toy_bundle,
    tone,
    toy_embedding,
    toy_graph,
    write_toy_manifest,
)

QUIET = [tone(1, 0.01 * (1 + i)) for i in range(6)]
"""A collection in which all are quiet: plain answers call every one sad."""


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    return Recognizer(make_adaptable_bundle(tmp_path_factory.mktemp("toy")))


def named(prediction):
    return np.array([prediction.probabilities[label] for label in LABELS])


def by_hand(embedding, embeddings):
    """The collection's answer: standardised with no shrinkage, the head, temperature 2."""
    embeddings = np.array(embeddings)
    count = len(embeddings)
    sd = np.sqrt(np.maximum((count * embeddings.var(axis=0) + 1) / count, 0.01))
    standardised = (embedding - embeddings.mean(axis=0)) / sd
    logits = (HEADS["collection_weight"] @ standardised + HEADS["collection_bias"]) / 2
    answer = np.exp(logits)
    return answer / answer.sum()


def test_the_collection_answers_as_computed_by_hand(recognizer):
    adapted = recognizer.adapted_to(QUIET, source_rate=SAMPLE_RATE, name="office")
    embeddings = [toy_embedding(clip) for clip in QUIET]
    for clip, embedding in zip(QUIET, embeddings, strict=True):
        prediction = adapted.predict(clip, source_rate=SAMPLE_RATE)
        np.testing.assert_allclose(named(prediction), by_hand(embedding, embeddings), atol=1e-5)
        assert prediction.profile == {"name": "office", "count": 6, "speaker": None}
        assert json.loads(json.dumps(prediction.to_dict()))["profile"] == prediction.profile
    assert adapted.predict(tone(1, 0.5), source_rate=SAMPLE_RATE).label == "angry"
    assert adapted.predict(tone(1, 0.0005), source_rate=SAMPLE_RATE).label == "sad"


def test_a_plain_recogniser_stays_plain(recognizer):
    before = recognizer.predict(QUIET[0], source_rate=SAMPLE_RATE)
    recognizer.adapted_to(QUIET, source_rate=SAMPLE_RATE)
    after = recognizer.predict(QUIET[0], source_rate=SAMPLE_RATE)
    assert recognizer.current_profile is None
    assert before == after
    assert after.profile is None
    assert after.to_dict()["profile"] is None


def test_a_saved_profile_gives_the_same_answers(recognizer, tmp_path):
    speakers = ["anna", "anna", "anna", "ben", "ben", None]
    adapted = recognizer.adapted_to(QUIET, speakers=speakers, source_rate=SAMPLE_RATE, name="office")
    adapted.current_profile.save(tmp_path / "office.profile.json")
    loaded = recognizer.with_profile(tmp_path / "office.profile.json")
    for clip, speaker in zip([*QUIET, buzz(1, 0.1)], [*speakers, "carl"], strict=True):
        one = adapted.predict(clip, source_rate=SAMPLE_RATE, speaker=speaker)
        other = loaded.predict(clip, source_rate=SAMPLE_RATE, speaker=speaker)
        np.testing.assert_allclose(named(one), named(other), atol=1e-5)
        assert one.profile == other.profile
        assert one.profile["speaker"] == (speaker if speaker in ("anna", "ben") else None)


def test_a_speaker_has_a_head_and_statistics_of_their_own(recognizer):
    speakers = ["anna"] * 3 + ["ben"] * 3
    adapted = recognizer.adapted_to(QUIET, speakers=speakers, source_rate=SAMPLE_RATE)
    embeddings = np.array([toy_embedding(clip) for clip in QUIET])
    sd = np.sqrt(np.maximum((6 * embeddings.var(axis=0) + 1) / 6, 0.01))
    first = (embeddings - embeddings.mean(axis=0)) / sd
    own = first[:3]
    second = (first[0] - own.mean(axis=0) * 3 / 18) / np.sqrt((3 * own.var(axis=0) + 16) / 18)
    logits = HEADS["speaker_weight"] @ second + HEADS["speaker_bias"]
    answer = np.exp(logits) / np.exp(logits).sum()
    prediction = adapted.predict(QUIET[0], source_rate=SAMPLE_RATE, speaker="anna")
    np.testing.assert_allclose(named(prediction), answer, atol=1e-5)
    (many,) = adapted.predict_many([QUIET[0]], source_rate=SAMPLE_RATE, speakers=["anna"])
    assert many == prediction


def test_levels_have_thresholds_of_their_own(tmp_path):
    levels = {
        "collection": ADAPTATION["collection"] | {"thresholds": {"uncertain": 0.9999}},
        "speaker": ADAPTATION["speaker"],
    }
    recognizer = Recognizer(make_adaptable_bundle(tmp_path, adaptation=levels, thresholds={"uncertain": 0.0}))
    adapted = recognizer.adapted_to(QUIET, speakers=["anna"] * 6, source_rate=SAMPLE_RATE)
    unknown = adapted.predict(QUIET[0], source_rate=SAMPLE_RATE)
    assert unknown.uncertain
    assert "below 0.9999" in unknown.reason
    assert not adapted.predict(QUIET[0], source_rate=SAMPLE_RATE, speaker="anna").uncertain


def test_a_long_recording_counts_window_by_window(recognizer):
    long = np.concatenate([tone(3, 0.02), np.zeros(4 * SAMPLE_RATE, np.float32), tone(3, 0.1)])
    profile = recognizer.profile([long], source_rate=SAMPLE_RATE)
    windows = [(0, 1), (0, 2), (1, 3), (7, 8), (7, 9), (8, 10)]
    expected = np.array([toy_embedding(long[a * SAMPLE_RATE : b * SAMPLE_RATE]) for a, b in windows])
    assert profile.count == 6
    np.testing.assert_allclose(profile.collection.mean, expected.mean(axis=0), atol=1e-5)
    prediction = recognizer.with_profile(profile).predict(long, source_rate=SAMPLE_RATE, timeline=True)
    assert prediction.windows == 6
    assert [(s.start, s.end, s.label) for s in prediction.segments] == [
        (0, 3, "sad"),
        (3, 7, None),
        (7, 10, "angry"),
    ]


def test_bad_files_are_passed_over_and_counted(recognizer, tmp_path):
    paths = []
    for i, clip in enumerate(QUIET):
        paths.append(tmp_path / f"{i}.wav")
        soundfile.write(paths[-1], clip, SAMPLE_RATE, subtype="FLOAT")
    paths.insert(3, tmp_path / "none.wav")
    with pytest.warns(SerotoneWarning, match=r"1 recordings were left out.*none\.wav"):
        profile = recognizer.profile(paths)
    assert profile.count == 6
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recognizer.profile(paths, on_error=lambda source, error: told.append((source, type(error).__name__)))
    assert told == [(tmp_path / "none.wav", "AudioMissingError")]


@pytest.mark.parametrize("speaker", [3, np.int64(3), float("nan"), ("anna",)], ids=["int", "int64", "nan", "tuple"])
def test_speakers_are_text_or_unknown(recognizer, monkeypatch, speaker):
    wrong = rf"^speaker is {re.escape(repr(speaker))}, of type {type(speaker).__name__}; expected a string, or None"
    with pytest.raises(TypeError, match=wrong):
        ProfileBuilder("office", recognizer.bundle).add(np.zeros((1, 2), np.float32), speaker)
    hearing = recognizer.hear(QUIET[0], source_rate=SAMPLE_RATE)
    with pytest.raises(TypeError, match=wrong):
        recognizer.answer(hearing, speaker=speaker)
    with pytest.raises(TypeError, match=wrong):
        recognizer.stream(sample_rate=SAMPLE_RATE, speaker=speaker)
    monkeypatch.setattr(recognizer, "hear", None)  # at once: nothing may be heard before
    speakers = ["anna", None, "ben", "ben", "ben", speaker]
    with pytest.raises(TypeError, match=wrong):
        recognizer.adapted_to(QUIET, speakers=speakers, source_rate=SAMPLE_RATE)
    with pytest.raises(TypeError, match=wrong):
        next(recognizer.predict_many(QUIET, speakers=speakers, source_rate=SAMPLE_RATE))
    with pytest.raises(TypeError, match=wrong):
        recognizer.adapted_to(QUIET, speakers=iter([speaker]), source_rate=SAMPLE_RATE)
    with pytest.raises(TypeError, match=wrong):
        recognizer.predict(QUIET[0], speaker=speaker, source_rate=SAMPLE_RATE)


def test_too_few_and_unequal_numbers(recognizer):
    with pytest.raises(ProfileError, match="4 clips or windows with speech; a profile needs at least 5"):
        recognizer.adapted_to([*QUIET[:4], np.zeros(16000, np.float32)], source_rate=SAMPLE_RATE)

    def predicted(sources, **how):
        return list(recognizer.predict_many(sources, **how))

    for use in (recognizer.adapted_to, recognizer.profile, predicted):
        with pytest.raises(ValueError, match=r"^6 recordings and 1 speaker; give one for each$"):
            use(QUIET, speakers=["anna"], source_rate=SAMPLE_RATE)
        with pytest.raises(ValueError, match=r"^6 recordings and 7 speakers; give one for each$"):
            use(QUIET, speakers=["anna"] * 7, source_rate=SAMPLE_RATE)
        with pytest.raises(ValueError, match=r"^more than 5 recordings and 5 speakers; give one for each$"):
            use(iter(QUIET), speakers=["anna"] * 5, source_rate=SAMPLE_RATE)
        with pytest.raises(ValueError, match=r"^6 recordings and more than 6 speakers; give one for each$"):
            use(iter(QUIET), speakers=["anna"] * 7, source_rate=SAMPLE_RATE)


def test_silence_gets_no_label_adapted_either(recognizer):
    prediction = recognizer.adapted_to(QUIET, source_rate=SAMPLE_RATE).predict(
        np.zeros(16000, np.float32), source_rate=SAMPLE_RATE
    )
    assert prediction.label is None
    assert prediction.probabilities == {}


def test_another_bundle_is_refused(recognizer, tmp_path):
    profile = recognizer.profile(QUIET, source_rate=SAMPLE_RATE)
    other = Recognizer(make_adaptable_bundle(tmp_path / "other", version="2"))
    with pytest.raises(ProfileError, match=r"this is toy .*make one with serotone adapt") as refused:
        other.with_profile(profile)
    assert str(refused.value).endswith(f"--bundle {tmp_path / 'other'}")  # by its name no command would find it
    plain = Recognizer(make_toy_bundle(tmp_path / "plain"))
    for use in (lambda: plain.with_profile(profile), lambda: plain.adapted_to(QUIET, source_rate=SAMPLE_RATE)):
        with pytest.raises(BundleError, match="toy cannot be adapted; predict without a profile"):
            use()


def test_a_bundle_without_a_head_for_speakers(tmp_path):
    heads = {name: values for name, values in HEADS.items() if name.startswith("collection")}
    recognizer = Recognizer(
        make_adaptable_bundle(tmp_path, heads=heads, adaptation={"collection": ADAPTATION["collection"]})
    )
    assert recognizer.adapted_to(QUIET, source_rate=SAMPLE_RATE).current_profile.count == 6
    with pytest.raises(ProfileError, match="has 1 speakers, and this bundle has no head for them"):
        recognizer.adapted_to(QUIET, speakers=["anna"] * 6, source_rate=SAMPLE_RATE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"collection_weight": np.zeros((2, 2), np.float32)}, "expected float32 (3, 2)"),
        ({"collection_bias": np.zeros(2, np.float32)}, "expected float32 (3,)"),
        ({"speaker_weight": np.zeros((3, 5), np.float32)}, "expected float32 (3, 2)"),
        ({"collection_weight": np.zeros(3, np.float32)}, "expected float32"),
        ({"collection_weight": np.zeros((3, 2), np.float64)}, "is float64"),
        ({"speaker_bias": np.array([0, np.nan, 0], np.float32)}, "NaN or infinity"),
        ({"speaker_bias": np.array([None] * 3)}, "cannot be read"),
        ({"more": np.zeros(1, np.float32)}, "holds"),
        ({"collection_weight": np.zeros((3, 70_000), np.float32)}, "none above"),
    ],
)
def test_heads_that_are_not_what_the_manifest_says(tmp_path, change, says):
    bundle = make_adaptable_bundle(tmp_path, heads=HEADS | change)
    with pytest.raises(BundleError) as caught:
        Adaptation(bundle)
    assert says in str(caught.value)


def test_heads_of_another_width_than_the_embeddings(tmp_path):
    wide = {name: np.zeros((3, 5) if name.endswith("weight") else 3, np.float32) for name in HEADS}
    with pytest.raises(BundleError, match="embeddings of 2 numbers, and heads for 5"):
        Recognizer(make_adaptable_bundle(tmp_path, heads=wide)).adaptation()


def test_a_graph_without_embeddings(tmp_path):
    np.savez(tmp_path / "adaptation.npz", **HEADS)
    graph = toy_graph()
    del graph.graph.output[2]
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="adaptation needs embedding too"):
        Recognizer(write_toy_manifest(tmp_path, extra={"adaptation": ADAPTATION}))


def test_heads_in_half_precision(tmp_path):
    bundle = make_adaptable_bundle(tmp_path, heads={name: v.astype(np.float16) for name, v in HEADS.items()})
    np.testing.assert_allclose(Adaptation(bundle).heads["speaker"].bias, [0.1, 0, 0], atol=1e-4)


def test_a_damaged_heads_file_is_noticed(tmp_path):
    make_adaptable_bundle(tmp_path)
    content = (tmp_path / "adaptation.npz").read_bytes()
    (tmp_path / "adaptation.npz").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(tmp_path)
    (tmp_path / "adaptation.npz").write_bytes(b"no archive")
    bundle = make_toy_bundle(tmp_path, extra={"adaptation": ADAPTATION})
    with pytest.raises(BundleError, match="cannot be read"):
        Adaptation(bundle)


@pytest.mark.parametrize(
    ("adaptation", "says"),
    [
        ([], "adaptation"),
        ({}, "adaptation"),
        ({"speaker": ADAPTATION["speaker"]}, "adaptation"),
        ({"collection": ADAPTATION["collection"], "room": {}}, "adaptation"),
        ({"collection": {"temperature": 0, "shrinkage": 0}}, "temperature"),
        ({"collection": {"temperature": 10**400, "shrinkage": 0}}, "temperature"),
        ({"collection": {"temperature": 1, "shrinkage": -1}}, "shrinkage"),
        ({"collection": {"temperature": 1}}, "shrinkage"),
        ({"collection": {"temperature": 1, "shrinkage": 0, "thresholds": 3}}, "thresholds"),
        ({"collection": 3}, "collection"),
    ],
)
def test_a_manifest_that_says_it_wrongly(tmp_path, adaptation, says):
    with pytest.raises(BundleError, match=f"{says}: "):
        make_adaptable_bundle(tmp_path, adaptation=adaptation)


def test_a_manifest_without_the_file(tmp_path):
    with pytest.raises(BundleError, match=r"expected an entry for adaptation\.npz"):
        make_toy_bundle(tmp_path, extra={"adaptation": ADAPTATION})
