"""The table that ``serotone evaluate`` prints of plain answers next to adapted ones."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from serotone.names import count_of

if TYPE_CHECKING:
    from serotone.evaluation import Comparison, Evaluation

TITLES = {"collection": "collection", "speaker": "then the speaker", "profile": "profile"}
"""What the columns are called, by way of adapting."""

WIDTH = 16
"""Characters of a column, which holds WA and UA."""


def comparison_table(result: "Comparison") -> list[str]:
    """What was adapted to; then by corpus WA and UA of each way, among the shared emotions and freely; then doubt."""
    evaluations = {"plain": result.plain, **{TITLES[way]: found for way, found in result.adapted.items()}}
    width = max(len(name) for name in (*result.plain.corpora, "mean of corpora", "uncertain, and right"))
    lines = [*_adapted_to(result)]
    terms = result.plain.terms
    lacking = any(len(shared) < len(terms.classes) for shared in terms.shared.values())
    kinds = {"restricted": "among the shared emotions"} if lacking else {}
    for kind, words in (kinds | {"unrestricted": "among all classes of the bundle"}).items():
        head = "  ".join(f"{title:^{WIDTH}}" for title in evaluations)
        lines += ["", words, f"{'':<{width}} {'':>6}  {'':>7}  {head}".rstrip()]
        lines.append(f"{'corpus':<{width}} {'clips':>6}  {'chance':>7}" + f"  {'WA':>7}  {'UA':>7}" * len(evaluations))
        lines += _rows(evaluations, kind, width)
    doubts = [found.certainty() for found in evaluations.values()]
    lines += ["", f"{'share of answers':<{width}}" + "".join(f"  {title:>{WIDTH}}" for title in evaluations)]
    lines.append(f"{'certain':<{width}}" + "".join(f"  {_share(d['certain']['share']):>{WIDTH}}" for d in doubts))
    for name in ("certain", "uncertain"):
        cells = "".join(f"  {_share(doubt[name]['unrestricted']):>{WIDTH}}" for doubt in doubts)
        lines.append(f"{f'{name}, and right':<{width}}{cells}")
    return lines


def certainty_line(found: Mapping[str, Any]) -> str:
    """How often certain and uncertain answers, given freely, are right."""
    parts = []
    for name, words in (("certain", " of them right among all classes"), ("uncertain", " right")):
        clips, right = found[name]["clips"], found[name]["unrestricted"]
        parts.append(f"{clips}" if right is None else f"{clips}, {_share(right)}{words}")
    return f"certain answers: {parts[0]}; uncertain: {parts[1]}"


def _adapted_to(result: "Comparison") -> Iterator[str]:
    """By what recordings the answers are adapted, and what is missing."""
    if not result.recordings:
        profile = next(iter(result.profiles.values()))
        speakers = count_of(len(profile.speakers), "speaker")
        yield f"adapted to the profile {profile.name}, count {profile.count}, {speakers}"
        known, every = result.known_speakers
        if profile.speakers and every:
            alone = "" if known == every else "; the others are adapted to its collection alone"
            yield f"it knows {known} of the {count_of(every, 'speaker')} that are scored{alone}"
        return
    drawn = "all its recordings"
    if result.adapt_with is not None:
        drawn = f"{result.adapt_with} random recordings (seed {result.seed})"
        if min(result.recordings.values()) < result.adapt_with:
            drawn += ", or all that it has"
    yield f"adapted to each corpus with {drawn}, whatever their emotion, without labels:"
    for corpus, profile in result.profiles.items():
        yield (
            f"  {corpus}: {result.recordings[corpus]} recordings, count {profile.count}, "
            f"{count_of(len(profile.speakers), 'speaker')}"
        )
    if "speaker" not in result.adapted:
        yield "not adapted to speakers: no corpus says who speaks, or the bundle cannot adapt to speakers"
    elif any(not profile.speakers for profile in result.profiles.values()):
        yield f"where no speaker is known, '{TITLES['speaker']}' has the answers of the collection"


def _rows(evaluations: Mapping[str, "Evaluation"], kind: str, width: int) -> Iterator[str]:
    """A line for each corpus; their mean where there are several."""
    plain = evaluations["plain"]
    every = [found.by_corpus() for found in evaluations.values()]
    lines: list[tuple[str, str, list[dict[str, Any]]]] = [
        (corpus, str(every[0][corpus]["utterances"]), [found[corpus][kind] for found in every]) for corpus in every[0]
    ]
    if len(plain.corpora) > 1:
        lines.append(("mean of corpora", "", [found.mean_of_corpora()[kind] for found in evaluations.values()]))
    for name, clips, scores in lines:
        cells = "".join(f"  {_share(score['wa']):>7}  {_share(score['ua']):>7}" for score in scores)
        yield f"{name:<{width}} {clips:>6}  {_share(scores[0]['chance']):>7}{cells}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}%"
