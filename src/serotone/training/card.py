"""The card of a bundle: data, protocol, figures, limits - all of it computed, none of it typed in."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isnan

import numpy as np

from serotone.corpora.base import UNKNOWN_SPEAKER
from serotone.names import count_of
from serotone.recipes import Recipe
from serotone.splits import LeakReport
from serotone.training.calibrate import Calibration
from serotone.training.held_out import COVERAGES, Fitted
from serotone.training.strangers import Level

Summary = Mapping[str, object]


def write_card(
    recipe: Recipe,
    *,
    name: str,
    labels: Sequence[str],
    data: Sequence[Mapping[str, object]],
    trained: Mapping[str, object],
    evidence: Mapping[str, Summary],
    levels: Mapping[Level, Fitted] | None = None,
) -> str:
    """Markdown for ``CARD.md``.

    Args:
        recipe: What trained it.
        name: The bundle's name.
        labels: Its classes in order.
        data: One mapping per corpus: name, licence, utterances, speakers.
        trained: ``clips`` in the training part, ``step`` whose weights count, ``test`` scores or None, ``shared``, the
            LeakReport of the split, and ``copies``, how many recordings of the test part are in training, too.
        evidence: Summaries of crossval runs by the words that introduce them.
        levels: The heads of a convex recipe, of which ``plain`` then says how the temperature was fitted.
    """
    calibration = levels["plain"].calibration if levels else None
    uncertain = levels["plain"].doubt.threshold if levels else recipe.bundle.uncertain
    total = sum(int(str(item["utterances"])) for item in data)
    rows = "\n".join(_row(item, total) for item in data)
    schedule = recipe.chosen
    a_step = "" if recipe.convex else f", {recipe.training.batch_size} clips a step"
    length = f"{schedule.length}{a_step}, in {schedule.precision}"
    weights = "The head is the optimum." if recipe.convex else f"The weights are those of step {trained['step']}."
    if recipe.distil is not None:
        weights += (
            f" Before, the encoder was distilled on the same utterances in {recipe.distil.epochs} epochs: it learned to"
            f" give back what the frozen encoder of recipe `{recipe.distil.teacher}` makes of a clip."
        )
    return f"""# {name}

{recipe.description}.

Made on {datetime.now(UTC):%Y-%m-%d} by `serotone train {recipe.name}`.
Recognises: {", ".join(labels)}.

## Data

| corpus | languages | utterances | speakers | share | licence |
|---|---|---|---|---|---|
{rows}
{_terms(data)}
Trained on {trained["clips"]} utterances, schedule `{recipe.schedule}`: {length}.
{weights}

## Figures

{_own_test(trained, recipe, evidence)}
{_evidence(evidence, recipe.name)}
{_levels(levels, recipe)}## Limits

- Acted speech, few speakers, little data: expect lower figures on spontaneous speech, other languages, other
  microphones and other rooms. Score your own recordings with `serotone evaluate` before you rely on it.
- {_calibrated(calibration, recipe)} An answer with less
  than {uncertain} for its emotion is marked uncertain.
- Clips from {recipe.bundle.min_seconds} s to {recipe.bundle.max_seconds} s are taken whole, longer
  ones as windows of {recipe.bundle.window_seconds} s.
