"""What a bundle answers to what was heard: label, probabilities and segments, plain or adapted to a profile."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serotone.errors import BundleError
from serotone.recognition.adaptation import Adaptation
from serotone.recognition.bundle import ADAPTATION_LEVELS, Bundle
from serotone.recognition.hearing import Hearing, Row
from serotone.recognition.prediction import Prediction, Segment
from serotone.recognition.profile import Profile, check_speaker
from serotone.recognition.timeline import Stretch, stretches
from serotone.recognition.windows import pooled


class Answerer:
    """Answers to what was heard with ``bundle``, adapted to ``current_profile`` where there is one."""

    bundle: Bundle
    current_profile: Profile | None = None
    _adaptation: Adaptation | None = None

    def answer(self, hearing: Hearing, *, speaker: str | None = None) -> Prediction:
        """The emotion of a recording from what was heard in it; ``speaker`` as for `predict`.

        Raises BundleError: another bundle heard it.
        Raises TypeError: ``speaker`` is neither a string nor None.
        """
        check_speaker(speaker)
        bundle = self.bundle
        if hearing.bundle not in (None, bundle.sha256):
            raise BundleError(
                f"{hearing.name}: another bundle than {bundle.name} heard it; let the recogniser answer that heard it"
            )
        known = hearing.profile or self.profile_for(speaker)
        threshold = self.uncertain_below(known)
        rows, answer = hearing.answering, None
        if rows:
            weights = np.array([row.weight for row in rows])
            answer = pooled(self._answers(hearing, rows, speaker), weights)
        label, probabilities, confidence, uncertain = self.named(answer, threshold)
        reason = None
        if label is None:
            reason = "digital silence" if hearing.silent else hearing.silence
        elif uncertain:
            reason = f"confidence {_below(threshold, confidence)} is below {threshold:.12g}"
        segments = self._segments(hearing, speaker, threshold)
        return Prediction(
            name=hearing.name,
            label=label,
            probabilities=probabilities,
            confidence=confidence,
            uncertain=uncertain,
            reason=reason,
            speech_seconds=hearing.speech.total,
            duration_seconds=hearing.total / bundle.sample_rate,
            windows=max(1, len(rows)),
            warnings=hearing.warnings,
            bundle=f"{bundle.name} {bundle.version}",
            segments=segments if hearing.timeline else (),
            profile=known,
            channel=hearing.channel,
            notes=hearing.notes,
            shares=_shares(segments),
        )

    def named(
        self, probabilities: NDArray[np.float64] | None, threshold: float
    ) -> tuple[str | None, dict[str, float], float, bool]:
        """Label, named probabilities, confidence and whether it is uncertain."""
        if probabilities is None:
            return None, {}, 0.0, True
        best = int(probabilities.argmax())
        named = dict(zip(self.bundle.labels, probabilities.tolist(), strict=True))
        confidence = float(probabilities[best])
        return self.bundle.labels[best], named, confidence, confidence < threshold

    def probabilities(self, rows: Sequence[Row], speaker: str | None) -> NDArray[np.floating]:
        """Probabilities (N, C) of what was heard: the graph's, or those of this recogniser's profile."""
        if self.current_profile is None or self._adaptation is None:
            return _plain(rows)
        embeddings = [row.embedding for row in rows if row.embedding is not None]
        if len(embeddings) < len(rows):
            raise ValueError("heard without embeddings, which a profile needs; hear it again and keep them")
        return self._adaptation.probabilities(np.stack(embeddings), self.current_profile, speaker=speaker)

    def answered(self, row: Row, speaker: str | None) -> Row:
        """What was heard as it is answered, without its embedding; a `Hearing` of such rows says so in ``profile``."""
        return row._replace(probabilities=self.probabilities([row], speaker)[0], embedding=None)

    def uncertain_below(self, profile: Mapping[str, object] | None) -> float:
        """The confidence below which an answer is uncertain, plain or adapted to what `Prediction.profile` says."""
        level = None if profile is None else ADAPTATION_LEVELS[profile["speaker"] is not None]
        return self.bundle.uncertain_below(level)

    def profile_for(self, speaker: str | None) -> dict[str, object] | None:
        """What a prediction says of the profile that it is adapted to."""
        profile = self.current_profile
        if profile is None or self._adaptation is None:
            return None
        own = speaker if self._adaptation.level(profile, speaker) == "speaker" else None
        return {"name": profile.name, "count": profile.count, "speaker": own}

    def _answers(self, hearing: Hearing, rows: Sequence[Row], speaker: str | None) -> NDArray[np.floating]:
        """Probabilities (N, C) of rows of a hearing, which may be adapted already."""
        return self.probabilities(rows, speaker) if hearing.profile is None else _plain(rows)

    def _segments(self, hearing: Hearing, speaker: str | None, threshold: float) -> tuple[Segment, ...]:
        """The segments of a recording, where its windows are known."""
        if hearing.rows is None or not hearing.total:
            return ()
        rate = self.bundle.sample_rate
        found = [Stretch(0, hearing.total, 0.0, None)]
        if hearing.rows:
            answers = self._answers(hearing, hearing.rows, speaker)
            spans = [(row.start, row.stop) for row in hearing.rows]
            found = stretches(spans, answers, hearing.speech, total=hearing.total, sample_rate=rate)
        return tuple(
            Segment(
                hearing.begin + stretch.start / rate,
                hearing.begin + stretch.stop / rate,
                *self.named(stretch.probabilities, threshold),
                stretch.speech_seconds,
            )
            for stretch in found
        )


def _plain(rows: Sequence[Row]) -> NDArray[np.floating]:
    """Probabilities (N, C) of rows as they are."""
    return np.stack([row.probabilities for row in rows])


def _below(threshold: float, confidence: float) -> str:
    """A confidence to two digits, as tables round it, or to as many as it takes to be below the threshold.

    >>> _below(0.29, 0.27561), _below(0.29, 0.28974), _below(0.29, 0.28999999)
    ('0.28', '0.2897', '0.28999999')
    """
    rounded = (f"{confidence:.{digits}f}" for digits in range(2, 17))
    return next((text for text in rounded if float(text) < threshold), repr(confidence))


def _shares(segments: Sequence[Segment]) -> dict[str, float]:
    """The share of the seconds of speech that each label has, to four digits, the largest first."""
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.label is not None:
            seconds[segment.label] = seconds.get(segment.label, 0.0) + segment.speech_seconds
    total = sum(seconds.values())
    shares = {label: round(value / total, 4) for label, value in seconds.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
