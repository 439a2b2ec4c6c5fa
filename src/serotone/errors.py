"""Every error a user can meet, one tree.

    SerotoneError
    ├── AudioError                what was asked to be heard cannot be heard
    │   ├── AudioMissingError         no such file
    │   ├── AudioFormatError          not audio that can be decoded here
    │   ├── AudioEmptyError           a header and no samples
    │   ├── AudioNotFiniteError       NaN, infinity or far too great a value among the samples
    │   ├── AudioTooShortError        shorter than the asked minimum
    │   ├── AudioTooLongError         longer than the stated bound
    │   └── AudioTruncatedError       ends early, and the caller asked to be strict
    ├── CorpusError               a folder or manifest is not the corpus it is said to be
    ├── SplitError                a protocol cannot be carried out on these utterances
    ├── MetricError               truth and prediction cannot be scored
    ├── RecipeError               a recipe, or an override of it, is not valid
    ├── WeightsError              pretrained weights are missing, damaged, or do not fit the recipe
    ├── BundleError               a bundle is missing, damaged or of an unknown format
    ├── ProfileError              a profile cannot be made, read or used with this bundle
    ├── RunError                  a run folder cannot be used or resumed
    ├── FetchError                a file could not be fetched from the network
    └── MissingExtraError         an optional part is not installed

Every message states what was given, what was expected and what to do about it.
"""

import errno

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a place where nothing more can be written."""

NO_DISK = "make sure that the disk has room and works, then run the same command again"
"""The end of a :func:`reason` that lies with a disk, so that nothing else can be written there either."""


class SerotoneError(Exception):
    """Base of every error that serotone raises on purpose."""


class AudioError(SerotoneError):
    """Audio that cannot be used; the message starts with the name of the file."""


class AudioMissingError(AudioError):
    """No file at the given path."""


class AudioFormatError(AudioError):
    """Bytes that no installed decoder recognises as audio."""


class AudioEmptyError(AudioError):
    """Audio without a single sample."""


class AudioNotFiniteError(AudioError):
    """Samples that are NaN, infinite or a million times louder than full scale."""


class AudioTooShortError(AudioError):
    """Audio shorter than the minimum that was asked for."""


class AudioTooLongError(AudioError):
    """Audio longer than the bound that was asked for."""


class AudioTruncatedError(AudioError):
    """Audio that ends before its header says, read with ``strict=True``."""


class CorpusError(SerotoneError):
    """A folder or manifest that is not the corpus it was said to be."""


class SplitError(SerotoneError):
    """A protocol that cannot be carried out on the given utterances."""


class MetricError(SerotoneError):
    """Truth and prediction that cannot be scored against each other."""


class RecipeError(SerotoneError):
    """A recipe, or an override of one of its keys, that is not valid."""


class WeightsError(SerotoneError):
    """Pretrained weights that are missing, damaged, or do not fit the recipe's encoder."""


class BundleError(SerotoneError):
    """A bundle that is missing, damaged or of a format unknown here."""


class ProfileError(SerotoneError):
    """A profile that cannot be made, read, or used with this bundle."""


class RunError(SerotoneError):
    """A run folder that cannot be used or resumed."""


class FetchError(SerotoneError):
    """A file that could not be fetched from the network."""


class MissingExtraError(SerotoneError):
    """An optional part of serotone that is not installed, or a ``package`` that ``extra`` works with."""

    def __init__(self, what: str, extra: str, package: str | None = None) -> None:
        missing, name = ("an optional part", f"'serotone[{extra}]'") if package is None else (package, package)
        super().__init__(f"{what} needs {missing}; install it with: pip install {name}")
        self.extra = extra


class SerotoneWarning(UserWarning):
    """Something odd about the input that did not prevent an answer."""


def reason(error: BaseException) -> str:
    """An error in a line: its words alone where they are serotone's own, else with its type."""
    if isinstance(error, OSError) and error.errno in (*NO_ROOM, errno.EIO):
        return f"{error.filename or 'disk'}: {error.strerror}; {NO_DISK}"
    words = " ".join(str(error).split())
    return words if type(error).__module__.startswith("serotone") else f"{type(error).__name__}: {words}"
