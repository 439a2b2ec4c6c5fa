"""What each protocol promises: who tests, who validates, and what it refuses."""

import inspect
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_utterances import (
    EMOTIONS,
    corpora,
    corpus,
    digest,
    generated,
    iemocap_like,
    quietly,
    spread,
    wanted,
    whole,
    whole_corpora,
)
from serotone.corpora.base import Utterance
from serotone.errors import SerotoneWarning, SplitError
from serotone.splits import PROTOCOLS, Split, leak_report, make_splits, resolve

EMODB = {"angry": 127, "bored": 81, "disgusted": 46, "fearful": 69, "happy": 71, "sad": 62, "neutral": 79}
GIVEN = {
    "folds": 4,
    "speakers_out": 2,
    "validation_speakers": 1,
    "validation_share": 0.1,
    "validation_sentences": 1,
    "test_share": 0.3,
    "test_corpora": ("other",),
}

# Digests of the folds of `whole()`: a published result names its seed, so these must never change.
FROZEN = [
    ("session-out", {}, "99d6af987bf19967"),
    ("speaker-independent", {}, "99d6af987bf19967"),
    ("sentence-out", {"folds": 3, "seed": 7}, "534c1f4729279a9c"),
    ("cross-corpus", {"test_corpora": ("other",), "seed": 7, "validation_speakers": 2}, "4b379cf3e128429e"),
    ("stratified-holdout", {"seed": 7, "repetition": 2}, "da4b902dcb780b44"),
    ("stratified-holdout", {"seed": 7, "validation_share": 0.25}, "80f30eb21860f994"),
]


def counted(emotions: dict[str, int]) -> list[Utterance]:
    return [
        Utterance(id=f"{emotion}{n}", path=Path("x.wav"), emotion=emotion, speaker=f"s{n % 5}", corpus="made")
        for emotion, count in emotions.items()
        for n in range(count)
    ]


def speakers(number: int, home: str, utterances: int = 2) -> list[Utterance]:
    """A corpus of so many speakers."""
    return [
        replace(u, id=f"{home}/{u.id}", speaker=f"{home}/{u.speaker}", corpus=home)
        for u in corpus(number, utterances, ("happy", "sad"))
    ]


def values(split: Split, utterances: Iterable[Utterance], attribute: str) -> list[set[str]]:
    """The speakers (or another attribute) of the train, validation and test parts."""
    of = {u.id: getattr(u, attribute) for u in utterances}
    return [{of[name] for name in part} for part in (split.train, split.validation, split.test)]


@pytest.mark.parametrize(("protocol", "options", "frozen"), FROZEN)
def test_the_dealing_of_today_is_the_dealing_of_tomorrow(protocol, options, frozen):
    assert digest(make_splits(whole(), protocol, **options)) == frozen


# Options


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_option_is_taken_or_refused_as_the_protocol_says(protocol):
    assert PROTOCOLS[protocol].options <= GIVEN.keys() <= inspect.signature(make_splits).parameters.keys()
    for name, value in GIVEN.items():
        if name not in PROTOCOLS[protocol].options:
            with pytest.raises(SplitError, match=f"^{protocol}: {name} is .*, which only these .*; leave it out"):
                make_splits(whole(), protocol, **{name: value})
        elif name != "folds":  # its number may be the protocol's own affair
            beside = {} if (protocol, name) == ("speakers-out", "speakers_out") else wanted(protocol)
            assert make_splits(whole(), protocol, **{**beside, name: value})


