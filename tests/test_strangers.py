"""Heads for strangers on hand-made corpora: what each level takes out, and what is chosen on corpora held out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import RunError
from serotone.metrics import expected_calibration_error
from serotone.recognition.profile import Profile, Statistics
from serotone.training.convex import Linear
from serotone.training.strangers import (
    UNTRAINED,
    Level,
    Manner,
    Shrinkage,
    Table,
    at_level,
    doubt,
    fit_head,
    fit_levels,
    held_out_groups,
    held_out_logits,
    mean_head,
    mixed,
    shared_accuracies,
)

LABELS = ("angry", "happy", "sad")
CENTERS = np.array([[2.0, 0.0], [-1.0, 1.8], [-1.0, -1.8]])


def made(*, rooms: float = 3.0, voices: float = 0.0, corpora: str = "abcd", per_cell: int = 12, seed: int = 0) -> Table:
    """Corpora of three speakers whose vectors lie where the emotion is, moved by the room and the voice."""
    generator = np.random.default_rng(seed)
    vectors, targets, homes, speakers = [], [], [], []
    for corpus in corpora:
        room, scale = rooms * generator.standard_normal(2), np.exp(0.3 * rooms * generator.standard_normal(2) / 3)
        for speaker in "xyz":
            voice = voices * generator.standard_normal(2)
            for target in range(3):
                points = CENTERS[target] + 0.6 * generator.standard_normal((per_cell, 2))
                vectors.append(scale * points + room + voice)
                targets += [target] * per_cell
                homes += [corpus] * per_cell
                speakers += [speaker] * per_cell
    return Table(LABELS, np.concatenate(vectors), np.array(targets), np.array(homes), np.array(speakers))


def test_each_level_takes_out_what_it_is_for() -> None:
    table = made(rooms=3.0, voices=2.0)
    means = {}
    for level in ("plain", "collection", "speaker"):
        scores = held_out_logits(table, table.corpora, level=level, strengths=[1.0], shrinkage=Shrinkage(0, 1))
        means[level] = np.mean(list(shared_accuracies(table, scores[1.0]).values()))
    assert means["plain"] < 0.7 < means["collection"] < 0.95 < means["speaker"]


def test_a_level_is_what_a_profile_applies() -> None:
    table = made(voices=1.0)
    shrinkage = Shrinkage(4.0, 15.0)
    ours = at_level(table.vectors, table.corpora, table.speakers, level="speaker", shrinkage=shrinkage)
    own = table.corpora == "b"
    speakers = {
        name: Statistics(int(chosen.sum()), table.vectors[chosen].mean(0), table.vectors[chosen].std(0))
        for name in "xyz"
        if (chosen := own & (table.speakers == name)).any()
    }
    collection = Statistics(int(own.sum()), table.vectors[own].mean(0), table.vectors[own].std(0))
    profile = Profile("b", "bundle", "0" * 64, collection, speakers)
    mine = own & (table.speakers == "y")
    expected = profile.apply(table.vectors[mine], speaker="y", shrinkage=4.0, speaker_shrinkage=15.0)
    np.testing.assert_allclose(ours[mine], expected, atol=1e-9)


def test_speakers_of_one_name_in_two_corpora_are_two() -> None:
    table = made(corpora="ab", rooms=0.0, voices=5.0)
    values = at_level(table.vectors, table.corpora, table.speakers, level="speaker", shrinkage=Shrinkage(0, 0))
    for corpus in "ab":
        own = (table.corpora == corpus) & (table.speakers == "x")
        np.testing.assert_allclose(values[own].mean(axis=0), 0, atol=1e-9)


def test_speakers_whom_nobody_knows_are_not_one_speaker() -> None:
    table = made(corpora="a", voices=5.0)
    speakers = np.array([UNKNOWN_SPEAKER if name == "x" else name for name in table.speakers])
    ours = at_level(table.vectors, table.corpora, speakers, level="speaker", shrinkage=Shrinkage())
    theirs = at_level(table.vectors, table.corpora, speakers, level="collection", shrinkage=Shrinkage())
    unknown = speakers == UNKNOWN_SPEAKER
    np.testing.assert_array_equal(ours[unknown], theirs[unknown])
    assert not np.allclose(ours[~unknown], theirs[~unknown])


def test_what_is_held_out_teaches_nothing() -> None:
    table = made(rooms=1.0)
    flipped = Table(LABELS, table.vectors, table.targets.copy(), table.corpora, table.speakers)
    flipped.targets[table.corpora == "a"] = (table.targets[table.corpora == "a"] + 1) % 3
    one, two = (
        held_out_logits(t, t.corpora, level="collection", strengths=[0.1], shrinkage=Shrinkage())[0.1]
        for t in (table, flipped)
    )
    own = table.corpora == "a"
    np.testing.assert_array_equal(one[own], two[own])
    assert not np.allclose(one[~own], two[~own])


def error_of(table: Table, scores: np.ndarray, corpus: str) -> float:
    """ECE of one corpus."""
    own = table.corpora == corpus
    return expected_calibration_error(softmax(scores[own], axis=1), table.targets[own].tolist(), labels=range(3))


def test_the_strength_and_the_temperature_are_chosen_on_corpora_held_out() -> None:
    table = made(rooms=1.5)
    fitted = fit_levels(table, strengths=[1e-6, 0.03, 10.0], shrinkage=Shrinkage())
    assert list(fitted) == ["plain", "collection", "speaker"]
    for level, found in fitted.items():
        assert found.strength == max(found.accuracies, key=lambda s: (found.accuracies[s], -s))
        scores = held_out_logits(table, table.corpora, level=level, strengths=[found.strength], shrinkage=Shrinkage())
        assert shared_accuracies(table, scores[found.strength]) == pytest.approx(found.by_corpus, abs=0.02)
        mean_errors = [
            np.mean([error_of(table, scores[found.strength] / t, corpus) for corpus in "abcd"])
            for t in (1.0, found.calibration.temperature, 2 * found.calibration.temperature)
        ]
        assert mean_errors[1] <= min(mean_errors) + 0.01  # the scores are solved in float32
        alone = fit_head(table, level=level, strength=found.strength, shrinkage=Shrinkage())
        np.testing.assert_allclose(found.linear.weight, alone.weight)


def test_an_emotion_that_only_one_corpus_has_is_not_scored_there() -> None:
    table = made(corpora="abc")
    kept = ~((table.targets == 2) & (table.corpora != "a"))
    table = table.part(kept)
    scores = held_out_logits(table, table.corpora, level="plain", strengths=[0.1], shrinkage=Shrinkage())[0.1]
    assert (scores[table.corpora == "a"][:, 2] == UNTRAINED).all()
    assert (scores[table.corpora != "a"][:, 2] > UNTRAINED).all()
    assert set(shared_accuracies(table, scores)) == {"a", "b", "c"}


def test_a_corpus_whose_emotions_no_other_has_chooses_nothing() -> None:
    """Corpus a is angry alone, and b and c never are: no head that did not see a knows its emotion."""
    table = made(corpora="abc", per_cell=4)
    table = table.part((table.corpora == "a") == (table.targets == 0))
    found = fit_levels(table, strengths=[0.1], shrinkage=Shrinkage(), levels=("plain",))["plain"]
    assert set(found.by_corpus) == {"b", "c"}
    apart = table.part(table.corpora != "c")
    with pytest.raises(RunError, match="no corpus has an emotion that another one has"):
        fit_levels(apart, strengths=[0.1], shrinkage=Shrinkage(), levels=("plain",))


def test_of_one_corpus_groups_of_speakers_are_held_out() -> None:
    table = made(corpora="a")
    groups = held_out_groups(table.corpora, table.speakers)
    assert len(np.unique(groups)) == 3
    assert all(len(np.unique(groups[table.speakers == name])) == 1 for name in "xyz")
    both = made(corpora="ab")
    assert held_out_groups(both.corpora, both.speakers).tolist() == both.corpora.tolist()
    alone = table.part(table.speakers == "x")
    with pytest.raises(RunError, match="all clips are of one speaker"):
        held_out_groups(alone.corpora, alone.speakers)
    with pytest.raises(RunError, match=r"does not say who speaks.*a manifest has the column speaker"):
        held_out_groups(table.corpora, np.full(len(table.targets), UNKNOWN_SPEAKER))
    some = np.where(table.speakers == "x", UNKNOWN_SPEAKER, table.speakers)
    count = f"{(some == UNKNOWN_SPEAKER).sum()} of its {len(some)} clips"
    with pytest.raises(RunError, match=f"does not say who speaks {count}"):
        held_out_groups(table.corpora, some)


def test_the_threshold_tells_right_from_wrong_by_hand() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    right = np.array([True, True, False, True, False, False])
    found = doubt(confidence, right, np.ones(6))
    # at .71 to .80: 2/3 of the right, none of the wrong; at .51 to .60: all right, 1/3 wrong: the first of the best
    assert found.threshold == pytest.approx(0.51, abs=0.001)
    assert (found.coverage, found.certain, found.uncertain) == pytest.approx((4 / 6, 3 / 4, 0.0))
    # the surest one, two, two, three, three, four, five, five, six, six of them
    assert found.curve == pytest.approx((0, 0, 0, 1 / 3, 1 / 3, 1 / 4, 2 / 5, 2 / 5, 1 / 2, 1 / 2))
    easy = doubt(confidence, np.ones(6, dtype=bool), np.ones(6))
    assert (easy.threshold, easy.coverage, easy.certain) == (pytest.approx(0.4), 1.0, 1.0)
    assert np.isnan(easy.uncertain)
    with pytest.raises(RunError, match="all answers on held-out clips are wrong"):
        doubt(confidence, np.zeros(6, dtype=bool), np.ones(6))


def test_a_copy_that_is_the_clip_itself_changes_no_head() -> None:
    table = made()
    for level in ("plain", "collection", "speaker"):
        alone, twice = (
            fit_head(t, level=level, strength=0.3, shrinkage=Shrinkage())
            for t in (table, replace(table, copies=(table.vectors,)))
        )
        np.testing.assert_allclose(twice.weight, alone.weight, atol=1e-5)
        np.testing.assert_allclose(twice.bias, alone.bias, atol=1e-5)


def test_a_strength_keeps_its_name_whatever_the_number_of_copies() -> None:
    """In float64 0.9 / 3 * 3 is not 0.9."""
    table = made(per_cell=3)
    both = replace(table, copies=(table.vectors, table.vectors))
    scores = held_out_logits(both, both.corpora, level="plain", strengths=[0.9, 0.1], shrinkage=Shrinkage())
    assert list(scores) == [0.9, 0.1]
    assert all((values > UNTRAINED).all() for values in scores.values())
    levels = fit_levels(both, strengths=[0.9], shrinkage=Shrinkage(), levels=("plain",))
    assert levels["plain"].strength == 0.9


def test_copies_in_other_rooms_carry_further() -> None:
    """A head that has seen each clip moved along the first axis reads the second."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 60)
    cue = np.stack([labels + 0.3 * generator.standard_normal(180), labels + 0.6 * generator.standard_normal(180)], 1)
    names = np.array(["a", "b"])[np.arange(180) % 2]
    table = Table(LABELS, cue, labels, names, np.full(180, "x"))
    moved = cue + np.array([1.0, 0.0]) * generator.choice([-4.0, 4.0], (180, 1))
    plain, robust = (
        fit_head(t, level="plain", strength=1.0, shrinkage=Shrinkage())
        for t in (table, replace(table, copies=(moved,)))
    )
    elsewhere = table.standard().apply(cue + np.array([2.0, 0.0]))
    right = [float((head.logits(elsewhere).argmax(1) == labels).mean()) for head in (plain, robust)]
    assert right[0] < 0.5 < right[1]


