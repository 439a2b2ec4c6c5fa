"""The card of a bundle: data, protocol, figures, limits - all of it computed, none of it typed in."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

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
) -> str:
    """Markdown for ``CARD.md``.

    Args:
        recipe: What trained it.
        name: The bundle's name.
        labels: Its classes in order.
        data: One mapping per corpus: name, licence, utterances, speakers.
        trained: ``clips`` in the training part, ``step`` whose weights count, ``test`` scores or None.
        evidence: Summaries of crossval runs by the words that introduce them.
    """
    total = sum(int(str(item["utterances"])) for item in data)
    rows = "\n".join(
        f"| {item['name']} | {item['utterances']} | {item['speakers']} | {int(str(item['utterances'])) / total:.1%} |"
        f" {item['licence']} |"
        for item in data
    )
    return f"""# {name}

{recipe.description}.

Made on {datetime.now(UTC):%Y-%m-%d} by `serotone train {recipe.name}`.
Recognises: {", ".join(labels)}.

## Data

| corpus | utterances | speakers | share | licence |
|---|---|---|---|---|
{rows}

Trained on {trained["clips"]} utterances, schedule `{recipe.schedule}` ({recipe.training.steps} steps of
{recipe.training.batch_size}, {recipe.training.precision}); the weights are those of step {trained["step"]}.
{_own_test(trained.get("test"))}
## Figures

{_evidence(evidence)}
## Limits

- Acted speech, few speakers, little data: expect lower figures on spontaneous speech, other languages, other
  microphones and other rooms. Score your own recordings with `serotone evaluate` before you rely on it.
- Probabilities are a softmax at temperature 1: they are not calibrated yet. An answer below a confidence of
  {recipe.bundle.uncertain} is marked uncertain.
- Clips from {recipe.bundle.min_seconds} s to {recipe.bundle.max_seconds} s are taken whole, longer recordings as
  windows of {recipe.bundle.window_seconds} s.
- What is recognised is how speech sounds to listeners, not what a person feels. Not for decisions about people.
"""


def _own_test(test: object) -> str:
    if not isinstance(test, Mapping):
        return "No utterance was held out from this bundle: the figures below are of its recipe, by cross-validation.\n"
    return f"On this run's own test part: WA {float(test['wa']):.1%}, UA {float(test['ua']):.1%}.\n"


def _evidence(evidence: Mapping[str, Summary]) -> str:
    if not evidence:
        return "No cross-validation was given to this card (`--evidence WORDS=RUN`).\n"
    lines = [
        "Cross-validation of the same recipe; mean ± SD over folds, and the pooled confusion matrix.",
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
    shared = [f"{words}: {s['shared_speakers']} speakers shared" for words, s in evidence.items()]
    lines += ["", f"Between test and training parts: {'; '.join(shared)}. The test part chose nothing.", ""]
    return "\n".join(lines)


def _percent(value: object) -> str:
    return f"{float(str(value)):.1%}" if value is not None else "-"


def _spread(summary: Summary, key: str) -> str:
    deviation = summary.get(f"{key}_sd_of_folds")
    spread = f" ± {100 * float(str(deviation)):.1f}" if deviation is not None else ""
    return f"{_percent(summary.get(f'{key}_mean_of_folds'))}{spread}"
