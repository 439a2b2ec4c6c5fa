"""``python -m serotone`` is the command ``serotone``."""

from serotone.cli import main

main()
