"""A bundle at work: audio in, predictions out, with onnxruntime."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sized
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serotone import audio
from serotone.ahead import ahead
from serotone.audio import Source
from serotone.audio.decoding import whole
from serotone.errors import AudioError, BundleError, MissingExtraError, SerotoneError, SerotoneWarning
from serotone.names import count_of
from serotone.recognition.adaptation import Adaptation
from serotone.recognition.answering import Answerer
from serotone.recognition.bundle import EMBEDDING, MODEL, Bundle
from serotone.recognition.hearing import Hearing, Listener, Row, Sound, all_of_it
from serotone.recognition.loading import DEFAULT_BUNDLE, load_bundle
from serotone.recognition.prediction import Prediction
from serotone.recognition.profile import Profile, ProfileBuilder, check_speaker, load_profile
from serotone.recognition.session import open_session
from serotone.recognition.stream import UPDATE_SECONDS, Stream


class Recognizer(Answerer):
    """Recognises emotion in speech with a bundle, given by shipped name or path.

    ``threads`` is the number of threads that one answer may use, of which there are no more than processors. ``sha256``
    is the digest of the bundle that the caller expects. ``current_profile`` is what its answers are adapted to; None
    for a plain recogniser, whose answers depend on their recording and the bundle alone.

    One recogniser may be shared between threads. It can be pickled: the bundle's files must lie at the same path where
    it is loaded, and its graph is opened there anew. `close`, or the end of a ``with`` statement, lets go of the graph.

    Raises BundleError: the bundle is missing, damaged, of an unknown format, or its graph cannot be run here.
    Raises ValueError: ``threads`` is below 1.
    """

    def __init__(
        self, bundle: str | Path | Bundle = DEFAULT_BUNDLE, *, threads: int = 1, sha256: str | None = None
    ) -> None:
        if isinstance(bundle, Bundle):  # read again where a digest is asked for: it may be another one by now
            self.bundle = bundle if sha256 is None else load_bundle(bundle.path, sha256=sha256)
        else:
            self.bundle = load_bundle(bundle, sha256=sha256)
        self._threads = threads
        self._session: onnxruntime.InferenceSession | None = open_session(self.bundle, threads)

    def __repr__(self) -> str:
        adapted = "" if self.current_profile is None else f", adapted to {self.current_profile.name}"
        return f"<{type(self).__name__} {self.bundle.name} {self.bundle.version}{adapted}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the graph; hearing anything afterwards is a ValueError. Closing twice changes nothing.

        Recognisers that `with_profile` made of this one stay open: the memory is free when all are closed.
        """
        self._session = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_session": self._session is not None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._session = open_session(self.bundle, self._threads) if state["_session"] else None

    def _opened(self) -> onnxruntime.InferenceSession:
        """The graph; raises ValueError where this recogniser is closed."""
        session = self._session
        if session is None:
            raise ValueError(f"this recogniser ({self.bundle.name}) is closed; make another one")
        return session

    def predict(
        self,
        source: Source,
        *,
        source_rate: int | None = None,
        timeline: bool = False,
        strict: bool = False,
        max_seconds: float | None = None,
        start: float | None = None,
        end: float | None = None,
        channel: int | None = None,
        speaker: str | None = None,
    ) -> Prediction:
        """The emotion of one recording.

        ``source_rate`` (Hz) belongs to an array and only to it. ``timeline`` adds the segments. ``strict`` makes a
        truncated file an error; otherwise what decodes is heard, with a warning. ``start`` and ``end``, in seconds, say
        which part is heard; segments keep the times of the recording. ``channel`` is heard alone, 0 the first. A source
        longer than ``max_seconds`` is refused; there is no bound unless it is given, and memory is that of a few
        blocks however long the source is. ``speaker`` is whose voice it is, for a profile that knows them; without a
        profile it changes nothing.

        Raises AudioError: the source is missing, no audio, empty, not finite, longer than ``max_seconds``, or shorter
        than the bundle's ``min_seconds``, or it has no such part or channel.
        Raises ValueError: this recogniser is closed. Raises TypeError: ``speaker`` is neither a string nor None.
        """
        check_speaker(speaker)
        hearing = self.hear(
            source,
            source_rate=source_rate,
            timeline=timeline,
            strict=strict,
            max_seconds=max_seconds,
            start=start,
            end=end,
            channel=channel,
            keep=lambda row: self.answered(row, speaker),
        )
        whole = None if hearing.whole is None else self.answered(hearing.whole, speaker)
        return self.answer(replace(hearing, whole=whole, profile=self.profile_for(speaker)), speaker=speaker)

    def predict_many(
        self,
        sources: Iterable[Source],
        *,
        source_rate: int | None = None,
        timeline: bool = False,
        strict: bool = False,
        max_seconds: float | None = None,
        start: float | None = None,
        end: float | None = None,
        channel: int | None = None,
        speakers: Iterable[str | None] | None = None,
        jobs: int = 1,
        on_error: Literal["return", "raise"] = "return",
    ) -> Iterator[Prediction | tuple[Source, SerotoneError]]:
        """The emotion of each recording, in order, as it is ready; ``speakers`` has whose voice each is.

        Everything else is as for `predict`, and the same for all: ``start``, ``end`` and ``channel``, too. A source
        that cannot be heard gives ``(source, error)`` and the rest go on; ``on_error="raise"`` stops there. ``jobs``
        recordings are heard at a time, each in a thread of its own and each with this recogniser's ``threads``; those
        that have begun end before the iterator is closed.

        Raises ValueError: ``jobs`` is below 1, or there are more recordings than ``speakers``, or fewer.
        Raises TypeError: one of the speakers is neither a string nor None.
        """
        if on_error not in ("return", "raise"):
            raise ValueError(f"on_error is {on_error!r}; expected 'return' or 'raise'")

        def answered(pair: tuple[Source, str | None]) -> Prediction | tuple[Source, SerotoneError]:
            source, speaker = pair
            try:
                return self.predict(
                    source,
                    source_rate=source_rate,
                    timeline=timeline,
                    strict=strict,
                    max_seconds=max_seconds,
                    start=start,
                    end=end,
                    channel=channel,
                    speaker=speaker,
                )
            except SerotoneError as error:
                if on_error == "raise":
                    raise
                return source, error

        yield from ahead(answered, _paired(sources, speakers), jobs=jobs)

    def predict_audio(self, heard: audio.Audio, *, timeline: bool = False, speaker: str | None = None) -> Prediction:
        """The emotion of audio that has been read already, at the bundle's sample rate.

        Up to ``max_seconds`` it goes through whole. Longer audio goes through as windows, and the answer is the mean of
        their log-probabilities weighted by the seconds of speech in each. The segments always come from windows.
        """
        return self.answer(self.hear_audio(heard, timeline=timeline), speaker=speaker)

    def adapted_to(
        self,
        sources: Iterable[Source],
        *,
        speakers: Iterable[str | None] | None = None,
        name: str = "collection",
        source_rate: int | None = None,
        start: float | None = None,
        end: float | None = None,
        channel: int | None = None,
    ) -> "Recognizer":
        """A recogniser adapted to a collection of unlabelled recordings, which are read once; see `profile`."""
        profile = self.profile(
            sources,
            speakers=speakers,
            name=name,
            source_rate=source_rate,
            start=start,
            end=end,
            channel=channel,
        )
        return self.with_profile(profile)

    def adaptation(self) -> Adaptation:
        """The heads that answer adapted; raises BundleError where the bundle has none."""
        if self._adaptation is not None:
            return self._adaptation
        adaptation = Adaptation(self.bundle)
        (width,) = (item.shape[-1] for item in self._opened().get_outputs() if item.name == EMBEDDING)
        if isinstance(width, int) and width != adaptation.width:
            raise BundleError(
                f"{self.bundle.path}: embeddings of {width} numbers, and heads for {adaptation.width}: export it again"
            )
        return adaptation

    def with_profile(self, profile: Profile | str | Path) -> "Recognizer":
        """A recogniser that answers adapted to a profile, or to the one in a file; it shares this one's graph.

        Raises ProfileError: the profile belongs to another bundle, or its file is damaged.
        Raises BundleError: this bundle cannot be adapted.
        """
        adaptation = self.adaptation()
        profile = profile if isinstance(profile, Profile) else load_profile(profile)
        profile.check(self.bundle)
        adaptation.check(profile)
        adapted = object.__new__(type(self))  # a copy would open the graph again
        adapted.__dict__.update(self.__dict__)
        adapted._adaptation, adapted.current_profile = adaptation, profile
        return adapted

    def profile(
        self,
        sources: Iterable[Source],
        *,
        speakers: Iterable[str | None] | None = None,
        name: str = "collection",
        source_rate: int | None = None,
        strict: bool = False,
        start: float | None = None,
        end: float | None = None,
        channel: int | None = None,
        on_error: Callable[[Source, SerotoneError], None] | None = None,
    ) -> Profile:
        """The profile of a collection of unlabelled recordings, each read once and forgotten.

        ``speakers`` has whose voice each recording is, None where that is not known; each gets statistics of their own
        within the collection. ``start``, ``end`` and ``channel`` are as for `predict`. A recording up to
        ``max_seconds`` counts as one; of a longer one each window with speech does. Recordings that cannot be read are
        passed over: ``on_error`` is called for each, or else a SerotoneWarning counts them.

        Raises ProfileError: fewer than five clips or windows with speech.
        Raises BundleError: this bundle cannot be adapted.
        Raises ValueError: there are more recordings than ``speakers``, or fewer.
        Raises TypeError: one of the speakers is neither a string nor None.
        """
        adaptation = self.adaptation()
        builder = ProfileBuilder(name, self.bundle)
        failed: list[SerotoneError] = []
        for source, speaker in _paired(sources, speakers):
            try:
                heard = self.hear(source, source_rate=source_rate, strict=strict, start=start, end=end, channel=channel)
                builder.add(heard.embeddings, speaker)
            except (AudioError, MissingExtraError) as error:
                failed.append(error)
                if on_error is not None:
                    on_error(source, error)
        if failed and on_error is None:
            message = f"{name}: {len(failed)} recordings were left out; the first one because: {failed[0]}"
            warnings.warn(message, SerotoneWarning, stacklevel=2)
        profile = builder.profile()
        adaptation.check(profile)
        return profile

    def hear(
        self,
        source: Source,
        *,
        source_rate: int | None = None,
        timeline: bool = False,
        strict: bool = False,
        max_seconds: float | None = None,
        start: float | None = None,
        end: float | None = None,
        channel: int | None = None,
        keep: Callable[[Row], Row] = all_of_it,
    ) -> Hearing:
        """What this recogniser hears in a recording: all that `answer` needs, and no audio; arguments as for `predict`.

        ``keep`` says what is kept of each window. As it is, it can be answered adapted to any profile; without its
        embedding, it takes next to no memory. Raises as `predict`.
        """
        self._opened()  # before anything is decoded
        with audio.blocks(
            source,
            sample_rate=self.bundle.sample_rate,
            source_rate=source_rate,
            min_seconds=self.bundle.min_seconds,
            max_seconds=max_seconds,
            strict=strict,
            start=start,
            end=end,
            channel=channel,
        ) as blocks:
            return self.hear_blocks(blocks, timeline=timeline, start=start or 0.0, channel=channel, keep=keep)

    def hear_blocks(
        self,
        blocks: Sound,
        *,
        timeline: bool = False,
        start: float = 0.0,
        channel: int | None = None,
        keep: Callable[[Row], Row] = all_of_it,
    ) -> Hearing:
        """The same for sound that comes block by block at the bundle's sample rate, decoded wherever that may be.

        ``start``, in seconds of the source, and ``channel`` say what the blocks are.
        """
        listener = Listener(self.bundle, self.graph, windows=timeline, keep=keep)
        for block in blocks:
            listener.feed(block)
        hearing = listener.finish(blocks.name, silent=blocks.silent, warnings=blocks.warnings)[1]
        own = None if channel is None else whole("channel", channel)
        return replace(hearing, notes=blocks.notes, channel=own, begin=float(start))

    def hear_audio(self, heard: audio.Audio, *, timeline: bool = False) -> Hearing:
        """The same for audio that has been read already, at the bundle's sample rate."""
        if heard.sample_rate != self.bundle.sample_rate:
            raise AudioError(
                f"{heard.name}: {heard.sample_rate} Hz; {self.bundle.name} hears {self.bundle.sample_rate} Hz: "
                f"read it with sample_rate={self.bundle.sample_rate}"
            )
        listener = Listener(self.bundle, self.graph, windows=timeline)
        listener.feed(heard.samples)
        hearing = listener.finish(heard.name, silent=heard.silent, warnings=heard.warnings)[1]
        return replace(hearing, notes=heard.notes)

    def stream(
        self,
        *,
        sample_rate: int,
        name: str = "stream",
        speaker: str | None = None,
        adapt: bool = False,
        every_seconds: float | None = UPDATE_SECONDS,
    ) -> Stream:
        """A stream of live speech, mono at ``sample_rate`` Hz, in pieces of any size.

        ``every_seconds`` it says what it hears now; with None it gives final updates alone, which takes less time.
        ``adapt`` lets its own profile grow as it hears; see `Stream`. ``speaker`` is whose voice it is, for a profile
        that knows them.

        Raises BundleError: ``adapt`` is asked of a bundle that cannot be adapted.
        Raises ValueError: the sample rate is out of range, ``every_seconds`` is below .1, or this recogniser has a
            profile already and shall adapt.
        """
        return Stream(
            self, sample_rate=sample_rate, name=name, speaker=speaker, adapt=adapt, every_seconds=every_seconds
        )

    def graph(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """What the graph says to a waveform (T,): probabilities (C,), and the embedding (D,) where it has that output.

        Raises BundleError: it answers NaN or infinity, or cannot take a waveform of this length.
        """
        session = self._opened()
        embeds = any(output.name == EMBEDDING for output in session.get_outputs())
        outputs = ["probabilities", EMBEDDING] if embeds else ["probabilities"]
        try:
            answers = [values[0] for values in session.run(outputs, {"waveform": samples[None]})]
        except Exception as error:  # onnxruntime's own errors share no base but Exception
            seconds, problem = len(samples) / self.bundle.sample_rate, " ".join(str(error).split())[:200]
            raise BundleError(
                f"{self.bundle.path / MODEL}: fails on {seconds:.3g} s of audio ({problem}); min_seconds and"
                " window_seconds in bundle.json may not fit it: use another bundle, or export it again"
            ) from error
        if not all(np.isfinite(values).all() for values in answers):
            raise BundleError(f"{self.bundle.name} answered NaN or infinity; its graph is faulty, use another bundle")
        return answers[0], answers[1] if len(answers) > 1 else None


def _paired(sources: Iterable[Source], speakers: Iterable[str | None] | None) -> Iterator[tuple[Source, str | None]]:
    """Each source with its speaker.

    Raises ValueError: they differ in number. Raises TypeError: it is one source, or a speaker is no string.
    """
    if isinstance(sources, str | bytes | Path | np.ndarray):
        raise TypeError(f"sources is one {type(sources).__name__}; expected several recordings: give a list of them")
    if speakers is None:
        yield from zip(sources, repeat(None))
        return
    if isinstance(sources, Sized) and isinstance(speakers, Sized) and len(sources) != len(speakers):
        raise _unequal(count_of(len(sources), "recording"), count_of(len(speakers), "speaker"))
    if isinstance(speakers, Collection):  # all of them before anything is heard
        for speaker in speakers:
            check_speaker(speaker)
    count, left = 0, iter(speakers)
    for source in sources:
        try:
            speaker = next(left)
        except StopIteration:
            raise _unequal(f"more than {count_of(count, 'recording')}", count_of(count, "speaker")) from None
        check_speaker(speaker)
        yield source, speaker
        count += 1
    for _ in left:
        raise _unequal(count_of(count, "recording"), f"more than {count_of(count, 'speaker')}")


def _unequal(sources: str, speakers: str) -> ValueError:
    return ValueError(f"{sources} and {speakers}; give one for each")
