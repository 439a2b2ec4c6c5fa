"""Splits: nothing lost, nothing shared that should not be, the same for everybody."""

import json
import os
import random
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_utterances import (
    corpora,
    corpora_for,
    corpus,
    digest,
    generated,
    iemocap_like,
    quietly,
    spread,
    wanted,
    whole,
)
from serotone.corpora.base import Utterance
from serotone.errors import SerotoneWarning, SplitError
from serotone.splits import PROTOCOLS, Split, leak_report, make_splits, verify_split

BY_SPEAKER = ("leave-one-speaker-out", "speakers-out")
MIXED = ("stratified-k-fold", "stratified-holdout", "ten-part")
TEST_EVERYTHING = (
    *BY_SPEAKER,
    "session-out",
    "speaker-independent",
    "sentence-out",
    "stratified-k-fold",
    "leave-one-corpus-out",
)
FROZEN_SPEAKERS = [("s02", "s00"), ("s00", "s01"), ("s01", "s02")]  # validation, test
FROZEN_PARTS = [("s00h6", "s00s3", "s01h3", "s01s3"), ("s00h9", "s00s1", "s01h8", "s01s2")]

# Digests of the folds of `iemocap_like()` and of EmoDB, taken when results were first published.
FROZEN = [
    ("leave-one-speaker-out", {}, "393fb41c7c156d6c", "17b937fd2b7020a4"),
    (
        "leave-one-speaker-out",
        {"seed": 7, "repetition": 2, "validation_speakers": 2},
        "452e6b438d4191d7",
        "a0b1ac5a518d3323",
    ),
    ("leave-one-speaker-out", {"seed": 1, "validation_speakers": 0}, "e7afd96155084ccb", "486d646370873239"),
    ("speakers-out", {"folds": 3}, "208aee4d5c6c74e8", "de8624a2ba0272ce"),
    (
        "speakers-out",
        {"seed": 5, "repetition": 1, "speakers_out": 3, "validation_speakers": 2},
        "f2a1ac25a20206ca",
        "60be4915b84ed724",
    ),
    ("stratified-k-fold", {}, "65a0aa5104cc3b00", "8caa9a53055994e1"),
    ("stratified-k-fold", {"seed": 3, "folds": 5, "validation_share": 0.3125}, "9a8e5e4447a7b430", "8de2b67dc6965dd4"),
    (
        "stratified-k-fold",
        {"seed": 3, "repetition": 4, "folds": 10, "validation_share": 0.0},
        "7ed6666da1ddb49f",
        "190e7158b62c748a",
    ),
    ("ten-part", {}, "ef7431ceb7bc0a5c", "af84f622c6e3827f"),
    ("ten-part", {"seed": 7, "repetition": 3}, "893b0bf7dbf0df86", "5d92c8f68b5b3c75"),
    ("all", {}, "82fd62cf5d39eb5c", "3fde45912f5af040"),
]


# Every protocol


@pytest.mark.parametrize("protocol", PROTOCOLS)
@generated
@given(data=st.data(), seed=st.integers(0, 2**40), repetition=st.integers(0, 9))
def test_parts_are_disjoint_and_nothing_is_lost(protocol, data, seed, repetition):
    utterances = data.draw(corpora_for(protocol))
    ids = sorted(u.id for u in utterances)
    splits = quietly(utterances, protocol, seed=seed, repetition=repetition, **wanted(protocol))
    assert [split.fold for split in splits] == list(range(len(splits)))
    for split in splits:
        assert split.repetition == repetition
        assert sorted([*split.train, *split.validation, *split.test]) == ids
        assert split.train
    tested = [name for split in splits for name in split.test]
    assert len(tested) == len(set(tested))
    if protocol in TEST_EVERYTHING:
        assert sorted(tested) == ids
    assert bool(tested) == (protocol != "all")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@generated
