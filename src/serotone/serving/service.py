"""What the server does between a request and its answer: blocking calls, for threads, that know nothing of HTTP."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from serotone.errors import AudioError, BundleError, ProfileError
from serotone.names import guess
from serotone.recognition.hearing import Hearing
from serotone.recognition.loading import DEFAULT_BUNDLE
from serotone.recognition.prediction import Prediction
from serotone.recognition.profile import ProfileBuilder
from serotone.recognition.recognizer import Recognizer
from serotone.serving.decoding import Decoded, Decoders, GoneError
from serotone.serving.limits import Limits
from serotone.serving.problems import ProblemError
from serotone.serving.profiles import Profiles
from serotone.serving.uploads import Upload


@dataclass(frozen=True, slots=True)
class Wish:
    """How a recording is to be answered; the fields are those of `Recognizer.predict`."""

    timeline: bool = False
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    strict: bool = False
    speaker: str | None = None


def check_adaptable(recognizer: Recognizer) -> None:
    """Raise ProblemError where a recogniser's bundle is none that can be adapted, BundleError where it is damaged."""
    try:
        recognizer.adaptation()
    except BundleError as error:
        if recognizer.bundle.adaptation:
            raise
        raise ProblemError(422, str(error), error=type(error).__name__) from None


class Service:
    """Recognisers, the children that decode for them, and profiles; may be shared between threads.

    Raises BundleError: a bundle cannot be loaded, or two have one name. Raises AudioError: the children do not start.
    """

    def __init__(
        self,
        bundles: Sequence[str | Path] = (DEFAULT_BUNDLE,),
        *,
        limits: Limits,
        profiles: Path | None = None,
        threads: int = 1,
    ) -> None:
        self.limits = limits
        loaded = [Recognizer(bundle, threads=threads) for bundle in bundles]
        names = [recognizer.bundle.name for recognizer in loaded]
        for name, bundle in zip(names, bundles, strict=True):
            if names.count(name) > 1:
                raise BundleError(f"{bundle}: another bundle here is also called {name}; serve one of the two")
        self.recognizers = dict(zip(names, loaded, strict=True))
        self.default = loaded[0].bundle.name
        self.profiles = Profiles(limits.profiles, self.recognizers, profiles)
        self.decoders = Decoders(limits.workers, memory_bytes=limits.decode_bytes, seconds=limits.decode_seconds)

    def close(self) -> None:
        """Let go of everything; to be called when nothing is being answered."""
        self.decoders.close()
        for recognizer in self.recognizers.values():
            recognizer.close()

    def recognizer(self, bundle: str | None, profile: str | None) -> Recognizer:
        """The recogniser of a bundle, or the one that is adapted to a profile.

        Raises ProblemError: there is no such bundle or profile here, or the profile is another bundle's.
        """
        if bundle is not None and bundle not in self.recognizers:
            known = ", ".join(self.recognizers)
            hint = guess(bundle, self.recognizers)
            raise ProblemError(404, f"no bundle {bundle[:80]!r} here{hint}; this server has {known}")
        if profile is None:
            return self.recognizers[bundle or self.default]
        adapted = self.profiles.get(profile)
        if bundle not in (None, adapted.bundle.name):
            raise ProblemError(
                422,
                f"the profile {profile} belongs to the bundle {adapted.bundle.name}, not {bundle}; leave bundle out",
            )
        return adapted

    def predict(self, recognizer: Recognizer, upload: Upload, wish: Wish, cancelled: threading.Event) -> Prediction:
        """The emotion of an upload; raises AudioError where it cannot be heard."""
        return recognizer.answer(self._hear(recognizer, upload, wish, cancelled), speaker=wish.speaker)

    def predict_apart(
        self, recognizer: Recognizer, upload: Upload, wish: Wish, cancelled: threading.Event
    ) -> list[Prediction]:
        """The emotion of each channel of an upload, in order; raises AudioError where it cannot be heard.

        Raises ProblemError: it has more channels than may be asked for.
        """
        # Of one channel: to mix them all, the decoder would first measure the recording to its end.
        with self._opened(recognizer, upload, replace(wish, channel=0), cancelled) as sound:
            count = sound.channels
        if count > self.limits.channels:
            most = self.limits.channels
            raise ProblemError(413, f"{upload.name}: has {count} channels; at most {most} are answered separately")
        return [
            self.predict(recognizer, upload, replace(wish, channel=channel), cancelled)
            for channel in (range(count) if count > 1 else (None,))
        ]

    def adapt(
        self, recognizer: Recognizer, uploads: Sequence[Upload], name: str, *, strict: bool, cancelled: threading.Event
    ) -> tuple[Recognizer, list[dict[str, str]]]:
        """A recogniser that is adapted to uploads, and which of them could not be heard.

        Raises ProfileError: too few could. Raises ProblemError, BundleError: as `check_adaptable`.
        """
        check_adaptable(recognizer)  # before anything is decoded
        builder = ProfileBuilder(name, recognizer.bundle)
        failures = []
        for upload in uploads:
            try:
                builder.add(self._hear(recognizer, upload, Wish(strict=strict), cancelled).embeddings)
            except AudioError as error:
                failures.append({"name": upload.name, "error": type(error).__name__, "message": str(error)})
        try:
            profile = builder.profile()
        except ProfileError as error:
            first = f"; the first recording that cannot be read: {failures[0]['message']}" if failures else ""
            raise ProfileError(f"{error}{first}") from None
        return recognizer.with_profile(profile), failures

    def _hear(self, recognizer: Recognizer, upload: Upload, wish: Wish, cancelled: threading.Event) -> Hearing:
        with self._opened(recognizer, upload, wish, cancelled) as sound:
            return recognizer.hear_blocks(sound, timeline=wish.timeline, start=wish.start or 0.0, channel=wish.channel)

    def _opened(
        self, recognizer: Recognizer, upload: Upload, wish: Wish, cancelled: threading.Event
    ) -> AbstractContextManager[Decoded]:
        if cancelled.is_set():
            raise GoneError
        bundle = recognizer.bundle
        return self.decoders.opened(
            upload.path,
            upload.name,
            cancelled=cancelled,
            sample_rate=bundle.sample_rate,
            min_seconds=bundle.min_seconds,
            max_seconds=self.limits.max_seconds,
            decoded_values=self.limits.decoded_values,
            strict=wish.strict,
            start=wish.start,
            end=wish.end,
            channel=wish.channel,
        )