@pytest.mark.parametrize(
    ("protocol", "folds"),
    [
        ("leave-one-speaker-out", 6),
        ("session-out", 6),
        ("leave-one-corpus-out", 2),
        ("cross-corpus", 1),
        ("stratified-holdout", 1),
        ("ten-part", 5),
        ("all", 1),
    ],
)
def test_a_protocol_that_knows_its_number_of_folds_refuses_another(protocol, folds):
    options = wanted(protocol)
    assert make_splits(whole(), protocol, **options, folds=folds) == make_splits(whole(), protocol, **options)
    with pytest.raises(SplitError, match=f"folds is {folds + 1}, but .* always makes {folds}"):
        make_splits(whole(), protocol, **options, folds=folds + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_keeps_apart_what_it_says(protocol):
    splits = make_splits(whole(), protocol, seed=1, **wanted(protocol))
    reports = [leak_report(split, whole()) for split in splits if split.test]
    if PROTOCOLS[protocol].speaker_independent:
        assert all(r.speaker_independent and not r.validation_speakers_in_train for r in reports)
    else:
        assert all(report.shared_speakers for report in reports)
    if PROTOCOLS[protocol].sentence_independent:
        assert all(r.sentence_independent and not r.validation_sentences_in_train for r in reports)


# session-out


def test_of_each_session_one_speaker_tests_and_the_other_validates_both_ways():
    utterances = iemocap_like()
    splits = make_splits(utterances, "session-out")
    everyone = {u.speaker for u in utterances}
    seen = [values(split, utterances, "speaker") for split in splits]
    for session in range(5):
        woman, man = {f"Ses0{session + 1}F"}, {f"Ses0{session + 1}M"}
        assert seen[2 * session] == [everyone - woman - man, man, woman]
        assert seen[2 * session + 1] == [everyone - woman - man, woman, man]
    assert len(splits) == 10


@generated
@given(utterances=whole_corpora(), seed=st.integers(0, 99), repetition=st.integers(0, 9))
def test_every_speaker_tests_once_and_validates_once(utterances, seed, repetition):
    splits = quietly(utterances, "session-out", seed=seed, repetition=repetition)
    parts = [values(split, utterances, "speaker") for split in splits]
    everyone = sorted({u.speaker for u in utterances})
    assert sorted(s for _, _, test in parts for s in test) == everyone
    assert sorted(s for _, validation, _ in parts for s in validation) == everyone
    for split in splits:
        train, validation, test = values(split, utterances, "session")
        assert validation == test
        assert not train & test
    drawn = quietly(utterances, "session-out")
    assert [replace(split, repetition=0) for split in splits] == drawn  # nothing is drawn


def test_the_same_session_number_in_two_corpora_is_two_sessions():
    other = [replace(u, id=f"o/{u.id}", speaker=f"o/{u.speaker}", corpus="other") for u in iemocap_like(2)]
    both = iemocap_like(2) + other
    splits = make_splits(both, "session-out")
    pairs = [(min(validation), min(test)) for _, validation, test in (values(s, both, "speaker") for s in splits)]
    one_way = [("Ses01M", "Ses01F"), ("Ses02M", "Ses02F"), ("o/Ses01M", "o/Ses01F"), ("o/Ses02M", "o/Ses02F")]
    assert sorted(pairs) == sorted(one_way + [(test, validation) for validation, test in one_way])
    assert len(splits) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda u: replace(u, session=None), "utterances without a session: Ses01F_.*choose leave-one-speaker-out"),
        (lambda u: replace(u, session="1"), "session 1 of made has 10 speakers .Ses01F, Ses01M, Ses02F and 7 more."),
        (lambda u: replace(u, session=u.speaker), "session Ses01F of made has 1 speaker .Ses01F.; it needs two"),
        (lambda u: replace(u, session=f"{u.session}{u.style}"), "speakers in more than one session: Ses01F, Ses01M"),
        (lambda u: replace(u, session="1", speaker=u.gender), "sessions given: 1; it needs two"),
        (lambda u: replace(u, speaker=""), "utterances without a speaker"),
    ],
)
def test_sessions_that_are_not_of_two_speakers_are_refused(change, message):
    with pytest.raises(SplitError, match=message):
        make_splits(map(change, iemocap_like()), "session-out")


# speaker-independent


ONE_TURN_WITHOUT_SESSION = [replace(u, session=None) if u.id.endswith("ang0") else u for u in iemocap_like()]
ONE_SPEAKER_SHORT = [u for u in iemocap_like() if u.speaker != "Ses03M"]


