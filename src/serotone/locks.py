"""One process at a time: a lock on an open file, which ends when the file is closed or its process ends."""

import errno
import os
import sys
import time

_PLACE = 2**31 - 2  # locked bytes cannot be read on Windows; this one lies behind the end, as far as msvcrt can reach
_RETRY_SECONDS = 0.1


def lock(file: int, *, wait: bool = False) -> None:
    """Hold an open file, given by its descriptor, for this process; ``wait`` for whoever holds it now.

    Raises BlockingIOError: another process holds it. Raises OSError: its disk knows no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        at = os.lseek(file, 0, os.SEEK_CUR)
        os.lseek(file, _PLACE, os.SEEK_SET)
        try:
            while True:
                try:
                    msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
                    return
                except PermissionError as error:
                    if not wait:
                        raise _busy(error) from None
                time.sleep(_RETRY_SECONDS)
        finally:
            os.lseek(file, at, os.SEEK_SET)
    else:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except PermissionError as error:  # some systems say so of a file that another process holds
            raise _busy(error) from None


def _busy(error: OSError) -> BlockingIOError:
    return BlockingIOError(errno.EWOULDBLOCK, error.strerror)
