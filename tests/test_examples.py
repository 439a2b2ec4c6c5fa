"""Every example of README.md and docs/ that a reader could type: run, or, where it trains for long, held against the
command line's own parser and recipes.

The files that examples name (call.wav, recordings/, labels.csv) are made of the synthetic voices in examples/.
"""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from corpus_trees import emodb_tree
from serotone.cli import app
from serotone.recipes.reading import load

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

RUN = {"predict", "adapt", "evaluate", "bundle list", "bundle show", "bundle card", "corpus list", "corpus check"}
RUN |= {"recipe list", "recipe explain", "recipe show", "study list", "study show"}
"""What is quick enough to be run."""

ELSEWHERE = {"adding-an-encoder.md"}
"""Pages whose examples build on each other; a test of their own follows them."""


def fenced(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        yield match[1], match[2]


def commands() -> Iterator[tuple[str, str]]:
    """Page and command line of every example, continued lines joined, prompts and comments taken off."""
    for page in PAGES:
        if page.name in ELSEWHERE:
            continue
        for language, text in fenced(page):
            for line in text.replace("\\\n", " ").splitlines():
                if language == "console" and (typed := re.match(r"(?:\w*\$) +(.*)", line)):
                    yield page.name, re.sub(r"\s+# .*", "", typed[1]).strip()
                elif not language and line.startswith("serotone "):
                    yield page.name, re.sub(r"\s+# .*", "", line).strip()


def snippets(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, text)
        for page in PAGES
        if page.name not in ELSEWHERE
        for spoken, text in fenced(page)
        if spoken == language
    ]


def which(command: str) -> str:
    """The sub-command of serotone in a command line, such as ``bundle card``; empty where there is none."""
    words = shlex.split(command.rpartition("|")[2].replace("...", ""))
    if not words or words[0] != "serotone":
        return ""
    name = " ".join(words[1:3])
    return name if name in RUN or words[1] in ("corpus", "recipe", "bundle") else words[1]


