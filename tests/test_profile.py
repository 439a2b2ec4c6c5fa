"""Profiles: arithmetic by hand, exact merging, shrinkage, and what a damaged or foreign file gets."""

import json
import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serotone.errors import ProfileError
from serotone.recognition.profile import Accumulator, Profile, ProfileBuilder, Statistics, load_profile
from toy_bundle import make_adaptable_bundle

DIGEST = "0123456789abcdef" * 4


def statistics_of(embeddings):
    accumulator = Accumulator()
    accumulator.add(np.asarray(embeddings, np.float32))
    return accumulator.statistics()


def profile_of(embeddings, speakers=None, *, name="office", digest=DIGEST):
    return Profile(name, "toy", digest, statistics_of(embeddings), speakers or {})


def test_mean_and_sd_by_hand():
    found = statistics_of([[1, 10], [3, 10], [5, 10], [7, 10]])
    assert found.count == 4
    np.testing.assert_allclose(found.mean, [4, 10])
    np.testing.assert_allclose(found.sd, [np.sqrt(5), 0])  # (9 + 1 + 1 + 9) / 4


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_pieces_give_what_all_at_once_gives(seed, sizes):
    rng = np.random.default_rng(seed)
    pieces = [rng.normal(rng.uniform(-5, 5), 2, (size, 3)).astype(np.float32) for size in sizes]
    everything = np.concatenate(pieces).astype(np.float64)
    accumulator = Accumulator()
    for piece in pieces:
        accumulator.add(piece)
    merged = statistics_of(pieces[0])
    for piece in pieces[1:]:
        merged = merged.merged(statistics_of(piece))
    for found in (accumulator.statistics(), merged):
        assert found.count == len(everything)
        np.testing.assert_allclose(found.mean, everything.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(found.sd, everything.std(axis=0), atol=1e-7)


def test_shrinking_by_hand():
    found = Statistics(4, np.array([4.0, -2.0]), np.array([2.0, 0.0]))
    mean, sd = found.shrunk(0)
    np.testing.assert_allclose(mean, [4, -2])
    np.testing.assert_allclose(sd**2, [17 / 4, 1 / 4])
    mean, sd = found.shrunk(12)
    np.testing.assert_allclose(mean, [1, -0.5])
    np.testing.assert_allclose(sd**2, [29 / 16, 13 / 16])


@pytest.mark.parametrize("weight", [0, 3, 15])
def test_one_recording_moves_the_mean_alone(weight):
    mean, sd = statistics_of([[3.0, -6.0]]).shrunk(weight)
    np.testing.assert_allclose(mean, np.array([3, -6]) / (1 + weight))
    np.testing.assert_allclose(sd, 1)


def test_a_dimension_that_never_varies_is_not_blown_up():
    _, sd = statistics_of(np.ones((5000, 2))).shrunk(0)
    np.testing.assert_allclose(sd, 0.1)


def test_a_large_collection_becomes_mean_0_and_sd_1():
    embeddings = np.random.default_rng(0).normal([3, -1], [2, 0.5], (4000, 2))
    standardised = profile_of(embeddings).apply(embeddings)
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(standardised.std(axis=0), 1, atol=1e-3)


def test_a_speaker_nests_within_the_collection():
    rng = np.random.default_rng(1)
    low, high = rng.normal(-2, 1, (30, 2)), rng.normal(2, 0.5, (10, 2))
    everyone = np.concatenate([low, high])
    profile = profile_of(everyone, {"low": statistics_of(low), "high": statistics_of(high)})
    # Second derivation: standardise the collection first, then take the speaker's statistics of the result.
    first = (everyone - everyone.mean(axis=0)) / np.sqrt((40 * everyone.var(axis=0) + 1) / 40)
    own = first[30:]
    mean = own.mean(axis=0) * 10 / 25
    sd = np.sqrt((10 * own.var(axis=0) + 16) / 25)
    np.testing.assert_allclose(profile.apply(high, speaker="high"), (own - mean) / sd, atol=1e-5)
    np.testing.assert_allclose(profile.apply(high), own, atol=1e-5)
    np.testing.assert_allclose(profile.apply(high, speaker="nobody"), own, atol=1e-5)


def test_merged_profiles_are_the_profile_of_both():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, (7, 3)), rng.normal(3, 2, (9, 3))
    one = profile_of(first, {"anna": statistics_of(first[:3])})
    two = profile_of(second, {"anna": statistics_of(second[:4]), "ben": statistics_of(second[4:])}, name="other")
    both = one.merged(two)
    assert (both.name, both.count) == ("office", 16)
    np.testing.assert_allclose(both.collection.mean, np.concatenate([first, second]).mean(axis=0), atol=1e-6)
    assert {name: speaker.count for name, speaker in both.speakers.items()} == {"anna": 7, "ben": 5}
    with pytest.raises(ProfileError, match="only profiles of one bundle"):
        one.merged(profile_of(second, digest="f" * 64))


