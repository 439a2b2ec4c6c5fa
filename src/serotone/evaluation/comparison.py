"""Plain answers next to adapted ones, from one reading of the audio.

Each corpus is a collection. It is adapted to by its own recordings, without their labels: by all of them, also those
whose emotion is not scored, since who knows no labels cannot leave them out. Or by a few drawn at random, as somebody
has who starts with a folder of twenty. Or a profile that was made elsewhere answers for every corpus.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serotone.corpora import Utterance
from serotone.errors import ProfileError, SerotoneError
from serotone.evaluation.answers import answered, evaluation_of, listen, speaker_of
from serotone.evaluation.result import Evaluation
from serotone.evaluation.rows import Row
from serotone.evaluation.terms import Terms, agree
from serotone.names import utf8
from serotone.recognition.hearing import Hearing
from serotone.recognition.profile import LEAST_COUNT, Profile, ProfileBuilder
from serotone.recognition.recognizer import Recognizer
from serotone.runs.layout import adapted_answers
from serotone.splits.deal import shuffled

SCORES = ("restricted", "unrestricted", "certainty", "by_corpus", "mean_of_corpora", "by_speaker")
"""What ``metrics.json`` has of an adapted evaluation: all that differs from the plain one."""

Heard = Hearing | SerotoneError


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found.

    ``adapted`` has an evaluation for each way of adapting: ``collection``, and ``speaker`` (the collection, then each
    speaker within it) where the bundle has a head for that and some speaker is known; or ``profile`` alone, where one
    was given. ``profiles`` are those that answered, by corpus. ``recordings`` counts the recordings behind each,
    and is empty where the profile was given; ``adapt_with`` and ``seed`` say how they were drawn, None where all of
    them were taken. ``unheard`` has id and reason of recordings that were read for a profile alone and failed.
    """

    plain: Evaluation
    adapted: Mapping[str, Evaluation]
    profiles: Mapping[str, Profile]
    recordings: Mapping[str, int]
    adapt_with: int | None = None
    seed: int | None = None
    unheard: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """What ``metrics.json`` holds: that of the plain evaluation, and the keys ``adaptation`` and ``adapted``."""
        evaluations = {way: evaluation.to_dict() for way, evaluation in self.adapted.items()}
        return {
            **self.plain.to_dict(),
            "adaptation": {
                "adapt_with": self.adapt_with,
                "seed": self.seed,
                "profiles": {corpus: self._profile(corpus) for corpus in self.profiles},
                "unheard": [{"id": name, "message": message} for name, message in self.unheard],
            },
            "adapted": {way: {key: scores[key] for key in SCORES} for way, scores in evaluations.items()},
        }

    @property
    def known_speakers(self) -> tuple[int, int]:
        """How many of the speakers that are scored the profiles know, and how many these speakers are."""
        speakers = {(row.corpus, row.speaker) for row in self.plain.rows if row.speaker is not None}
        known = [name_in(self.profiles, name, corpus) in self.profiles[corpus].speakers for corpus, name in speakers]
        return sum(known), len(known)

    def _profile(self, corpus: str) -> dict[str, Any]:
        profile = self.profiles[corpus]
        return {
            "name": profile.name,
            "sha256": profile.digest(),
            "recordings": self.recordings.get(corpus),
            "count": profile.count,
            "speakers": len(profile.speakers),
        }

    def write(self, folder: Path) -> None:
        """Write what `Evaluation.write` writes of the plain answers, and ``predictions-<way>.csv`` of the adapted."""
        for way, evaluation in self.adapted.items():
            evaluation.write_predictions(folder / adapted_answers(way))
        self.plain.write(folder, metrics=self.to_dict())


