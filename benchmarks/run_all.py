"""Run the benchmarks of this folder; figures go to results/benchmarks/<name>.json.

make bench        or        python benchmarks/run_all.py [--out-folder F] [NAME ...]

Those that need real recordings find them in the folder SEROTONE_DATA, and are left out, with a line that says so, where
it is not set. Those that need corpora by name or run for minutes to hours are run by hand: docs/bundles.md and
results/README.md have their commands.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BY_HAND = ("alternatives", "eight_bits", "kills", "light", "schedules", "strangers", "tables")
ON_RECORDINGS = ("conversations", "robustness", "scoring", "speech_or_not")


def main() -> int:
    """Run them one after another; exit status 1 where one failed."""
    scripts = {path.stem: path for path in sorted(HERE.glob("*.py")) if path.stem not in ("run_all", *BY_HAND)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of: {', '.join(scripts)}")
    parser.add_argument("--out-folder", type=Path, default=HERE.parent / "results" / "benchmarks")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(scripts):
        parser.error(f"{', '.join(sorted(unknown))}: no such benchmark; there are {', '.join(scripts)}")

    arguments.out_folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in arguments.names or scripts:
        print(f"\n== {name}", flush=True)
        if name in ON_RECORDINGS and not os.environ.get("SEROTONE_DATA"):
            print("left out: it needs real recordings; set SEROTONE_DATA to the folder of the corpora")
            continue
        out = arguments.out_folder / f"{name}.json"
        if subprocess.run([sys.executable, str(scripts[name]), "--out", str(out)], check=False).returncode != 0:
            failed.append(name)
    print(f"\n{'failed: ' + ', '.join(failed) if failed else 'all ran'}; figures in {arguments.out_folder}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