@given(data=st.data(), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_utterances_does_not_matter(protocol, data, shuffle):
    utterances = data.draw(corpora_for(protocol))
    mixed = list(utterances)
    shuffle.shuffle(mixed)
    assert quietly(mixed, protocol, **wanted(protocol)) == quietly(iter(utterances), protocol, **wanted(protocol))


@pytest.mark.parametrize("protocol", [*BY_SPEAKER, *MIXED, "sentence-out"])
def test_seed_and_repetition_deal_anew(protocol):
    dealings = [
        make_splits(corpus(), protocol, seed=seed, repetition=repetition, **wanted(protocol))
        for seed in (0, 1)
        for repetition in (0, 1)
    ]
    held_out = {tuple((split.validation, split.test) for split in splits) for splits in dealings}
    assert len(held_out) == 4
    assert dealings[0] == make_splits(corpus(), protocol, **wanted(protocol))


def test_the_hash_seed_of_the_process_does_not_matter():
    code = (
        "import json; from made_utterances import make_splits, wanted, whole; from serotone.splits import PROTOCOLS\n"
        "for protocol in PROTOCOLS:\n"
        "    splits = make_splits(whole(), protocol, seed=3, **wanted(protocol))\n"
        "    print(json.dumps([split.to_dict() for split in splits]))"
    )
    expected = [[s.to_dict() for s in make_splits(whole(), name, seed=3, **wanted(name))] for name in PROTOCOLS]
    for hash_seed in ("0", "1", "4242"):
        search = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": search}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert [json.loads(line) for line in run.stdout.splitlines()] == expected


def test_the_dealing_of_today_is_the_dealing_of_tomorrow():
    """A published result names its seed: these parts must never change."""
    first = make_splits(corpus(3, 2, ("happy", "sad")), "leave-one-speaker-out", seed=7)
    assert [(s.validation[0][:3], s.test[0][:3]) for s in first] == FROZEN_SPEAKERS
    ten = make_splits(corpus(2, 10, ("happy", "sad")), "ten-part", seed=7)
    assert [ten[0].validation, ten[0].test] == FROZEN_PARTS


@pytest.mark.parametrize(("protocol", "options", "frozen"), [row[:3] for row in FROZEN])
def test_no_published_split_has_changed_by_a_single_id(protocol, options, frozen):
    assert digest(quietly(iemocap_like(), protocol, **options)) == frozen


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_training_only_utterances_train_in_every_fold_and_change_nothing_else(protocol):
    aside = [replace(u, id=f"x/{u.id}", speaker=f"x/{u.speaker}", corpus="x", sentence=None) for u in corpus(2)]
    names = {u.id for u in aside}
    without = make_splits(whole(), protocol, seed=2, **wanted(protocol))
    joined = make_splits(aside + whole(), protocol, seed=2, training_only=names, **wanted(protocol))
    for plain, split in zip(without, joined, strict=True):
        assert (split.validation, split.test) == (plain.validation, plain.test)
        assert set(split.train) == names | set(plain.train)


# Speaker-independent protocols


@pytest.mark.parametrize("protocol", BY_SPEAKER)
@generated
@given(utterances=corpora(), seed=st.integers(0, 99))
def test_no_speaker_is_in_two_parts(protocol, utterances, seed):
    speaker = {u.id: u.speaker for u in utterances}
    for split in quietly(utterances, protocol, seed=seed, **wanted(protocol)):
        train, validation, test = ({speaker[n] for n in part} for part in (split.train, split.validation, split.test))
        assert len(validation) == 1
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert leak_report(split, utterances).speaker_independent


@pytest.mark.parametrize("validators", [1, 2, 3])
def test_leaving_one_out_tests_and_validates_each_speaker_equally_often(validators):
    utterances = corpus(7, 2)
    speaker = {u.id: u.speaker for u in utterances}
    splits = make_splits(utterances, "leave-one-speaker-out", validation_speakers=validators, seed=1)
    tested = [{speaker[name] for name in split.test} for split in splits]
    assert tested == [{f"s{s:02}"} for s in range(7)]
    times = Counter(s for split in splits for s in {speaker[name] for name in split.validation})
    assert times == {f"s{s:02}": validators for s in range(7)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_where_nothing_is_selected_the_validation_part_trains(protocol):
    asked = quietly(whole(), protocol, **wanted(protocol))
    needless = quietly(whole(), protocol, selects=False, **wanted(protocol))
    assert [split.test for split in needless] == [split.test for split in asked]
    if protocol in ("session-out", "speaker-independent", "ten-part"):  # a session's other speaker is no stranger to it
        assert needless == asked
    else:
        assert not any(split.validation for split in needless)


def test_a_validation_part_that_is_asked_for_stays_where_nothing_is_selected():
    options = {"validation_speakers": 2, "seed": 1}
    asked = make_splits(corpus(5), "leave-one-speaker-out", **options)
    assert make_splits(corpus(5), "leave-one-speaker-out", selects=False, **options) == asked
    assert all(split.validation for split in asked)


def test_two_speakers_are_enough_where_nothing_is_selected():
    with pytest.raises(SplitError, match="at least 3 needed"):
        make_splits(corpus(2), "leave-one-speaker-out")
    assert len(make_splits(corpus(2), "leave-one-speaker-out", selects=False)) == 2


def test_no_validation_speakers_leaves_validation_empty():
    for split in make_splits(corpus(3), "leave-one-speaker-out", validation_speakers=0):
        assert split.validation == ()
        assert len(split.train) == 40


@pytest.mark.parametrize(("options", "sizes"), [({"speakers_out": 3}, [2, 2, 3]), ({"folds": 3}, [2, 2, 3])])
def test_speakers_out_makes_groups_as_equal_as_possible(options, sizes):
    utterances = corpus(7, 2)
    speaker = {u.id: u.speaker for u in utterances}
    splits = make_splits(utterances, "speakers-out", **options)
    assert sorted(len({speaker[name] for name in split.test}) for split in splits) == sizes


def test_speakers_out_spreads_the_genders():
    utterances = corpus(8, 2)
    gender = {u.id: u.gender for u in utterances}
    for seed in range(5):
        for split in make_splits(utterances, "speakers-out", speakers_out=2, seed=seed):
            assert {gender[name] for name in split.test} == {"female", "male"}


# Protocols that share speakers


@pytest.mark.parametrize("folds", [2, 5, 10])
@generated
@given(utterances=corpora(), seed=st.integers(0, 99))
def test_k_folds_are_stratified_to_within_one(folds, utterances, seed):
    emotion = {u.id: u.emotion for u in utterances}
    splits = quietly(utterances, "stratified-k-fold", folds=folds, seed=seed)
    tests = [split.test for split in splits]
    assert spread(tests, emotion) <= 1
    assert spread(tests, dict.fromkeys(emotion, "all")) <= 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3125, 0.9])
