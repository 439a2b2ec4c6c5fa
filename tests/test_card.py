"""The card says what was measured, and compares only what can be compared."""

import numpy as np

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.recipes import load
from serotone.splits import LeakReport
from serotone.training.calibrate import Calibration
from serotone.training.card import write_card
from serotone.training.held_out import COVERAGES, Doubt, Fitted
from serotone.training.strangers import Level, Linear


def summary(**folds: float) -> dict[str, object]:
    scores = [{"repetition": 0, "fold": int(name[1:]), "ua": ua, "wa": ua} for name, ua in folds.items()]
    mean = sum(folds.values()) / len(folds)
    return {
        "protocol": "leave-one-speaker-out",
        "recipe": "emodb-crnn",
        "schedule": "budget",
        "seed": 0,
        "folds": scores,
        "folds_finished": len(scores),
        "folds_planned": 10,
        "shared_speakers": 0,
        **dict.fromkeys(("ua_mean_of_folds", "wa_mean_of_folds", "ua_pooled", "wa_pooled"), mean),
        **dict.fromkeys(("ua_sd_of_folds", "wa_sd_of_folds"), None),
    }


def fitted(calibration: Calibration) -> dict[Level, Fitted]:
    """The one head of a convex recipe."""
    linear = Linear(np.zeros((2, 3)), np.zeros(2))
    sure = Doubt(0.4, 0.8, 0.9, 0.5, (0.1,) * len(COVERAGES))
    return {"plain": Fitted("plain", linear, 0.003, {0.003: 0.7}, {"a": 0.7}, calibration, sure)}


def card(recipe: str = "emodb-crnn", levels: dict[Level, Fitted] | None = None, **evidence: dict[str, object]) -> str:
    return write_card(
        load(recipe),
        name="mine",
        labels=["angry", "sad"],
        data=[
            {"name": "a", "utterances": 30, "speakers": 3, "licence": "free", "languages": ["de", "en"]},
            {"name": "b", "utterances": 10, "speakers": 2, "licence": "own"},
        ],
        trained={"clips": 40, "step": 352, "test": None},
        evidence=evidence,
        levels=levels,
    )


def test_shares_are_of_all_utterances() -> None:
    text = card()
    assert "| a | de, en | 30 | 3 | 75.0% | free |" in text
    assert "| b |  | 10 | 2 | 25.0% | own |" in text
    assert "No cross-validation was given" in text
    assert "No utterance was held out from this bundle.\n" in text


def test_a_test_part_is_told_with_what_was_heard_of_it_before() -> None:
    def told(shared: tuple[str, ...], sentences: tuple[str, ...] = ()) -> str:
        report = LeakReport(2, 0, shared, sentences, (), (), 3, 5, 0)
        trained = {"clips": 40, "step": 352, "test": {"wa": 0.5, "ua": 0.25, "utterances": 12}, "shared": report}
        text = write_card(
            load("emodb-crnn", ["protocol=ten-part"]), name="mine", labels=["a"], data=[], trained=trained, evidence={}
        )
        first, second = text.split("own test part ")[1].splitlines()[:2]
        assert first == "(ten-part, fold 2, 12 clips): WA 50.0%, UA 25.0%."
        return second

    assert told(("a/1", "a/2", "a/3"), ("a/x",)) == (
        "Of its 3 speakers, 3 are also in training or validation; of its 5 sentences, 1 is."
        " Expect less on new speakers."
    )
    assert told(()) == "Of its 3 speakers, none is also in training or validation."
    assert told((UNKNOWN_SPEAKER,)) == "Some of its speakers have no names, and may be in training, too."


def test_a_fitted_temperature_is_stated_with_what_it_changed() -> None:
    text = card("default", fitted(Calibration(1.8234, 90, 1.2, 0.9, 0.183, 0.041)))
    assert "temperature 1.82, fitted on 90 clips that trained nothing" in text
    assert "went from 18.3% to 4.1%" in text
    assert "not calibrated yet" not in text
    assert "| plain | 0.003 | 70.0% | 70.0% | 1.82 | 4.1% |" in text
    assert "temperature 1, not calibrated yet" in card()


def test_unknown_speakers_are_no_shared_one() -> None:
    told = summary(f0=0.5) | {"shared_speakers": 1, "unknown_speakers": True}
    assert "training parts: 0, and unknown ones that may be the same. The test" in card(one=told)


def test_runs_with_other_folds_are_compared_over_those_they_share() -> None:
    text = card(one=summary(f0=0.5, f1=0.7), two=summary(f1=0.6))
    assert "| one | leave-one-speaker-out, budget schedule | 2 of 10 | 0 | 60.0% | 60.0% |" in text
    assert "Over the 1 folds that every run has, mean UA: one 70.0%; two 60.0%." in text


def test_a_run_of_another_recipe_is_named() -> None:
    text = card(one=summary(f0=0.5), two=summary(f0=0.5) | {"recipe": "other"})
    assert "held out from this bundle: the figures below are by cross-validation." in text
    assert "| one | leave" in text
    assert "| two (recipe `other`) | leave" in text


def test_runs_with_the_same_folds_need_no_such_line() -> None:
    assert "every run has" not in card(one=summary(f0=0.5, f1=0.7), two=summary(f0=0.6, f1=0.5))


def test_a_distilled_encoder_has_heard_what_its_heads_have_not() -> None:
    assert "distilled" not in card()
    text = card("light", fitted(Calibration(1.8234, 90, 1.2, 0.9, 0.183, 0.041)))
    assert "distilled on the same utterances in 40 epochs" in text
    assert "frozen encoder of recipe `default`" in text
    assert "temperature 1.82, 1.9 times the one fitted on 90 clips that trained the encoder" in text
    assert "but not the heads that answered: there" in text
