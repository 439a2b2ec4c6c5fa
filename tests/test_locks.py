"""What a deployment installs is locked: every package by its version and hashes, in agreement with the constraints."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, set[str]]:
    """Versions by name; a lock has two of a package that differs between versions of Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)", path.read_text(), re.MULTILINE):
        found.setdefault(plain(name), set()).add(version)
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_agrees_with_the_constraints_and_has_hashes(path: Path) -> None:
    constraints, locked = pins(ROOT / "constraints.txt"), pins(path)
    differing = {name: versions for name, versions in locked.items() if constraints.get(name, versions) != versions}
    assert differing == {}, "run tools/lock.py"
    entries = re.split(r"\n(?=[A-Za-z])", path.read_text().split("\n", 1)[1])
    assert len(entries) >= len(locked)
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_training_installs_only_what_it_imports() -> None:
    modules = {"pytorch-lightning": "pytorch_lightning", "annotated-types": "annotated_types", "pyyaml": "yaml"}
    sources = (ROOT / "src").rglob("*.py")
    imported = {name for path in sources for name in re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.M)}
    asked = {plain(re.split(r"[<>=]", requirement)[0]) for requirement in PROJECT["optional-dependencies"]["train"]}
    assert {name for name in asked if modules.get(name, name) not in imported} == {"serotone[plot]"}


def test_scoring_reads_from_web_servers() -> None:
    assert "aiohttp" in pins(ROOT / "requirements" / "score.txt")


def test_the_core_is_locked_whole() -> None:
    asked = {plain(re.split(r"[<>=\[]", requirement)[0]) for requirement in PROJECT["dependencies"]}
    assert asked <= set(pins(ROOT / "requirements" / "core.txt"))
    assert "torch" not in pins(ROOT / "requirements" / "core.txt")
