"""docs/adding-an-encoder.md, followed step by step in a copy of the package."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serotone.corpora import synthetic

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "adding-an-encoder.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """What the page types after a prompt, continued lines joined."""
    (console,) = blocks("console")
    return [line.removeprefix("$ ") for line in console.replace("\\\n", " ").splitlines()]


def names_in(mapping: str) -> list[str]:
    """What stands between the brackets of ``by_name``."""
    names = re.search(r"by_name\(([^)]*)\)", mapping)
    assert names is not None
    return [name.strip() for name in names[1].split(",") if name.strip()]


def add(path: Path, before: str, mapping: str, expected: str) -> None:
    """Put ``before`` in front of a file's mapping, and into that what the page's mapping has besides."""
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("\nENCODERS: ")
    known = names_in(rest)
    added = [name for name in names_in(mapping) if name not in (*known, "...")]
    assert added == [expected]
    whole = re.sub(r"by_name\([^)]*\)", f"by_name({', '.join(known + added)})", rest, count=1)
    path.write_text(f"{head}\n{before}ENCODERS: {whole}", encoding="utf-8")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the page's encoder in it, and the page's recipe beside it."""
    house = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "src", house / "src", ignore=shutil.ignore_patterns("__pycache__"))
    options, module, line = blocks("python")
    package = house / "src" / "serotone"
    declared, mapping = re.split(r"\n+(?=ENCODERS)", options)
    add(package / "options" / "encoders.py", declared + "\n\n\n", mapping, "BiGRUOptions")
    (package / "modeling" / "encoders" / "bigru.py").write_text(module, encoding="utf-8")
    imported, mapping = line.strip().split("\n\n")
    add(package / "modeling" / "encoders" / "__init__.py", imported + "\n", mapping, "BiGRU")
    (recipe,) = blocks("yaml")
    (house / "bigru-mel.yaml").write_text(recipe, encoding="utf-8")
    synthetic.make(house / "data" / "synthetic", speakers=3, seed=0, sentences=2)
    (house / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "syn100_angry_01.wav", house / "examples")
    return house


def run(house: Path, command: str) -> str:
    program, *arguments = shlex.split(command)
    assert program == "serotone"
    done = subprocess.run(
        [sys.executable, "-m", "serotone", *arguments],
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house / "src")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_does_what_it_says(house: Path) -> None:
    explained = run(house, "serotone recipe explain bigru-mel.yaml").splitlines()
    (hidden,) = (line.split() for line in explained if line.startswith("encoder.hidden"))
    assert (hidden[1], hidden[-1]) == ("128", "crnn-mel")
    answers = [run(house, command) for command in commands()]
    assert len(answers) == 2
    assert "syn100_angry_01.wav" in answers[-1]
    assert (house / "runs" / "one" / "bundle" / "model.onnx").is_file()
