"""Profiles that the server keeps: a bounded number, in memory, or in a folder where they outlive it."""

import re
import threading
from collections.abc import Mapping
from pathlib import Path

from serotone.errors import SerotoneError
from serotone.names import first_few
from serotone.recognition.profile import load_profile
from serotone.recognition.recognizer import Recognizer
from serotone.serving.limits import NAME
from serotone.serving.problems import ProblemError

SUFFIX = ".profile.json"


class Profiles:
    """Adapted recognisers by the names of their profiles; may be shared between threads.

    In a folder, ``NAME.profile.json`` is what ``serotone adapt`` writes, so that one can be put there by hand. It is
    asked for as NAME, whatever name the file itself holds. Those that cannot be used are passed over, and so are other
    JSON files, which may be profiles too; ``left_out`` has a line about each, for the log of a server that begins.
    """

    def __init__(self, most: int, recognizers: Mapping[str, Recognizer], folder: Path | None = None) -> None:
        self._most, self._folder = most, folder
        self._kept: dict[str, Recognizer] = {}
        self._lock = threading.Lock()
        self.left_out: list[str] = []
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(path.name for path in folder.glob("*.json") if not path.name.endswith(SUFFIX))
        if others:
            hint = f"to serve a profile, call its file NAME{SUFFIX}"
            self.left_out.append(f"{first_few(others)} in {folder}; {hint}")
        plain = {recognizer.bundle.sha256: recognizer for recognizer in recognizers.values()}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            name = path.name.removesuffix(SUFFIX)
            try:
                if not path.is_file():  # a pipe would be waited for
                    raise ProblemError(409, f"{path}: not a file")
                profile = load_profile(path)
                if profile.bundle_sha256 not in plain:
                    raise ProblemError(404, f"{path}: a profile of {profile.bundle}, which is not served here")
                if not re.fullmatch(NAME, name) or len(self._kept) >= most:
                    raise ProblemError(409, f"{path}: not a valid name, or more than {most} profiles")
                self._kept[name] = plain[profile.bundle_sha256].with_profile(profile)
            except (SerotoneError, ProblemError) as error:
                self.left_out.append(str(error))

    def all(self) -> dict[str, Recognizer]:
        """The adapted recognisers by the names of their profiles, sorted, as they are now."""
        with self._lock:
            return dict(sorted(self._kept.items()))

    def get(self, name: str) -> Recognizer:
        """The recogniser that is adapted to a profile; raises ProblemError where there is none of that name."""
        with self._lock:
            if name in self._kept:
                return self._kept[name]
        raise ProblemError(404, f"no profile {name}; make it with POST /v1/profiles, or ask GET /v1/profiles")

    def check(self, name: str) -> None:
        """Raise ProblemError where no profile can be added under this name."""
        with self._lock:
            self._check(name)

    def add(self, name: str, recognizer: Recognizer) -> None:
        """Keep an adapted recogniser; raises ProblemError as `check`."""
        profile = recognizer.current_profile
        assert profile is not None
        with self._lock:
            self._check(name)
            if (path := self._path(name)) is not None:
                profile.save(path)
            self._kept[name] = recognizer

    def remove(self, name: str) -> None:
        """Forget a profile; raises ProblemError where there is none of that name."""
        self.get(name)
        with self._lock:
            if (path := self._path(name)) is not None:
                path.unlink(missing_ok=True)  # first: what cannot be deleted would be back after the next start
            self._kept.pop(name, None)

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}{SUFFIX}"

    def _check(self, name: str) -> None:
        path = self._path(name)
        if name not in self._kept and path is not None and path.exists():
            raise ProblemError(
                409, f"there is a file of a profile {name} that this server has not read; choose another name"
            )
        if name in self._kept:
            raise ProblemError(409, f"there is already a profile {name}; delete it, or choose another name")
        if len(self._kept) >= self._most:
            raise ProblemError(409, f"{len(self._kept)} profiles are kept, which is the limit; delete one")
