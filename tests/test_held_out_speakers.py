"""Speakers whom a recipe holds out neither train nor test: they stay strangers to what ships."""

import pytest

from made_utterances import corpus
from serotone.errors import RunError
from serotone.experiments.planning import plan
from serotone.recipes import load

PEOPLE = corpus()
ONE = PEOPLE[0].speaker


def recipe(*held_out):
    return load("crnn-mel", ["protocol=leave-one-speaker-out", f"held_out_speakers={list(held_out)}"])


def test_a_held_out_speaker_is_in_no_part():
    whole, without = plan(recipe(), PEOPLE), plan(recipe(ONE), PEOPLE)
    theirs = {u.id for u in PEOPLE if u.speaker == ONE}
    assert any(theirs & {*s.train, *s.validation, *s.test} for s in whole)
    assert len(without) == len(whole) - 1
    assert not any(theirs & {*s.train, *s.validation, *s.test} for s in without)


def test_a_speaker_whom_the_corpus_lacks_is_an_error_that_names_them():
    name = f"{PEOPLE[0].corpus}/nobody"
    with pytest.raises(RunError, match=name):
        plan(recipe(name), PEOPLE)


def test_speakers_of_a_corpus_that_is_not_given_are_no_error():
    assert len(plan(recipe("ravdess/19"), PEOPLE)) == len(plan(recipe(), PEOPLE))


def test_a_name_of_no_corpus_is_an_error_that_guesses():
    with pytest.raises(RunError, match=rf"holds out x{ONE}, .* \(did you mean {ONE}\?\); expected corpus/speaker"):
        plan(recipe(f"x{ONE}"), PEOPLE)