@pytest.mark.parametrize(
    ("utterances", "expected", "folds"),
    [
        (iemocap_like(), "session-out", 10),
        (iemocap_like(8), "session-out", 16),
        (ONE_TURN_WITHOUT_SESSION, "leave-one-speaker-out", 10),
        (ONE_SPEAKER_SHORT, "leave-one-speaker-out", 9),
        (corpus(3, 1), "leave-one-speaker-out", 3),
        (corpus(12, 1), "leave-one-speaker-out", 12),
        (corpus(13, 1), "speakers-out", 5),
        (corpus(24, 1), "speakers-out", 5),
    ],
)
def test_the_rule_of_speaker_independent(utterances, expected, folds):
    assert resolve("speaker-independent", utterances) == expected
    options = {"folds": 5} if expected == "speakers-out" else {}
    for seed in (0, 4):
        splits = make_splits(utterances, "speaker-independent", seed=seed)
        assert splits == make_splits(utterances, expected, seed=seed, **options)
        assert len(splits) == folds


def test_the_rule_does_not_count_who_only_trains():
    aside = speakers(1, "voices")
    names = [u.id for u in aside]
    assert resolve("speaker-independent", iemocap_like() + aside) == "leave-one-speaker-out"
    assert resolve("speaker-independent", iemocap_like() + aside, training_only=names) == "session-out"
    splits = make_splits(iemocap_like() + aside, "speaker-independent", training_only=names)
    assert len(splits) == 10
    assert all(set(names) < set(split.train) for split in splits)


def test_other_names_stand_for_themselves():
    for name in PROTOCOLS:
        assert (resolve(name, corpus()) == name) == (name != "speaker-independent")
    with pytest.raises(SplitError, match="unknown protocol 'strict'; choose one of: leave-one"):
        resolve("strict", corpus())
    with pytest.raises(SplitError, match="without a speaker"):
        resolve("speaker-independent", [replace(u, speaker="") for u in corpus()])


# stratified-holdout


def test_a_fifth_of_emodb_is_tested():
    """By hand: fifths are 25.4, 16.2, 9.2, 13.8, 14.2, 12.4, 15.8; 107 in all, the largest remainders rounded up."""
    utterances = counted(EMODB)
    emotion = {u.id: u.emotion for u in utterances}
    (split,) = make_splits(utterances, "stratified-holdout")
    assert (split.fold, split.validation, len(split.train), len(split.test)) == (0, (), 428, 107)
    tested = Counter(emotion[name] for name in split.test)
    angry = tested.pop("angry")
    sad = tested.pop("sad")
    assert tested == {"bored": 16, "disgusted": 9, "fearful": 14, "happy": 14, "neutral": 16}
    assert (angry, sad) in {(26, 12), (25, 13)}


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@generated
@given(utterances=corpora(), seed=st.integers(0, 99), validation=st.sampled_from([0.0, 0.25]))
def test_the_holdout_is_stratified_to_within_one(share, utterances, seed, validation):
    emotion = {u.id: u.emotion for u in utterances}
    options = {"test_share": share, "validation_share": validation}
    (split,) = quietly(utterances, "stratified-holdout", seed=seed, **options)
    there, tested, validated = (
        Counter(emotion[name] for name in part) for part in (emotion, split.test, split.validation)
    )
    for kind, count in there.items():
        assert abs(tested[kind] - share * count) <= 1
        assert abs(validated[kind] - validation * (count - tested[kind])) <= 1
        assert tested[kind] + validated[kind] < count  # something is left to train on


def test_repetitions_of_the_holdout_draw_everybody_about_equally_often():
    """Of 400 draws of a fifth each utterance is in 80 on average, and within five standard deviations of 8."""
    utterances = counted({"happy": 20, "sad": 30})
    draws = [make_splits(utterances, "stratified-holdout", repetition=r)[0] for r in range(400)]
    times = Counter(name for split in draws for name in split.test)
    assert set(times) == {u.id for u in utterances}
    assert all(40 < count < 120 for count in times.values())