- What is recognised is how speech sounds to listeners, not what a person feels. Not for decisions about people.
"""


def _row(item: Mapping[str, object], total: int) -> str:
    """A corpus in the table of data."""
    languages = item.get("languages")
    words = ", ".join(map(str, languages)) if isinstance(languages, Sequence) else ""
    utterances = int(str(item["utterances"]))
    return (
        f"| {item['name']} | {words} | {utterances} | {item['speakers']} | {utterances / total:.1%} |"
        f" {item['licence']} |"
    )


def _terms(data: Sequence[Mapping[str, object]]) -> str:
    """What a non-commercial licence of the data means for whoever uses the bundle."""
    names = [str(item["name"]) for item in data if item.get("non_commercial")]
    if not names:
        return ""
    return (
        f"\n**Non-commercial.** The licences of {', '.join(names)} allow non-commercial use only, and a model trained"
        " on them carries that term: use this bundle for research, teaching and private purposes, not in a product or a"
        " paid service.\n"
    )


def _levels(levels: Mapping[Level, Fitted] | None, recipe: Recipe) -> str:
    """Every level of a convex recipe on what was held out: strength, UA, calibration, doubt."""
    if not levels:
        return ""
    heard, factor = recipe.distil is not None, _factor(recipe)
    corpora = list(next(iter(levels.values())).by_corpus)
    caution = (
        "**The encoder has learned from all of them**: what strangers get is lower, see the tables of speakers that"
        " trained nothing. "
        if heard
        else ""
    )
    if factor != 1:
        caution += (
            f"Temperatures are {factor:g} times those that fit these answers best, for strangers' sake; so the expected"
            " calibration error is larger here. "
        )
    lines = [
        f"## On corpora that trained {'no head' if heard else 'nothing'}",
        "",
        f"{caution}Each corpus in turn was answered by a head trained on the others (of a single corpus: each group of"
        " speakers)."
        " UA is among the emotions that the corpus has. Strength and temperature were chosen on these same answers,"
        " which makes them optimistic. *collection*: standardised by the recordings' own statistics, no labels;"
        " *speaker*: each speaker once more within them.",
        "",
        f"| level | strength | mean UA | {' | '.join(corpora)} | temperature | ECE |",
        f"|---|---|---|{'---|' * len(corpora)}---|---|",
    ]
    lines += [
        f"| {level} | {found.strength:g} | {np.mean(list(found.by_corpus.values())):.1%} |"
        f" {' | '.join(f'{found.by_corpus[name]:.1%}' for name in corpora)} | {found.calibration.temperature:.2f} |"
        f" {found.calibration.ece_after:.1%} |"
        for level, found in levels.items()
    ]
    lines += [
        "",
        "Answers below the threshold are marked uncertain; the threshold is the confidence that tells right answers"
        " from wrong ones best (Youden's index), every corpus counting alike.",
        "",
        "| level | threshold | certain answers | of which right | right among uncertain ones |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {level} | {found.doubt.threshold:.2f} | {found.doubt.coverage:.1%} | {found.doubt.certain:.1%} |"
        f" {'-' if isnan(found.doubt.uncertain) else f'{found.doubt.uncertain:.1%}'} |"
        for level, found in levels.items()
    ]
    lines += [
        "",
        "The risk-coverage curve: the share of wrong answers among the surest 10 %, 20 % and so on, every corpus"
        " counting alike.",
        "",
        f"| level | {' | '.join(f'{share:.0%}' for share in COVERAGES)} |",
        f"|---|{'---|' * len(COVERAGES)}",
    ]
    lines += [
        f"| {level} | {' | '.join(f'{risk:.1%}' for risk in found.doubt.curve)} |" for level, found in levels.items()
    ]
    return "\n".join(lines) + "\n\n"


def _factor(recipe: Recipe) -> float:
    """By what the fitted temperatures are multiplied."""
    return recipe.convex.temperature_factor if recipe.convex else 1.0


def _calibrated(calibration: Calibration | None, recipe: Recipe) -> str:
    if calibration is None:
        return "Probabilities are a softmax at temperature 1, not calibrated yet."
    what = "the encoder, but not the heads that answered" if recipe.distil else "nothing"
    raised = "" if _factor(recipe) == 1 else f" {_factor(recipe):g} times the one"
    return (
        f"Probabilities are a softmax at temperature {calibration.temperature:.3g},{raised} fitted on"
        f" {calibration.clips} clips that trained {what}: there the expected calibration error went from"
        f" {calibration.ece_before:.1%} to {calibration.ece_after:.1%}."
    )


def _own_test(trained: Mapping[str, object], recipe: Recipe, evidence: Mapping[str, Summary]) -> str:
    test, shared = trained.get("test"), trained.get("shared")
    if not (isinstance(test, Mapping) and isinstance(shared, LeakReport)):
        below = ": the figures below are by cross-validation" if evidence else ""
        return f"No utterance was held out from this bundle{below}.\n"
    clips = count_of(test["utterances"], "clip")
    copies = int(str(trained.get("copies", 0)))
    twice = (
        f" {count_of(copies, 'recording')} of it {_are(copies)} also in training, sample for sample." if copies else ""
    )
    return (
        f"On this run's own test part ({recipe.protocol.name}, fold {shared.fold}, {clips}):"
        f" WA {float(test['wa']):.1%}, UA {float(test['ua']):.1%}.\n{_shared(shared)}{twice}\n"
    )


def _shared(shared: LeakReport) -> str:
    """Whether the test part's speakers and sentences were heard before, in a sentence or two."""
    if UNKNOWN_SPEAKER in shared.shared_speakers:
        return "Some of its speakers have no names, and may be in training, too."
    speakers, sentences = len(shared.shared_speakers), len(shared.shared_sentences)
    of_speakers, of_sentences = count_of(shared.test_speakers, "speaker"), count_of(shared.test_sentences, "sentence")
    text = f"Of its {of_speakers}, {speakers or 'none'} {_are(speakers)} also in training or validation"
    if sentences:
        text += f"; of its {of_sentences}, {sentences} {_are(sentences)}"
    return f"{text}. Expect less on new speakers." if speakers else f"{text}."


