"""Heads for strangers on hand-made corpora: what each level takes out, and what is chosen on corpora held out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.errors import RunError
from serotone.metrics import expected_calibration_error
from serotone.recognition.profile import Profile, Statistics
from serotone.training.convex import Linear, balance
from serotone.training.held_out import doubt, fit_levels, held_out_groups, held_out_logits, shared_accuracies
from serotone.training.strangers import UNTRAINED, Level, Manner, Shrinkage, Table, at_level, fit_head, mean_head, mixed

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


def uneven(rooms: float = 1.0) -> Table:
    """Corpus a has twice as many angry clips as others, corpus b no sad ones."""
    table = made(rooms=rooms, corpora="ab", per_cell=6)
    kept = (table.targets != 2) | (table.corpora == "a")
    kept &= (table.corpora == "b") | (table.targets == 0) | (np.arange(len(table.targets)) % 2 == 0)
    return table.part(kept)


def test_every_corpus_and_emotion_counts_alike_in_what_vectors_are_standardised_by() -> None:
    table = uneven()
    cells = [table.vectors[(table.corpora == c) & (table.targets == t)] for c, t in [("a", 0), ("a", 1), ("a", 2)]]
    others = [table.vectors[(table.corpora == "b") & (table.targets == t)] for t in (0, 1)]
    groups = [*((cell, 1 / 6) for cell in cells), *((cell, 1 / 4) for cell in others)]
    assert len({len(cell) for cell, _ in groups}) > 1
    mean = sum(share * cell.mean(axis=0) for cell, share in groups)
    variance = sum(share * ((cell - mean) ** 2).mean(axis=0) for cell, share in groups)
    np.testing.assert_allclose(table.standard().mean, mean)
    np.testing.assert_allclose(table.standard().sd, np.sqrt(variance))


@pytest.mark.parametrize("level", ["plain", "collection", "speaker"])
def test_at_its_minimum_a_head_expects_each_emotion_as_often_as_its_balanced_clips_have_it(level: Level) -> None:
    """Biases are not penalised. Of an emotion that a corpus lacks, its clips say nothing."""
    table = uneven()
    shrinkage = Shrinkage()
    values = at_level(
        table.standard().apply(table.vectors), table.corpora, table.speakers, level=level, shrinkage=shrinkage
    )
    logits = fit_head(table, level=level, strength=0.3, shrinkage=shrinkage).logits(values)
    weights = balance(table.corpora.tolist(), table.targets)
    a, b = table.corpora == "a", table.corpora == "b"
    chances = np.concatenate([softmax(logits[a], axis=1), np.pad(softmax(logits[b][:, :2], axis=1), ((0, 0), (0, 1)))])
    weights = np.concatenate([weights[a], weights[b]])
    expected = [1 / 6 + 1 / 4, 1 / 6 + 1 / 4, 1 / 6]
    np.testing.assert_allclose(weights @ chances / weights.sum(), expected, atol=1e-5)


@pytest.mark.parametrize("level", ["plain", "collection", "speaker"])
@pytest.mark.parametrize("corpora", ["abc", "a"])
def test_what_is_held_out_is_scored_by_a_head_and_a_standard_of_the_others(level: Level, corpora: str) -> None:
    """Its own corpus and speakers are whole all the same: their statistics need no labels."""
    table, shrinkage = made(rooms=2.0, voices=1.0, corpora=corpora, per_cell=4), Shrinkage()
    groups = held_out_groups(table.corpora, table.speakers)
    found = held_out_logits(table, groups, level=level, strengths=[0.3], shrinkage=shrinkage)[0.3]
    for group in np.unique(groups):
        others = table.part(groups != group)
        head = fit_head(others, level=level, strength=0.3, shrinkage=shrinkage)
        values = others.standard().apply(table.vectors)
        values = at_level(values, table.corpora, table.speakers, level=level, shrinkage=shrinkage)
        own = groups == group
        np.testing.assert_allclose(found[own], head.logits(values[own]), atol=1e-6)


def test_the_threshold_is_chosen_at_the_temperature_and_every_corpus_and_emotion_counts_alike() -> None:
    table, shrinkage = uneven(rooms=2.0), Shrinkage()
    found = fit_levels(table, strengths=[0.03], shrinkage=shrinkage, temperature_factor=1.5)
    alone = fit_levels(table, strengths=[0.03], shrinkage=shrinkage)
    for level, of in found.items():
        assert of.calibration.temperature == pytest.approx(1.5 * alone[level].calibration.temperature)
        scores = held_out_logits(table, table.corpora, level=level, strengths=[0.03], shrinkage=shrinkage)[0.03]
        chances = softmax(scores / of.calibration.temperature, axis=1)
        weights = balance(table.corpora.tolist(), table.targets)
        expected = doubt(chances.max(axis=1), chances.argmax(axis=1) == table.targets, weights)
        assert 0 < of.doubt.threshold == expected.threshold
        np.testing.assert_allclose(of.doubt[1:4], expected[1:4])
        np.testing.assert_allclose(of.doubt.curve, expected.curve)
        # a's sad clips were scored by a head that knows no sadness: they can fit no temperature
        assert of.calibration.clips == len(table.targets) - (table.targets == 2).sum()


def test_clips_that_count_more_count_more_in_every_figure_of_doubt() -> None:
    confidence, right = np.array([0.95, 0.75, 0.55, 0.35]), np.array([True, False, True, False])
    found = doubt(confidence, right, np.array([6.0, 2.0, 1.0, 6.0]))
    # at .76: 6/7 of the right and none of the wrong; at .36: all of the right and 2/8 of the wrong
    assert found.threshold == pytest.approx(0.76)
    assert (found.coverage, found.certain, found.uncertain) == pytest.approx((6 / 15, 1.0, 1 / 9))
    # the surest clips make up 6, 8, 9 and 15 fifteenths
    assert found.curve == pytest.approx((*[0] * 4, 2 / 8, 2 / 9, *[8 / 15] * 4))


def test_own_heads_of_corpora_that_are_alike_are_the_head_of_all() -> None:
    one = made(corpora="a")
    names = np.repeat(["a", "b", "c"], len(one.targets))
    alike = Table(LABELS, np.tile(one.vectors, (3, 1)), np.tile(one.targets, 3), names, np.tile(one.speakers, 3))
    heads = [
        fit_head(alike, level="plain", strength=0.003, shrinkage=Shrinkage(), manner=Manner(own_heads=share))
        for share in (0.0, 1.0)
    ]
    np.testing.assert_allclose(heads[1].weight, heads[0].weight, atol=1e-4)
    np.testing.assert_allclose(heads[1].bias, heads[0].bias, atol=1e-4)


def test_a_mixture_scores_as_both_heads_do_once_the_second_spreads_as_the_first() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((50, 4))
    first, second = (Linear(k * generator.standard_normal((3, 4)), generator.standard_normal(3)) for k in (1, 5))
    one, other = (head.logits(vectors) for head in (first, second))
    ratio = np.std(one - one.mean(1, keepdims=True)) / np.std(other - other.mean(1, keepdims=True))
    np.testing.assert_allclose(mixed(first, second, vectors, 0.25).logits(vectors), 0.75 * one + 0.25 * ratio * other)