def test_an_emotion_that_the_holdout_does_not_test_is_warned_of():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_splits(counted({"happy": 20, "sad": 20, "calm": 1, "bored": 1}), "stratified-holdout")
    assert [str(w.message) for w in caught] == ["stratified-holdout: no test utterance of bored (1), calm (1)"]
    assert [(w.category, Path(w.filename).name) for w in caught] == [(SerotoneWarning, Path(__file__).name)]


def test_a_turn_that_rare_emotions_cannot_give_is_taken_from_another():
    """Half of 8 + 1 + 1 is five; the single ones train."""
    utterances = counted({"angry": 8, "happy": 1, "sad": 1})
    (split,) = quietly(utterances, "stratified-holdout", test_share=0.5)
    assert [name[:5] for name in split.test] == ["angry"] * 5


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_test_share_leaves_something_on_both_sides(share):
    with pytest.raises(SplitError, match=r"test_share is .*; it must be more than 0 and less than 1"):
        make_splits(corpus(), "stratified-holdout", test_share=share)


def test_nothing_to_test_is_refused():
    with pytest.raises(SplitError, match=r"0.2 of 3 utterances leaves none to test"):
        make_splits(counted(dict.fromkeys(("happy", "sad", "calm"), 1)), "stratified-holdout")


# stratified-k-fold and ten-part, on the shape of the publications' corpus


@pytest.mark.parametrize(("share", "sizes"), [(0.3125, (0.55, 0.25, 0.2)), (0.0, (0.8, 0.0, 0.2))])
def test_five_disjoint_fifths_with_and_without_validation(share, sizes):
    utterances = iemocap_like()
    splits = make_splits(utterances, "stratified-k-fold", folds=5, validation_share=share, seed=2)
    assert sorted(name for split in splits for name in split.test) == sorted(u.id for u in utterances)
    emotion = {u.id: u.emotion for u in utterances}
    for split in splits:
        for part, size in zip((split.train, split.validation, split.test), sizes, strict=True):
            assert abs(len(part) - size * len(utterances)) < 1.5
            for kind in set(emotion.values()):
                held = sum(emotion[name] == kind for name in part)
                assert abs(held - size * sum(e == kind for e in emotion.values())) < 2


def test_ten_parts_are_dealt_within_session_style_gender_and_emotion():
    utterances = [  # eleven in each cell: one in each part, and one more in some
        replace(u, id=f"{u.id[:-1]}-{n}") for u in iemocap_like() if u.id.endswith("0") for n in range(11)
    ]
    cell = {u.id: (u.session, u.style, u.gender, u.emotion) for u in utterances}
    assert len(set(cell.values())) == 5 * 2 * 2 * 5
    splits = make_splits(utterances, "ten-part", seed=5)
    parts = [part for split in splits for part in (split.validation, split.test)]
    for part in parts:
        held = Counter(cell[name] for name in part)
        assert set(held) == set(cell.values())
        assert set(held.values()) <= {1, 2}
        assert len(part) == 110
    assert spread(parts, {u.id: u.emotion for u in utterances}) <= 1


# sentence-out