COMMANDS = [pytest.param(page, line, id=f"{page}: {line[:70]}") for page, line in commands()]
QUICK = [case for case in COMMANDS if which(str(case.values[1])) in RUN]
LONG = [case for case in COMMANDS if case not in QUICK and which(str(case.values[1]))]
OTHER = [case for case in COMMANDS if not which(str(case.values[1]))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the examples name, and a ``serotone`` to type."""
    place = tmp_path_factory.mktemp("place")
    voices = sorted((ROOT / "examples").glob("*.wav"))
    sounds = [soundfile.read(path)[0] for path in voices]
    side = np.concatenate(sounds * 2)[: 21 * 16000]
    assert len(side) == 21 * 16000
    soundfile.write(place / "call.wav", np.stack([side, np.roll(side, 5 * 16000)], axis=1), 16000)
    (place / "calls").mkdir()
    for voice, sound in zip(voices, sounds):
        soundfile.write(place / "calls" / voice.name, np.stack([sound, np.roll(sound, 1600)], axis=1), 16000)
    shutil.copy(voices[0], place / "new.wav")
    rows = []
    for copy in range(3):
        for voice in voices:
            speaker = "anna" if copy else "ben"
            path = place / "recordings" / speaker / f"{copy}{voice.name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(voice, path)
            rows.append((path.relative_to(place), voice.stem.split("_")[1], speaker))
    shutil.copytree(place / "recordings" / "ben", place / "new")
    for name in ("labels.csv", "clips.csv"):
        with (place / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "emotion", "speaker"), *rows])
    german = {"angry": "Wut", "happy": "Freude", "sad": "Trauer", "fearful": "Angst", "neutral": "neutral"}
    (place / "mine" / "recordings").mkdir(parents=True)
    mine = [("path", "emotion", "speaker")]
    for path, emotion, speaker in rows:
        if emotion in german:
            named = Path("recordings") / f"{speaker}_{len(mine)}_{german[emotion]}.wav"
            shutil.copy(place / path, place / "mine" / named)
            mine.append((str(named), emotion, speaker))
    with (place / "mine" / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(mine)
    emodb_tree(place / "data" / "emodb")
    typed = place / "bin" / "serotone"
    typed.parent.mkdir()
    typed.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m serotone "$@"\n', encoding="utf-8")
    typed.chmod(0o755)
    return place


def trained_by_now(text: str) -> str:
    """An example with a bundle that is there in place of one that an earlier line trains."""
    return re.sub(r"runs/\w+/bundle", "default", text)


def run(place: Path, line: str) -> str:
    """What a command line prints; in this process, which saves the start of another, where no pipe is in it."""
    if "|" in line:
        path = {"PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
        command = ["bash", "-c", f"set -o pipefail; {line}"]
        done = subprocess.run(command, cwd=place, env=os.environ | path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout
    words = []
    for word in shlex.split(line)[1:]:
        words += sorted(str(path) for path in Path().glob(word)) if "*" in word else [word]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(("page", "line"), QUICK)
def test_quick_commands_run(place: Path, monkeypatch: pytest.MonkeyPatch, page: str, line: str) -> None:
    monkeypatch.chdir(place)
    if "--profile office" in line and not Path("office.profile.json").exists():
        run(place, "serotone adapt recordings --speakers folder --out office.profile.json")
    if "--profile customers" in line and not Path("customers.profile.json").exists():
        run(place, "serotone adapt calls --channel 1 --out customers.profile.json")
    printed = run(place, trained_by_now(line.replace("BUNDLE", "default")))
    written = re.findall(r"--(?:out|plot|explain) (\S+)", line)
    assert printed or written
    for name in written:
        assert Path(name).stat().st_size > 0


@pytest.mark.parametrize(("page", "line"), LONG)
def test_commands_that_take_long_are_understood(page: str, line: str) -> None:
    """Every command, option and value is known, and a recipe with its overrides is valid."""
    line = line.rpartition("|")[2].partition(" > ")[0]  # serotone's own part
    words = shlex.split(re.sub(r"\[(--[^\]]*)\]", r"\1", line).replace("...", ""))[1:]
    if "NAME=ROOT" in words:
        pytest.skip("the form of a command, with the names of its arguments")
    group = typer.main.get_command(app)
    context = group.make_context("serotone", words)
    while hasattr(group, "resolve_command"):
        name, group, words = group.resolve_command(context, [*context._protected_args, *context.args])
        context = group.make_context(name, words, parent=context)
    recipe = context.params.get("recipe")
    if recipe and not recipe.endswith(".yaml"):
        assert load(recipe, context.params.get("set") or []).name


@pytest.mark.parametrize(("page", "line"), OTHER)
def test_other_commands_name_what_is_there(page: str, line: str) -> None:
    """Targets of make, extras of pip, scripts and folders of this repository."""
    program, *arguments = shlex.split(line)
    if program == "make":
        dry = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True)
        assert dry.returncode == 0, dry.stderr
    elif program == "pip":
        extras = re.findall(r"\[(.*?)\]", line)
        stated = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert all(f"\n{extra} = [" in stated for extra in extras)
    elif program == "python" and arguments[0] != "-c":
        script = ROOT / arguments[0]
        source = "".join(
            path.read_text(encoding="utf-8") for path in [script, *script.parent.glob("*.py")] if path.suffix == ".py"
        )
        for option in (word for word in arguments[1:] if word.startswith("--")):
            assert f'"{option}"' in source, option
    elif program == "python":
        compile(arguments[1], line, "exec")
    elif program in ("cp", "rm"):
        assert (ROOT / arguments[-1]).is_dir()
    elif program == "podman":
        said = (ROOT / "docs" / "serving" / "Containerfile").read_text(encoding="utf-8")
        assert all(word in said for word in arguments if not word.startswith("$(")), line
    elif program == "curl":
        api = (ROOT / "src" / "serotone" / "serving" / "app.py").read_text(encoding="utf-8")
        (path,) = [urlsplit(word).path for word in arguments if word.startswith("http")]
        assert f'"{path}"' in api
    else:
        assert program in ("ray", "cat"), program


@pytest.mark.parametrize(
    ("page", "code"), [pytest.param(*case, id=f"{case[0]}: {i}") for i, case in enumerate(snippets("python"))]
)
def test_python_examples_run(place: Path, monkeypatch: pytest.MonkeyPatch, page: str, code: str) -> None:
    if page == "design.md":  # a method of the package, shortened
        source = (ROOT / "src" / "serotone" / "modeling" / "system.py").read_text(encoding="utf-8")
        for name in re.findall(r"(?:self\.|def )(\w+)", code):
            assert f"self.{name}" in source or f"def {name}(" in source, name
        return
    paths = sorted((place / "recordings").rglob("*.wav"))
    monkeypatch.chdir(place)
    if "scores/" in code and not Path("scores").exists():
        run(place, "serotone score recordings --bundle light --jobs 1 --out scores")
    exec(compile(trained_by_now(code), page, "exec"), {"paths": paths, "names": [path.parent.name for path in paths]})


def test_all_examples_are_found() -> None:
    assert len(QUICK) >= 25
    assert len(LONG) >= 20
    assert len(OTHER) >= 15
    assert len(snippets("python")) >= 5
