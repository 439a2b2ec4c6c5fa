"""A bundle at work: audio in, predictions out, with onnxruntime."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serotone import audio
from serotone.errors import AudioError, BundleError, SerotoneError
from serotone.recognition.bundle import DEFAULT_BUNDLE, MODEL, Bundle, load_bundle
from serotone.recognition.prediction import Prediction, Segment
from serotone.recognition.timeline import Stretch, stretches
from serotone.recognition.windows import FLOOR_DBFS, SpeechMeter, pooled, spans

Source = str | Path | bytes | BinaryIO | NDArray[np.generic]
"""What can be heard: a path, the bytes of a file, an open file, or an array of samples."""


class Recognizer:
    """Recognises emotion in speech with a bundle, given by shipped name or path.

    ``threads`` is the number of threads that one answer may use. ``sha256`` is the digest of the bundle that the caller
    expects. One recogniser may be shared between threads.

    Raises BundleError: the bundle is missing, damaged, of an unknown format, or its graph cannot be run here.
    Raises ValueError: ``threads`` is below 1.
    """

    def __init__(
        self, bundle: str | Path | Bundle = DEFAULT_BUNDLE, *, threads: int = 1, sha256: str | None = None
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle, sha256=sha256)
        self._session = _open_session(self.bundle, threads)

    def predict(
        self,
        source: Source,
        *,
        source_rate: int | None = None,
        timeline: bool = False,
        strict: bool = False,
    ) -> Prediction:
        """The emotion of one recording.

        ``source_rate`` (Hz) belongs to an array and only to it. ``timeline`` adds the segments. ``strict`` makes a
        truncated file an error; otherwise what decodes is heard, with a warning.

        Raises AudioError: the source is missing, no audio, empty, not finite, or shorter than the bundle's
        ``min_seconds``.
        """
        heard = audio.read(
            source,
            sample_rate=self.bundle.sample_rate,
            source_rate=source_rate,
            min_seconds=self.bundle.min_seconds,
            strict=strict,
        )
        return self.predict_audio(heard, timeline=timeline)

    def predict_many(
        self,
        sources: Iterable[Source],
        *,
        source_rate: int | None = None,
        timeline: bool = False,
        strict: bool = False,
        on_error: Literal["return", "raise"] = "return",
    ) -> Iterator[Prediction | tuple[Source, SerotoneError]]:
        """The emotion of each recording, in order, as it is ready.

        A source that cannot be heard gives ``(source, error)`` and the rest go on; ``on_error="raise"`` stops there.
        """
        for source in sources:
            try:
                yield self.predict(source, source_rate=source_rate, timeline=timeline, strict=strict)
            except SerotoneError as error:
                if on_error == "raise":
                    raise
                yield source, error

    def predict_audio(self, heard: audio.Audio, *, timeline: bool = False) -> Prediction:
        """The emotion of audio that has been read already, at the bundle's sample rate.

        Up to ``max_seconds`` it goes through whole. Longer audio goes through as windows, and the answer is the mean of
        their log-probabilities weighted by the seconds of speech in each. The segments always come from windows.
        """
        bundle = self.bundle
        if heard.sample_rate != bundle.sample_rate:
            raise AudioError(
                f"{heard.name}: {heard.sample_rate} Hz; {bundle.name} hears {bundle.sample_rate} Hz: "
                f"read it with sample_rate={bundle.sample_rate}"
            )
        total = len(heard.samples)
        window = round(bundle.window_seconds * bundle.sample_rate)
        hop = round(bundle.hop_seconds * bundle.sample_rate)
        whole = total <= round(bundle.max_seconds * bundle.sample_rate)
        meter = SpeechMeter(heard.samples, bundle.sample_rate)
        windows = [(0, total)] if whole else spans(total, window, hop)
        answer: NDArray[np.float64] | None = None
        segments: list[Stretch] = []
        if meter.seconds() > 0:
            weights, probabilities = self._listen(heard, windows, meter)
            answer = pooled(probabilities[weights > 0], weights[weights > 0])
            if timeline:
                cuts = spans(total, window, hop)
                if cuts != windows:
                    weights, probabilities = self._listen(heard, cuts, meter)
                segments = stretches(cuts, probabilities, weights, meter, hop=hop, sample_rate=bundle.sample_rate)
        elif timeline:
            segments = [Stretch(0, total, 0.0, None)]
        label, named, confidence, uncertain = self._answer(answer)
        reason = None
        if label is None:
            reason = "digital silence" if heard.silent else f"no speech: nothing above {FLOOR_DBFS:g} dBFS"
        elif uncertain:
            reason = f"confidence {confidence:.2f} is below {bundle.thresholds['uncertain']:g}"
        return Prediction(
            name=heard.name,
            label=label,
            probabilities=named,
            confidence=confidence,
            uncertain=uncertain,
            reason=reason,
            speech_seconds=meter.seconds(),
            duration_seconds=total / bundle.sample_rate,
            windows=len(windows),
            warnings=heard.warnings,
            bundle=f"{bundle.name} {bundle.version}",
            segments=tuple(self._segment(stretch) for stretch in segments),
        )

    def _answer(self, probabilities: NDArray[np.float64] | None) -> tuple[str | None, dict[str, float], float, bool]:
        """Label, named probabilities, confidence and whether it is uncertain."""
        if probabilities is None:
            return None, {}, 0.0, True
        best = int(probabilities.argmax())
        named = dict(zip(self.bundle.labels, probabilities.tolist(), strict=True))
        confidence = float(probabilities[best])
        return self.bundle.labels[best], named, confidence, confidence < self.bundle.thresholds.get("uncertain", 0.0)

    def _segment(self, stretch: Stretch) -> Segment:
        label, named, confidence, uncertain = self._answer(stretch.probabilities)
        rate = self.bundle.sample_rate
        return Segment(
            stretch.start / rate, stretch.stop / rate, label, named, confidence, uncertain, stretch.speech_seconds
        )

    def _listen(
        self, heard: audio.Audio, windows: list[tuple[int, int]], meter: SpeechMeter
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Seconds of speech (N,) and probabilities (N, C) of windows of equal length; zeros for one without speech."""
        weights = np.array([meter.seconds(*window) for window in windows])
        answers = np.zeros((len(windows), len(self.bundle.labels)), np.float32)
        for row in np.flatnonzero(weights > 0):  # one at a time: a batch was no faster on one thread
            start, stop = windows[row]
            (answers[row : row + 1],) = self._session.run(
                ["probabilities"], {"waveform": heard.samples[None, start:stop]}
            )
        if not np.isfinite(answers).all():
            raise BundleError(
                f"{heard.name}: {self.bundle.name} answered NaN or infinity; its graph is faulty, use another bundle"
            )
        return weights, answers