@pytest.mark.parametrize("validators", [0, 1, 2])
@generated
@given(utterances=whole_corpora(), folds=st.integers(2, 5), seed=st.integers(0, 99))
def test_no_sentence_is_in_two_parts_and_each_tests_once(validators, utterances, folds, seed):
    spoken = [replace(u, sentence=f"{u.corpus}/{u.sentence}") for u in utterances]
    every = {u.sentence for u in spoken}
    count = len(every)
    largest = -(-count // folds)
    if folds > count or count < largest + validators + 1:
        with pytest.raises(SplitError, match=f"{count} sentences"):
            quietly(utterances, "sentence-out", folds=folds, validation_sentences=validators)
        return
    splits = quietly(utterances, "sentence-out", folds=folds, validation_sentences=validators, seed=seed)
    tested = []
    for split in splits:
        train, validation, test = values(split, spoken, "sentence")
        assert len(train) + len(validation) + len(test) == count
        assert len(validation) == validators
        assert largest - 1 <= len(test) <= largest
        tested += sorted(test)
    assert sorted(tested) == sorted(every)
    assert len(splits) == folds


def test_one_sentence_validates_unless_told_otherwise_in_five_folds():
    utterances = corpus(3, 10)
    splits = make_splits(utterances, "sentence-out")
    assert [[len(part) for part in values(split, utterances, "sentence")] for split in splits] == [[7, 1, 2]] * 5


def test_sentences_of_one_emotion_are_spread_over_the_folds():
    """Four emotions with five sentences of their own: each fold tests one of each."""
    utterances = [replace(u, sentence=f"{u.emotion}{u.sentence}") for u in corpus(2, 5)]
    emotion = {u.id: u.emotion for u in utterances}
    for seed in range(5):
        for split in make_splits(utterances, "sentence-out", seed=seed):
            assert Counter(emotion[name] for name in split.test) == dict.fromkeys(EMOTIONS, 2)


def test_the_same_number_in_two_corpora_may_stand_in_two_parts():
    both = [*speakers(2, "one", 3), *speakers(2, "two", 3)]
    splits = make_splits(both, "sentence-out", folds=6, seed=1)
    assert all(len({(u.corpus, u.sentence) for u in both if u.id in split.test}) == 1 for split in splits)


def test_training_only_utterances_bring_sentences_of_their_own():
    own = [replace(u, id=f"x/{u.id}", sentence=f"x{u.sentence}") for u in corpus(1)]
    names = [u.id for u in own]
    assert len(make_splits(corpus() + own, "sentence-out", training_only=names)) == 5
    with pytest.raises(SplitError, match=r"sentences in more than one part: made/t\d"):
        make_splits(corpus() + [replace(u, sentence=u.sentence[1:]) for u in own], "sentence-out", training_only=names)
    with pytest.raises(SplitError, match="utterances without a sentence: x/s00a0"):
        make_splits(corpus() + [replace(u, sentence=None) for u in own], "sentence-out", training_only=names)


@pytest.mark.parametrize(
    ("utterances", "options", "message"),
    [
        (iemocap_like(), {}, "utterances without a sentence: Ses01F_.*choose leave-one-speaker-out"),
        (corpus(2, 2), {}, "5 folds of 2 sentences; give 2 folds or more"),
        (corpus(2, 2), {"folds": 1}, "1 folds of 2 sentences"),
        (corpus(2, 2), {"folds": 2}, "2 sentences given, at least 3 needed.*or lower validation_sentences"),
        (corpus(2, 5), {"validation_sentences": -1}, "validation_sentences is -1; it must be 0 or more"),
    ],
)
def test_sentences_that_cannot_be_held_out_are_refused(utterances, options, message):
    with pytest.raises(SplitError, match=message):
        make_splits(utterances, "sentence-out", **options)


# leave-one-corpus-out


def test_each_corpus_is_tested_once_by_what_the_others_taught():
    utterances = [*speakers(1, "b"), *speakers(3, "c"), *speakers(2, "a")]
    splits = make_splits(utterances, "leave-one-corpus-out", seed=5)
    assert [values(split, utterances, "corpus") for split in splits] == [
        [{"b", "c"}, set(), {"a"}],
        [{"a", "c"}, set(), {"b"}],
        [{"a", "b"}, set(), {"c"}],
    ]
    assert splits == make_splits(utterances, "leave-one-corpus-out", seed=6)  # nothing is drawn


@pytest.mark.parametrize(
    ("utterances", "message"),
    [
        (speakers(3, "a"), "one corpus given, a; it needs at least two"),
        (
            [replace(u, speaker=u.speaker[2:]) for u in [*speakers(3, "a"), *speakers(2, "b")]],
            "speakers of more than one corpus: s00, s01; prefix",
        ),
    ],
)
def test_corpora_that_cannot_be_left_out_are_refused(utterances, message):
    with pytest.raises(SplitError, match=message):
        make_splits(utterances, "leave-one-corpus-out")


# cross-corpus


def test_train_on_two_corpora_and_test_on_the_third():
    utterances = [*speakers(4, "a"), *speakers(3, "b"), *speakers(2, "c")]
    (split,) = make_splits(utterances, "cross-corpus", test_corpora=["c"])
    train, validation, test = values(split, utterances, "corpus")
    assert (train, validation, test) == ({"a", "b"}, {"a"}, {"c"})
    train, validation, test = values(split, utterances, "speaker")
    assert (len(train), len(validation), len(test)) == (6, 1, 2)
    (split,) = make_splits(utterances, "cross-corpus", test_corpora={"c", "a"}, validation_speakers=0)
    assert values(split, utterances, "corpus") == [{"b"}, set(), {"a", "c"}]


@pytest.mark.parametrize(
    ("options", "of_24", "of_10"),
    [  # by hand, from the order of (i + .5) / 24 and (i + .5) / 10
        ({"validation_speakers": 1}, 1, 0),
        ({"validation_speakers": 2}, 1, 1),
        ({"validation_speakers": 7}, 5, 2),
        ({"validation_share": 0.2}, 5, 2),
        ({"validation_share": 0.001}, 1, 0),
        ({"validation_speakers": 32}, 23, 9),
        ({"validation_share": 0.999}, 23, 9),
    ],
)
def test_training_corpora_give_validation_speakers_in_proportion(options, of_24, of_10):
    utterances = [*speakers(24, "a", 1), *speakers(10, "b", 1), *speakers(2, "c", 1)]
    for seed in range(4):
        (split,) = make_splits(utterances, "cross-corpus", test_corpora=("c",), seed=seed, **options)
        home = Counter(name.split("/")[0] for name in values(split, utterances, "speaker")[1])
        assert home == Counter(a=of_24, b=of_10)


def test_repetitions_let_others_validate_and_change_nobody_that_tests():
    utterances = [*speakers(5, "a"), *speakers(2, "b")]
    splits = [make_splits(utterances, "cross-corpus", test_corpora=["b"], repetition=r)[0] for r in range(40)]
    assert set().union(*(values(split, utterances, "speaker")[1] for split in splits)) == {f"a/s0{s}" for s in range(5)}
    assert len({split.test for split in splits}) == 1
    seeds = [make_splits(utterances, "cross-corpus", test_corpora=["b"], seed=seed)[0] for seed in range(40)]
    assert len({split.validation for split in seeds}) == 5


AB = [*speakers(3, "a"), *speakers(2, "b")]


@pytest.mark.parametrize(
    ("utterances", "options", "message"),
    [
        (AB, {}, "test_corpora: none; the corpora given are a, b"),
        (AB, {"test_corpora": ()}, "test_corpora: none"),
        (AB, {"test_corpora": ("c",)}, "test_corpora: c; the corpora given are a, b: name some of them"),
        (AB, {"test_corpora": ("a", "b")}, "leave some to train on"),
        (AB, {"test_corpora": "b"}, "test_corpora is the string 'b'; give a collection"),
        (AB, {"test_corpora": ["b"], "validation_speakers": 1, "validation_share": 0.1}, "give one of them"),
        (
            AB,
            {"test_corpora": ["b"], "validation_speakers": 3},
            "3 of 3 speakers are to validate; .*so 2 can",
        ),
        (AB, {"test_corpora": ["b"], "validation_share": 1.0}, r"must be at least 0 and less than 1"),
        (speakers(1, "a") + speakers(1, "b"), {"test_corpora": ["b"]}, "1 of 1 speakers are to validate"),
        (speakers(1, "a") + speakers(1, "b"), {"test_corpora": ["b"], "validation_share": 0.5}, "so 0 can"),
        (
            AB,
            {"test_corpora": ["b"], "training_only": ["b/s00h0"]},
            "are for training only, and their corpus",
        ),
        (
            [replace(u, speaker=u.speaker[2:]) for u in AB],
            {"test_corpora": ["b"]},
            "speakers of both training and test corpora: s00, s01; prefix",
        ),
    ],
)
def test_corpora_that_cannot_be_crossed_are_refused(utterances, options, message):
    with pytest.raises(SplitError, match=message):
        make_splits(utterances, "cross-corpus", **options)