def test_scores_and_parts_are_of_the_clips_alone() -> None:
    table = made()
    both = replace(table, copies=(table.vectors + 1.0, table.vectors - 1.0))
    scores = held_out_logits(both, both.corpora, level="plain", strengths=[1.0], shrinkage=Shrinkage())[1.0]
    assert scores.shape == (len(table.targets), 3)
    part = both.part(both.corpora == "b")
    assert [len(copy) for copy in part.copies] == [len(part.targets)] * 2
    np.testing.assert_array_equal(part.copies[0], part.vectors + 1.0)


def test_the_mean_of_heads_that_know_some_classes_by_hand() -> None:
    first = np.array([0, 2]), Linear(np.array([[3.0], [1.0]]), np.array([1.0, 0.0]))
    second = np.array([0, 1, 2]), Linear(np.array([[6.0], [0.0], [0.0]]), np.array([0.0, 3.0, 0.0]))
    mean = mean_head([first, second], 3)
    np.testing.assert_allclose(mean.weight[:, 0], [(1 + 4) / 2, -2 / 2, (-1 - 2) / 2])
    np.testing.assert_allclose(mean.bias, [(0.5 - 1) / 2, 2 / 2, (-0.5 - 1) / 2])


def test_a_mixture_has_the_spread_of_its_first_head() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 4))
    first, second = (Linear(np.random.default_rng(k).standard_normal((3, 4)), np.zeros(3)) for k in (1, 2))
    np.testing.assert_allclose(mixed(first, second, vectors, 0.0).weight, first.weight)
    spread = [
        np.std((s := head.logits(vectors)) - s.mean(1, keepdims=True))
        for head in (first, mixed(first, second, vectors, 1.0))
    ]
    assert spread[0] == pytest.approx(spread[1])
    half = mixed(first, second, vectors, 0.5)
    np.testing.assert_allclose(half.weight, (first.weight + mixed(first, second, vectors, 1.0).weight) / 2)


