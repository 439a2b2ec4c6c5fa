"""What the core install costs: size, number of packages, time.

    python benchmarks/core_install.py [--python python3.12] [--out F]

Makes an empty environment aside, installs the project there as a user would (no extra, not editable) with the pinned
constraints, and counts. pip itself, which every environment has, is left out. The aim: under 200 MB of site-packages,
bundles and compiled bytecode included.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {"pip", "setuptools", "wheel"}

# Runs in the new environment: bytes per distribution, and of everything in site-packages.
COUNT = """
import importlib.metadata, json, pathlib, sysconfig
folder = pathlib.Path(sysconfig.get_path("purelib"))
sizes = {}
for d in importlib.metadata.distributions():
    found = [pathlib.Path(d.locate_file(f)) for f in d.files or []]
    sizes[d.metadata["Name"]] = sum(p.stat().st_size for p in set(found) if p.is_file())
print(json.dumps({"sizes": sizes, "all": sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())}))
"""


def main() -> int:
    """Install, count, print a table, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter to make the environment with")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="serotone-core-") as folder:
        start = time.perf_counter()
        run([arguments.python, "-m", "venv", folder])
        environment_seconds = time.perf_counter() - start
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        start = time.perf_counter()
        run([*pip, "--constraint", str(ROOT / "constraints.txt"), str(ROOT)])
        install_seconds = time.perf_counter() - start
        counted = json.loads(run([python, "-c", COUNT]))

    sizes = {name: size for name, size in counted["sizes"].items() if name.lower() not in NOT_OURS}
    others = sum(size for name, size in counted["sizes"].items() if name not in sizes)
    total_mb = (counted["all"] - others) / 1e6
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"  {name:28}{size / 1e6:8.1f} MB")
    print(f"{'size of site-packages':30}{total_mb:8.1f} MB    (aim: under 200)")
    print(f"{'packages':30}{len(sizes):8d}")
    print(f"{'seconds to install':30}{install_seconds:8.1f}       (and {environment_seconds:.1f} for the empty venv)")

    if arguments.out:
        figures = {
            "schema": 1,
            "machine": machine(),
            "python": platform.python_version(),
            "site_packages_mb": total_mb,
            "packages": {name: size / 1e6 for name, size in sorted(sizes.items())},
            "install_seconds": install_seconds,
            "environment_seconds": environment_seconds,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def run(command: list[str]) -> str:
    """Standard output of a command; one that fails ends the benchmark with what it said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