def _are(count: int) -> str:
    return "are" if count > 1 else "is"


def _evidence(evidence: Mapping[str, Summary], recipe: str) -> str:
    if not evidence:
        return "No cross-validation was given to this card (`--evidence WORDS=RUN`).\n"
    lines = [
        "By cross-validation: mean ± SD over the folds that were run, and of the pooled confusion matrix.",
        "",
        "| run | protocol | folds | seed | WA | UA | WA pooled | UA pooled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for words, summary in evidence.items():
        of = "" if summary["recipe"] == recipe else f" (recipe `{summary['recipe']}`)"
        number = {key: _percent(summary.get(key)) for key in ("wa_pooled", "ua_pooled")}
        lines.append(
            f"| {words}{of} | {summary['protocol']}, {summary['schedule']} schedule |"
            f" {summary['folds_finished']} of {summary['folds_planned']} | {summary['seed']} |"
            f" {_spread(summary, 'wa')} | {_spread(summary, 'ua')} | {number['wa_pooled']} | {number['ua_pooled']} |"
        )
    unknown = [bool(summary.get("unknown_speakers")) for summary in evidence.values()]
    shared = sum(int(str(summary["shared_speakers"])) for summary in evidence.values()) - sum(unknown)
    told = f"{shared}, and unknown ones that may be the same" if any(unknown) else shared
    lines += ["", f"Speakers shared between test and training parts: {told}. The test part chose nothing.", ""]
    return "\n".join(lines + _common(evidence))


def _common(evidence: Mapping[str, Summary]) -> list[str]:
    """The runs beside each other over the folds that all of them have, where some have more."""
    scores = [
        {(fold["repetition"], fold["fold"]): fold["ua"] for fold in summary["folds"]}  # type: ignore[attr-defined]
        for summary in evidence.values()
    ]
    both = set(scores[0]).intersection(*scores[1:])
    if len(scores) < 2 or not both or all(set(score) == both for score in scores):
        return []
    means = [sum(score[fold] for fold in both) / len(both) for score in scores]
    words = "; ".join(f"{name} {mean:.1%}" for name, mean in zip(evidence, means, strict=True))
    return [f"Over the {len(both)} folds that every run has, mean UA: {words}.", ""]


def _percent(value: object) -> str:
    return f"{float(str(value)):.1%}" if value is not None else "-"


def _spread(summary: Summary, key: str) -> str:
    deviation = summary.get(f"{key}_sd_of_folds")
    spread = f" ± {100 * float(str(deviation)):.1f}" if deviation is not None else ""
    return f"{_percent(summary.get(f'{key}_mean_of_folds'))}{spread}"
