"""Lock what a deployment installs: every package of the core, of serving and of scoring, with the hashes of its files.

    python tools/lock.py            renew requirements/*.txt, after constraints.txt or pyproject.toml changed
    python tools/lock.py --check    exit status 1 where one is not up to date

    pip install --require-hashes -r requirements/core.txt && pip install --no-deps dist/serotone-*.whl

The lock holds for Python 3.11 to 3.14 on every system (``uv pip compile --universal``); it needs uv and an index.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS: dict[str, tuple[str, ...]] = {"core": (), "serve": ("serve", "codecs"), "score": ("score",)}
"""The extras of each lock; one that pyproject.toml does not have is left out."""


def main() -> int:
    """Renew or check the locks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where a lock is out of date")
    arguments = parser.parse_args()
    if find_spec("uv") is None:
        parser.error("uv is not installed: pip install uv")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    stale = []
    for name, extras in LOCKS.items():
        if not set(extras) <= set(known):
            print(f"{name}: left out, pyproject.toml has no extra {', '.join(extras)}")
            continue
        path = ROOT / "requirements" / f"{name}.txt"
        locked = lock(extras)
        if not path.is_file() or path.read_text(encoding="utf-8") != locked:
            stale.append(name)
            if not arguments.check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(locked, encoding="utf-8")
        packages = sum("==" in line for line in locked.splitlines() if not line.startswith((" ", "#")))
        print(f"{name}: {packages} packages{', out of date' if name in stale and arguments.check else ''}")
    return 1 if stale and arguments.check else 0


def lock(extras: tuple[str, ...]) -> str:
    """The text of a lock."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lock.txt"
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--universal"]
        command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
        command += ["--constraint", "constraints.txt", "--output-file", str(path)]
        for extra in extras:
            command += ["--extra", extra]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        return "# Made by tools/lock.py; renew it with that.\n" + path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
