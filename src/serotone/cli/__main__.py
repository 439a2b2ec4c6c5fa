"""``python -m serotone.cli``: the same as the command ``serotone``."""

from serotone.cli import main

if __name__ == "__main__":
    main()