def _open_session(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """The graph of a bundle, ready to run, its names and widths compared with the manifest."""
    if threads < 1:
        raise ValueError(f"threads is {threads}; expected at least 1")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Clips differ in length. Memory patterns keep a plan per length, and memory grows with every new one.
    options.enable_mem_pattern = False
    where = bundle.path / MODEL
    try:
        session = onnxruntime.InferenceSession(bundle.read(MODEL), options, providers=["CPUExecutionProvider"])
    except BundleError:
        raise
    except Exception as error:  # onnxruntime's own errors share no base but Exception
        problem = " ".join(str(error).split())[:200]
        raise BundleError(f"{where}: cannot be run here ({problem}); upgrade onnxruntime or export again") from error
    inputs = {item.name: item.shape for item in session.get_inputs()}
    outputs = {item.name: item.shape for item in session.get_outputs()}
    if set(inputs) != {"waveform"} or "probabilities" not in outputs:
        raise BundleError(
            f"{where}: inputs {sorted(inputs)}, outputs {sorted(outputs)}; "
            "a bundle's graph takes waveform and answers probabilities: export it again"
        )
    width = outputs["probabilities"][-1]
    if isinstance(width, int) and width != len(bundle.labels):
        raise BundleError(f"{where}: {width} classes; the manifest names {len(bundle.labels)}: export it again")
    return session
