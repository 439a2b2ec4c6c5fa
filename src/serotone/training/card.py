"""The card of a bundle: data, protocol, figures, limits - all of it computed, none of it typed in."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from serotone.training.calibrate import Calibration
from serotone.training.recipe import Recipe

Summary = Mapping[str, object]


def write_card(
    recipe: Recipe,
    *,
    name: str,
    labels: Sequence[str],
    data: Sequence[Mapping[str, object]],
    trained: Mapping[str, object],
    evidence: Mapping[str, Summary],
    calibration: Calibration | None = None,
) -> str:
    """Markdown for ``CARD.md``.

    Args:
        recipe: What trained it.
        name: The bundle's name.
        labels: Its classes in order.
        data: One mapping per corpus: name, licence, utterances, speakers.
        trained: ``clips`` in the training part, ``step`` whose weights count, ``test`` scores or None.
        evidence: Summaries of crossval runs by the words that introduce them.
        calibration: How the bundle's temperature was fitted; None for a bundle at temperature 1.
    """
    total = sum(int(str(item["utterances"])) for item in data)
    rows = "\n".join(
        f"| {item['name']} | {item['utterances']} | {item['speakers']} | {int(str(item['utterances'])) / total:.1%} |"
        f" {item['licence']} |"
        for item in data
    )
    schedule = recipe.chosen
    length = f"{schedule.length}, {schedule.batch_size} clips a step, in {schedule.precision}"
    return f"""# {name}

{recipe.description}.

Made on {datetime.now(UTC):%Y-%m-%d} by `serotone train {recipe.name}`.
Recognises: {", ".join(labels)}.

## Data

| corpus | utterances | speakers | share | licence |
|---|---|---|---|---|
{rows}

Trained on {trained["clips"]} utterances, schedule `{recipe.schedule}`: {length}.
The weights are those of step {trained["step"]}.
{_own_test(trained.get("test"))}
## Figures

{_evidence(evidence)}
## Limits

- Acted speech, few speakers, little data: expect lower figures on spontaneous speech, other languages, other
  microphones and other rooms. Score your own recordings with `serotone evaluate` before you rely on it.
- {_calibrated(calibration)} An answer with less
  than {recipe.bundle.uncertain} for its emotion is marked uncertain.
- Clips from {recipe.bundle.min_seconds} s to {recipe.bundle.max_seconds} s are taken whole, longer
  ones as windows of {recipe.bundle.window_seconds} s.
- What is recognised is how speech sounds to listeners, not what a person feels. Not for decisions about people.
"""


def _calibrated(calibration: Calibration | None) -> str:
    if calibration is None:
        return "Probabilities are a softmax at temperature 1, not calibrated yet."
    return (
        f"Probabilities are a softmax at temperature {calibration.temperature:.3g}, fitted on {calibration.clips} clips"
        f" that trained nothing: there the expected calibration error went from {calibration.ece_before:.1%} to"
        f" {calibration.ece_after:.1%}."
    )


def _own_test(test: object) -> str:
    if not isinstance(test, Mapping):
        return "No utterance was held out from this bundle: the figures below are of its recipe, by cross-validation.\n"
    return f"On this run's own test part: WA {float(test['wa']):.1%}, UA {float(test['ua']):.1%}.\n"


def _evidence(evidence: Mapping[str, Summary]) -> str:
    if not evidence:
        return "No cross-validation was given to this card (`--evidence WORDS=RUN`).\n"
    lines = [
        "By cross-validation: mean ± SD over the folds that were run, and of the pooled confusion matrix.",
        "",
        "| run | protocol | folds | seed | WA | UA | WA pooled | UA pooled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for words, summary in evidence.items():
        number = {key: _percent(summary.get(key)) for key in ("wa_pooled", "ua_pooled")}
        lines.append(
            f"| {words} | {summary['protocol']}, {summary['schedule']} schedule |"
            f" {summary['folds_finished']} of {summary['folds_planned']} | {summary['seed']} |"
            f" {_spread(summary, 'wa')} | {_spread(summary, 'ua')} | {number['wa_pooled']} | {number['ua_pooled']} |"
        )
    shared = sum(int(str(summary["shared_speakers"])) for summary in evidence.values())
    lines += ["", f"Speakers shared between test and training parts: {shared}. The test part chose nothing.", ""]
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