@generated
@given(utterances=corpora(), seed=st.integers(0, 99))
def test_the_validation_share_is_stratified_to_within_one(share, utterances, seed):
    emotion = {u.id: u.emotion for u in utterances}
    for split in quietly(utterances, "stratified-k-fold", validation_share=share, seed=seed):
        there = Counter(emotion[name] for name in (*split.train, *split.validation))
        taken = Counter(emotion[name] for name in split.validation)
        for kind, count in there.items():
            assert abs(taken[kind] - share * count) <= 1
            assert taken[kind] < count  # something is left to train on
        assert bool(split.validation) == (share > 0) or max(there.values()) == 1


def test_published_shares_of_system_3():
    """.55 train, .25 validation, .20 test of 400."""
    for split in make_splits(corpus(20, 5), "stratified-k-fold", validation_share=0.25 / 0.8):
        assert (len(split.train), len(split.validation), len(split.test)) == (220, 100, 80)


@generated
@given(utterances=corpora(), seed=st.integers(0, 99))
def test_ten_parts_are_equal_to_within_one_overall_by_emotion_and_by_cell(utterances, seed):
    emotion = {u.id: u.emotion for u in utterances}
    cell = {u.id: (u.session, u.style, u.gender, u.emotion) for u in utterances}
    splits = quietly(utterances, "ten-part", seed=seed)
    assert len(splits) == 5
    parts = [part for split in splits for part in (split.validation, split.test)]
    assert sorted(name for part in parts for name in part) == sorted(emotion)  # the ten parts are the corpus
    for attribute in (dict.fromkeys(emotion, "all"), emotion, cell):
        assert spread(parts, attribute) <= 1


def test_a_rare_cell_does_not_always_fall_into_the_same_part():
    utterances = corpus()
    rare = [replace(utterances[0], id="rare", emotion="disgusted"), *utterances]
    homes = set()
    for repetition in range(30):
        for split in quietly(rare, "ten-part", repetition=repetition):
            homes |= {(split.fold, part) for part in ("validation", "test") if "rare" in getattr(split, part)}
    assert len(homes) >= 5


def test_all_trains_on_everything():
    (split,) = make_splits(corpus(), "all")
    assert (len(split.train), split.validation, split.test) == (120, (), ())


# Leaks


def test_leaks_are_reported():
    utterances = corpus(3, 2, ("happy",))
    split = Split(0, 0, train=("s00h0", "s01h0"), validation=("s00h1", "s02h0"), test=("s01h1", "s02h1"))
    report = leak_report(split, utterances)
    assert report.shared_speakers == ("s01", "s02")
    assert report.shared_sentences == ("made/t1",)
    assert report.validation_speakers_in_train == ("s00",)
    assert report.validation_sentences_in_train == ("made/t0",)
    assert (report.test_speakers, report.test_sentences) == (2, 1)
    assert (report.speaker_independent, report.sentence_independent) == (False, False)
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.to_dict()["shared_speakers"] == ["s01", "s02"]