def compare(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    profile: Profile | None = None,
    adapt_with: int | None = None,
    seed: int = 0,
    merge: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    leave_out_failed: bool = False,
    jobs: int = 1,
    on_utterance: Callable[[], None] | None = None,
) -> Comparison:
    """Score plain answers and adapted ones, each recording read once.

    Args:
        recognizer: A plain one, whose bundle can be adapted.
        utterances: Of one corpus or several; each corpus is a collection.
        profile: Answer by this one; unless given, by that of each corpus's own recordings. A speaker's own statistics
            are used where the profile has one of the name that the utterance gives; of a single corpus, without the
            corpus in front of it as well, since ``serotone adapt`` names no corpus.
        adapt_with: Take this many recordings of each corpus, drawn at random; all of them unless given.
        seed: Another seed draws others.
        merge: As of `agree`.
        labels: As of `agree`.
        leave_out_failed: Score the utterances with an answer alone.
        jobs: Recordings to hear at a time, each in a thread.
        on_utterance: Called after each recording that was heard, of which there are as many as `readings` gives.

    Raises:
        MetricError, CorpusError: As of `serotone.evaluation.evaluate`.
        BundleError: The bundle cannot be adapted.
        ProfileError: The profile belongs to another bundle, or a corpus has too few recordings with speech.
        ValueError: The recogniser is adapted already.

    """
    if recognizer.current_profile is not None:
        raise ValueError("the recogniser is adapted to a profile already; give a plain one")
    bundle = recognizer.bundle
    known = recognizer.adaptation().heads
    if profile is not None:
        recognizer.with_profile(profile)
    terms = agree(bundle, utterances, merge=merge, labels=labels)
    drawn = {} if profile is not None else collections(utterances, adapt_with=adapt_with, seed=seed)
    members = {id_ for ids in drawn.values() for id_ in ids}
    builders = {corpus: ProfileBuilder(corpus, bundle) for corpus in drawn}
    kept: list[tuple[Utterance, Heard]] = []
    unheard: list[tuple[str, str]] = []
    for utterance, heard in listen(recognizer, _to_read(utterances, terms, members), jobs=jobs):
        if terms.takes(utterance):
            kept.append((utterance, heard))
        elif isinstance(heard, SerotoneError):
            unheard.append((utterance.id, utf8(str(heard))))
        if utterance.id in members and not isinstance(heard, SerotoneError):
            speaker = speaker_of(utterance) if "speaker" in known else None
            builders[utterance.corpus].add(heard.embeddings, speaker)
        if on_utterance is not None:
            on_utterance()
    plain = evaluation_of(
        bundle,
        utterances,
        terms,
        [answered(recognizer, utterance, heard, terms) for utterance, heard in kept],
        leave_out_failed=leave_out_failed,
    )
    if profile is None:
        profiles = {corpus: builder.profile() for corpus, builder in builders.items()}
        ways = ["collection", "speaker"] if any(found.speakers for found in profiles.values()) else ["collection"]
    else:
        profiles = dict.fromkeys(terms.shared, profile)
        ways = ["profile"]
    return Comparison(
        plain=plain,
        adapted={
            way: replace(plain, rows=_rows(recognizer, kept, profiles, terms, speakers=way != "collection"))
            for way in ways
        },
        profiles=profiles,
        recordings={corpus: len(ids) for corpus, ids in drawn.items()},
        adapt_with=adapt_with,
        seed=None if adapt_with is None else seed,
        unheard=tuple(unheard),
    )


def readings(
    utterances: Sequence[Utterance], terms: Terms, *, own: bool, adapt_with: int | None = None, seed: int = 0
) -> int:
    """How many recordings `compare` reads; ``own`` unless a profile is given to it.

    Raises ProfileError: a corpus has too few recordings to adapt to.
    """
    drawn = collections(utterances, adapt_with=adapt_with, seed=seed) if own else {}
    return len(_to_read(utterances, terms, {id_ for ids in drawn.values() for id_ in ids}))


def collections(utterances: Sequence[Utterance], *, adapt_with: int | None, seed: int) -> dict[str, list[str]]:
    """Corpus -> ids of the recordings that it is adapted to by: all, or ``adapt_with`` of them in a random order.

    Recordings whose file does not exist do not count.
    What is drawn of a corpus depends on its ids and the seed alone; more recordings are those of fewer, and others.

    Raises ProfileError: fewer than make a profile.
    """
    found: dict[str, list[str]] = {}
    for utterance in utterances:
        found.setdefault(utterance.corpus, [])
        if utterance.path.is_file():
            found[utterance.corpus].append(utterance.id)
    for corpus, ids in found.items():
        wanted = len(ids) if adapt_with is None else adapt_with
        if min(len(ids), wanted) < LEAST_COUNT:
            raise ProfileError(
                f"{corpus}: {len(ids)} recordings, {wanted} of them to adapt to; a profile needs at least "
                f"{LEAST_COUNT}: adapt with more of them, or score this corpus without"
            )
    return {corpus: shuffled(ids, (seed, "adapt", corpus))[:adapt_with] for corpus, ids in sorted(found.items())}


def _to_read(utterances: Sequence[Utterance], terms: Terms, members: set[str]) -> list[Utterance]:
    """What is scored or adapted to, in order."""
    return [utterance for utterance in utterances if terms.takes(utterance) or utterance.id in members]


def _rows(
    recognizer: Recognizer,
    kept: Sequence[tuple[Utterance, Heard]],
    profiles: Mapping[str, Profile],
    terms: Terms,
    *,
    speakers: bool,
) -> tuple[Row, ...]:
    """The rows of what was heard, answered by the profile of each corpus."""
    adapted = {corpus: recognizer.with_profile(profile) for corpus, profile in profiles.items()}
    return tuple(
        answered(
            adapted[utterance.corpus],
            utterance,
            heard,
            terms,
            speaker=name_in(profiles, speaker_of(utterance), utterance.corpus) if speakers else None,
        )
        for utterance, heard in kept
    )


def name_in(profiles: Mapping[str, Profile], speaker: str | None, corpus: str) -> str | None:
    """What the profile of a corpus calls a speaker; unless it knows the speaker, what the corpus does."""
    bare = None if speaker is None or len(profiles) > 1 else speaker.removeprefix(f"{corpus}/")
    known = profiles[corpus].speakers
    return bare if speaker not in known and bare in known else speaker