def test_own_heads_change_the_plain_head_of_several_corpora_alone() -> None:
    def head(table: Table, level: Level, share: float) -> Linear:
        return fit_head(table, level=level, strength=0.3, shrinkage=Shrinkage(), manner=Manner(own_heads=share))

    several, one = made(), made(corpora="a")
    assert np.abs(head(several, "plain", 0.5).weight - head(several, "plain", 0.0).weight).max() > 0.01
    for table, level in ((several, "collection"), (several, "speaker"), (one, "plain")):
        np.testing.assert_array_equal(head(table, level, 0.5).weight, head(table, level, 0.0).weight)
    # a corpus that lacks an emotion says nothing of it: the other corpora's heads still do
    lacks = several.part((several.corpora != "b") | (several.targets != 2))
    assert shared_accuracies(lacks, head(lacks, "plain", 1.0).logits(lacks.standard().apply(lacks.vectors)))["a"] > 0.4


def test_emphasis_is_a_head_of_stretched_vectors_and_for_adapted_ones() -> None:
    table = made()

    def head(level: Level, power: float) -> Linear:
        return fit_head(table, level=level, strength=0.01, shrinkage=Shrinkage(), manner=Manner(emphasis=power))

    np.testing.assert_array_equal(head("plain", 0.5).weight, head("plain", 0.0).weight)
    values = at_level(
        table.standard().apply(table.vectors), table.corpora, table.speakers, level="collection", shrinkage=Shrinkage()
    )
    plain, stretched = head("collection", 0.0), head("collection", 1.0)
    principal_axis = np.linalg.svd(values, full_matrices=False)[2]
    share = [np.square(h.weight @ principal_axis[1]).sum() / np.square(h.weight).sum() for h in (plain, stretched)]
    assert share[1] < share[0]  # less along the lesser direction