def test_an_unknown_sentence_is_not_called_independent():
    utterances = [replace(u, sentence=None) for u in corpus(3, 1)]
    report = leak_report(make_splits(utterances, "leave-one-speaker-out")[0], utterances)
    assert report.sentence_independent is None
    assert report.test_without_sentence == 4


def test_the_same_number_in_two_corpora_is_not_the_same_sentence():
    first, second = corpus(2, 1, ("happy",))
    split = Split(0, 0, train=(first.id,), validation=(), test=(second.id,))
    assert leak_report(split, [first, second]).sentence_independent is False
    assert leak_report(split, [first, replace(second, corpus="other")]).sentence_independent is True


def test_shared_speakers_of_the_mixed_protocols_show():
    for protocol in MIXED:
        assert all(leak_report(s, corpus()).shared_speakers for s in make_splits(corpus(), protocol))


# What cannot be done


@pytest.mark.parametrize(
    ("protocol", "utterances", "options", "message"),
    [
        ("loso", corpus(), {}, "unknown protocol 'loso'; choose one of: leave-one-speaker-out"),
        ("all", [], {}, "no utterances"),
        ("all", corpus(1) + corpus(1), {}, "more than once: s00a0, s00a1, s00a2 and 17 more"),
        ("leave-one-speaker-out", corpus(2), {}, "2 speakers given, at least 3 needed"),
        ("leave-one-speaker-out", corpus(4), {"validation_speakers": 3}, "4 speakers given, at least 5 needed"),
        ("leave-one-speaker-out", corpus(4), {"folds": 5}, "folds is 5, but .* always makes 4"),
        (
            "leave-one-speaker-out",
            corpus(4),
            {"speakers_out": 2},
            "only these protocols take: speakers-out",
        ),
        ("leave-one-speaker-out", [replace(u, speaker="") for u in corpus(4)], {}, "without a speaker"),
        ("speakers-out", corpus(4), {}, "give one of them"),
        ("speakers-out", corpus(4), {"folds": 2, "speakers_out": 2}, "give one of them"),
        ("speakers-out", corpus(4), {"folds": 5}, "5 folds of 4 speakers"),
        ("speakers-out", corpus(4), {"speakers_out": 4}, "4 speakers out of 4 speakers"),
        ("speakers-out", corpus(4), {"speakers_out": 0}, "speakers_out is 0"),
        ("speakers-out", corpus(4), {"speakers_out": 3, "validation_speakers": 2}, "4 speakers given, at least 5"),
        ("stratified-k-fold", corpus(1, 1), {"folds": 1}, "1 folds of 4 utterances"),
        ("stratified-k-fold", corpus(1, 1), {"folds": 5}, "5 folds of 4 utterances"),
        ("stratified-k-fold", corpus(), {"validation_share": 1.0}, r"must be at least 0 and less than 1"),
        ("stratified-k-fold", corpus(), {"validation_share": float("nan")}, r"must be at least 0 and less than 1"),
        ("ten-part", corpus(2, 1), {}, "8 utterances cannot fill 10 parts"),
        ("ten-part", corpus(), {"folds": 10}, "always makes 5"),
        ("all", corpus(), {"folds": 2}, "always makes 1"),
        (
            "ten-part",
            corpus(),
            {"validation_share": 0.1},
            "only these protocols take: cross-corpus, stratified",
        ),
        ("leave-one-speaker-out", corpus(), {"validation_speakers": -1}, "must be 0 or more"),
        ("ten-part", corpus(), {"training_only": ["nobody"]}, "unknown utterances: nobody"),
        ("ten-part", corpus(), {"training_only": "s00a0"}, "give a collection"),
        ("leave-one-speaker-out", corpus(), {"training_only": ["s00a0"]}, "speakers in more than one part: s00"),
    ],
)
def test_the_impossible_is_refused_by_name(protocol, utterances, options, message):
    with pytest.raises(SplitError, match=message):
        make_splits(utterances, protocol, **options)


