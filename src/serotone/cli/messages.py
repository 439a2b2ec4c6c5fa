"""What goes to standard error: one line per message, whatever is in a file's name, and progress on a terminal."""

import re
import sys
import time
from typing import TYPE_CHECKING

from serotone.names import UNSAFE, utf8

if TYPE_CHECKING:
    from serotone.recognition.bundle import Bundle

_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_UNSAFE = re.compile(f"[{UNSAFE}]")


def one_line(message: object) -> str:
    r"""The text on one line: what could move a terminal's cursor, or show a text in another order, is escaped.

    Blanks and joiners of any script stay as they are.

    >>> one_line("call\u3000one\nnote: \x1b[2J")
    'call\u3000one note: \\x1b[2J'
    """
    return _UNSAFE.sub(_escaped, utf8(_LONE.sub(_escaped, str(message))))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return " " if found[0] in "\n\t" else f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def complain(message: object) -> None:
    """One line that begins with ``error:``."""
    sys.stderr.write(f"error: {one_line(message)}\n")


def remark(message: object) -> None:
    """One line that begins with ``note:``."""
    sys.stderr.write(f"note: {one_line(message)}\n")


def remark_terms(bundle: "Bundle") -> None:
    """One line on what a bundle may be used for, where that is not everything; for commands that answer with it."""
    if bundle.non_commercial:
        remark(f"{bundle.name} is for non-commercial use only; its training data require that (see bundle show)")


class Progress:
    """A bar on standard error that counts to ``total``; nothing at all where that is no terminal."""

    def __init__(self, total: int, what: str, *, shown: bool = True) -> None:
        self._total = total
        self._what = what
        self._shown = shown and total > 1 and sys.stderr.isatty()
        self._done = 0
        self._last = 0.0

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        now = time.monotonic()
        if self._shown and now - self._last > 0.1:
            self._last = now
            filled = 24 * self._done // self._total
            bar = "#" * filled + "." * (24 - filled)
            sys.stderr.write(f"\r[{bar}] {self._done} of {self._total} {self._what}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the bar away, before a message or at the end."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
