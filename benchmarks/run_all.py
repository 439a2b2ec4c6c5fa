"""Run every benchmark of this folder; figures go to results/benchmarks/<name>.json.

make bench        or        python benchmarks/run_all.py [--out-folder F] [NAME ...]
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run them one after another; exit status 1 where one failed."""
    scripts = {path.stem: path for path in sorted(HERE.glob("*.py")) if path.stem not in ("run_all", "tables")}
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
        out = arguments.out_folder / f"{name}.json"
        if subprocess.run([sys.executable, str(scripts[name]), "--out", str(out)], check=False).returncode != 0:
            failed.append(name)
    print(f"\n{'failed: ' + ', '.join(failed) if failed else 'all ran'}; figures in {arguments.out_folder}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