@pytest.mark.parametrize(
    ("train", "validation", "test", "message"),
    [
        (("s00h0",), ("s00h0",), ("s01h0",), "more than once: s00h0"),
        (("s00h0",), (), (), "in no part: s01h0"),
        (("s00h0", "s01h0"), (), ("s02h0",), "unknown: s02h0"),
        ((), ("s00h0",), ("s01h0",), "nothing is left to train on"),
    ],
)
def test_a_split_that_is_none_does_not_pass(train, validation, test, message):
    with pytest.raises(SplitError, match=message):
        verify_split(Split(0, 0, train, validation, test), corpus(2, 1, ("happy",)))


def test_a_shared_sentence_does_not_pass_where_none_may_be():
    utterances = corpus(2, 2, ("happy",))
    by_sentence = Split(0, 0, train=("s00h0", "s01h0"), validation=(), test=("s00h1", "s01h1"))
    verify_split(by_sentence, utterances, sentence_independent=True)
    by_speaker = Split(0, 0, train=("s00h0", "s00h1"), validation=("s01h0",), test=("s01h1",))
    verify_split(by_speaker, utterances)
    with pytest.raises(SplitError, match="sentences in more than one part: made/t0, made/t1;"):
        verify_split(by_speaker, utterances, sentence_independent=True)
    unknown = [replace(u, sentence=None) if u.id == "s00h0" else u for u in utterances]
    with pytest.raises(SplitError, match="without a sentence: s00h0"):
        verify_split(by_sentence, unknown, sentence_independent=True)
    elsewhere = [replace(u, corpus="other") if u.id == "s00h0" else u for u in unknown]
    verify_split(by_sentence, elsewhere, sentence_independent=True)


def test_a_speaker_who_validates_and_tests_does_not_pass_where_none_may():
    utterances = corpus(2, 2, ("happy",))
    split = Split(0, 0, train=("s00h0", "s00h1"), validation=("s01h0",), test=("s01h1",))
    with pytest.raises(SplitError, match="speakers in more than one part: s01;"):
        verify_split(split, utterances, speaker_independent=True)


@pytest.mark.parametrize(("protocol", "parts"), [("stratified-k-fold", 5), ("ten-part", 10)])
def test_a_rare_emotion_is_warned_of(protocol, parts):
    rare = [replace(u, id=f"r{u.id}", emotion="bored") for u in corpus(2, 1, ("happy",))]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_splits(corpus() + rare, protocol)
    assert f"fewer than {parts} utterances of bored (2); some test parts have none" in str(caught[0].message)
    assert {(w.category, Path(w.filename).name) for w in caught} == {(SerotoneWarning, Path(__file__).name)}


def test_an_emotion_that_one_speaker_alone_has_is_warned_of():
    alone = [replace(corpus()[0], id="alone", emotion="bored")]
    with pytest.warns(SerotoneWarning, match="no utterance trains bored in fold 0"):
        make_splits(corpus() + alone, "leave-one-speaker-out")


# Real speech


@pytest.fixture(scope="module")
def emodb() -> list[Utterance]:
    home = os.environ.get("SEROTONE_DATA")
    if not home or not (Path(home) / "emodb").is_dir():
        pytest.skip("SEROTONE_DATA does not hold emodb")
    from serotone.corpora import read_corpus

    return random.Random(1).sample(read_corpus("emodb", Path(home) / "emodb"), 535)


def test_emodb(emodb):
    folds = make_splits(emodb, "leave-one-speaker-out")
    assert len(folds) == 10
    assert Counter(len(split.test) for split in folds) == Counter([49, 58, 43, 38, 55, 35, 61, 69, 56, 71])
    assert not any(leak_report(split, emodb).shared_speakers for split in folds)
    ten = make_splits(emodb, "ten-part")
    assert sorted(len(part) for split in ten for part in (split.validation, split.test)) == [53] * 5 + [54] * 5
    assert all(leak_report(split, emodb).test_speakers == 10 for split in ten)


def test_emodb_by_sentence(emodb):
    folds = make_splits(emodb, "sentence-out")
    reports = [leak_report(split, emodb) for split in folds]
    assert [report.sentence_independent for report in reports] == [True] * 5
    assert [report.test_sentences for report in reports] == [2] * 5
    assert all(report.test_speakers == 10 == len(report.shared_speakers) for report in reports)


@pytest.mark.parametrize(("protocol", "options", "frozen"), [(*row[:2], row[3]) for row in FROZEN])
def test_no_published_split_of_emodb_has_changed_by_a_single_id(emodb, protocol, options, frozen):
    assert digest(quietly(emodb, protocol, **options)) == frozen