def test_saved_and_loaded(tmp_path):
    embeddings = np.random.default_rng(3).normal(0, 3, (6, 4))
    profile = profile_of(embeddings, {"Zoë": statistics_of(embeddings[:2])})
    path = tmp_path / "new" / "office.profile.json"
    profile.save(path)
    loaded = load_profile(path)
    assert loaded.to_dict() == profile.to_dict()
    np.testing.assert_allclose(loaded.apply(embeddings, speaker="Zoë"), profile.apply(embeddings, speaker="Zoë"), 1e-4)
    text = path.read_text(encoding="ascii")
    assert text.endswith("}\n")
    raw = json.loads(text)
    assert set(raw) == {"schema", "name", "bundle", "bundle_sha256", "count", "mean", "sd", "speakers"}


def without(key):
    return lambda raw: raw.pop(key)


def replaced(**changes):
    return lambda raw: raw.update(changes)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (replaced(schema=2), "schema '2'"),
        (replaced(schema=True), "schema 'True'"),
        (without("mean"), "mean of the collection is not a list"),
        (replaced(mean=[1.0]), "have 1 and 2 numbers"),
        (replaced(mean=[1.0, float("nan")]), "within 1e12"),
        (replaced(mean=[1.0, 10**400]), "within 1e12"),
        (replaced(mean=[1.0, True]), "within 1e12"),
        (replaced(mean=[1.0, "2"]), "within 1e12"),
        (replaced(sd=[1.0, -1.0]), "negative"),
        (replaced(sd=[0.0] * 70_000), "1 to 65536 numbers"),
        (replaced(count=0), "the count of the collection is 0"),
        (replaced(count=1.5), "the count of the collection is 1.5"),
        (replaced(name=""), "name is ''"),
        (replaced(name="n" * 500), "1 to 200 characters"),
        (replaced(bundle_sha256="0123"), "64 hexadecimal digits"),
        (replaced(speakers=[]), "speakers is not a JSON object"),
        (replaced(speakers={"a": 3}), "speaker 'a' is not"),
        (replaced(speakers={"a": {"count": 1, "mean": [1], "sd": [0]}}), "expected 2"),
        (replaced(speakers=dict.fromkeys(map(str, range(10_001)), 0)), "at most 10000"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path, damage, says):
    raw = profile_of([[1, 2], [3, 4]]).to_dict()
    damage(raw)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ProfileError, match="make the profile again") as caught:
        load_profile(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[", b"[" * 100_000, b"3", b"null", b'{"mean": 1'])
def test_what_is_no_profile_is_one_error(tmp_path, content):
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(ProfileError):
        load_profile(path)
    with pytest.raises(ProfileError, match="is a folder; give a profile"):
        load_profile(tmp_path)
    with pytest.raises(ProfileError, match="no such file; give a profile"):
        load_profile(tmp_path / "none.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_profile_comes_through_a_pipe(tmp_path):
    saved, pipe = tmp_path / "p.json", tmp_path / "pipe"
    profile_of(np.random.default_rng(0).normal(size=(5, 2))).save(saved)
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(saved.read_bytes(),), daemon=True)
    writer.start()
    assert load_profile(pipe).digest() == load_profile(saved).digest()
    writer.join()


def test_files_and_profiles_beyond_their_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr("serotone.recognition.profile.MAX_BYTES", 300)
    profile = profile_of(np.random.default_rng(0).normal(0, 1, (3, 20)))
    with pytest.raises(ProfileError, match="can be read again"):
        profile.save(tmp_path / "p.json")
    (tmp_path / "p.json").write_text(json.dumps(profile.to_dict()), encoding="utf-8")
    with pytest.raises(ProfileError, match="this is not a profile"):
        load_profile(tmp_path / "p.json")


def test_a_builder_counts_and_asks_for_more(tmp_path):
    bundle = make_adaptable_bundle(tmp_path / "toy")
    builder = ProfileBuilder("office", bundle)
    builder.add(np.ones((1, 2), np.float32), "anna")
    with pytest.raises(ProfileError, match="office: 1 clip or window with speech"):
        builder.profile()
    builder.add(np.ones((2, 2), np.float32), "anna")
    builder.add(np.zeros((0, 2), np.float32), "mute")
    builder.add(np.ones((1, 2), np.float32))
    with pytest.raises(ProfileError, match="office: 4 clips or windows with speech; a profile needs at least 5"):
        builder.profile()
    builder.add(np.zeros((1, 2), np.float32))
    profile = builder.profile()
    assert profile.bundle_sha256 == bundle.sha256
    assert profile.count == 5
    assert {name: speaker.count for name, speaker in profile.speakers.items()} == {"anna": 3}
    with pytest.raises(ProfileError, match="1 to 200 characters"):
        ProfileBuilder("", bundle)
