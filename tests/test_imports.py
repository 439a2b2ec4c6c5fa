"""Imports point one way, and the core runs where only the core is installed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
CORE_PYTHON = ROOT / ".venv-core" / "bin" / "python"

EXTRAS = (
    "audformat",
    "av",
    "fastapi",
    "fsspec",
    "jinja2",
    "lightning",
    "matplotlib",
    "mlflow",
    "onnx",
    "optuna",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "pytorch_lightning",
    "ray",
    "safetensors",
    "scipy",
    "sounddevice",
    "tensorboard",
    "torch",
    "torchmetrics",
    "uvicorn",
    "wandb",
    "websockets",
    "yaml",
)
"""Top-level modules that the core install does not bring. It brings pydantic, which typer asks for; that serotone's own
core does not use it is one of the contracts."""

# `serotone ARGUMENTS` in a process in which the given modules cannot be found, as if they were not installed.
WITHOUT_EXTRAS = """
import sys
from importlib.machinery import PathFinder

blocked = frozenset(sys.argv.pop(1).split(","))

class CoreOnly(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = CoreOnly
sys.argv[0] = "serotone"
from serotone.corpora import synthetic
synthetic.DEFAULT_SPEAKERS = 2  # enough of them here
from serotone.cli import main
sys.exit(main())
"""


def lint_imports(source: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the package in ``source`` with the project's contracts."""
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(
        [sys.executable, "-c", program, "--config", str(ROOT / ".importlinter"), "--no-cache"],
        cwd=source.parent,
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


def serotone_core(*arguments: str | Path, without: tuple[str, ...] = EXTRAS) -> subprocess.CompletedProcess[str]:
    """Run ``serotone ARGUMENTS`` with every module of the extras out of reach, or with only some of them."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, ",".join(without), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(SOURCE), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic corpus, made by the core itself on the way."""
    root = tmp_path_factory.mktemp("corpus") / "synthetic"
    made = serotone_core("corpus", "make", root, "--speakers", "2")
    assert made.returncode == 0, made.stderr
    return root


def first_clip(root: Path) -> Path:
    return min(path for path in root.rglob("*") if path.suffix in {".wav", ".flac"})


def test_contracts_are_kept():
    done = lint_imports(SOURCE)
    assert done.returncode == 0, done.stdout + done.stderr


WRONG = [
    ("metrics.py", "import torch", "The core needs no training library"),
    ("metrics.py", "from serotone.audio import read", "Metrics read labels"),
    ("emotions.py", "from serotone.metrics import summary", "Imports point one way"),
    ("audio/reading.py", "from scipy import signal", "The core needs no training library"),
    ("modeling/__init__.py", "from serotone.corpora import CORPORA", "A system knows no files"),
    ("recognition/bundle.py", "def f():\n    import serotone.training", "Imports point one way"),
    ("training/__init__.py", "import serotone.recognition.recognizer", "Training writes bundles"),
    ("recipes/reading.py", "import torch", "Recipes and studies are read without torch"),
    ("runs/reading.py", "import yaml", "The core needs no training library"),
    ("serving/service.py", "import torch", "The server needs recognition and no training library"),
    ("recognition/stream.py", "import fastapi", "The core needs no server"),
    ("audio/reading.py", "def f():\n    import fsspec", "The core needs no training library"),
    ("scoring/pool.py", "import torch", "Scoring runs bundles and trains nothing"),
]
"""A file, a line that it may not have, and the contract that forbids it."""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each contract, by its title, in a copy of the package with every line of `WRONG` in it."""
    source = tmp_path_factory.mktemp("wrong") / "src"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__", "*.onnx"))
    for module, line, _ in WRONG:
        with (source / "serotone" / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    done = lint_imports(source)
    assert done.returncode == 1
    titles_and_texts = re.split(r"^(.+)\n-+\n", done.stdout.partition("Broken contracts")[2], flags=re.MULTILINE)
    return dict(zip(titles_and_texts[1::2], titles_and_texts[2::2], strict=True))


@pytest.mark.parametrize(("module", "line", "contract"), WRONG)
def test_contracts_notice_a_wrong_import(complaints, module, line, contract):
    importer = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    imported = re.search(r"(?:from|import) ([\w.]+)", line)[1]
    (text,) = (text for title, text in complaints.items() if title.startswith(contract))
    assert f" serotone.{importer} -> {imported} (l." in text


def test_core_predicts(voices):
    clip = first_clip(voices)
    done = serotone_core("predict", clip, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert clip.name in done.stdout
    assert json.loads(done.stdout)


def test_core_checks_a_corpus(voices):
    absent = voices.parent / "absent"
    refused = serotone_core("corpus", "check", "synthetic", absent)
    assert refused.returncode == 1
    assert "no such folder; check the path" in refused.stderr
    assert not absent.exists()
    done = serotone_core("corpus", "check", "synthetic", voices, "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == 1
    listed = serotone_core("corpus", "list")
    assert listed.returncode == 0, listed.stderr
    assert "synthetic" in listed.stdout


def test_core_evaluates(voices):
    done = serotone_core("evaluate", "emodb-crnn", "--corpus", f"synthetic={voices}", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_core_verifies_bundles():
    listed = serotone_core("bundle", "list")
    assert listed.returncode == 0, listed.stderr
    assert "emodb-crnn" in listed.stdout
    done = serotone_core("bundle", "verify", "emodb-crnn")
    assert done.returncode == 0, done.stderr


def test_scoring_without_its_extra_names_the_install_command(voices, tmp_path):
    done = serotone_core("score", voices, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "pip install 'serotone[score]'" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [(("train", "crnn-mel", "--corpus", "synthetic=corpus", "--out", "run"), "train"), (("serve",), "serve")],
)
def test_a_missing_extra_names_its_install_command(arguments, extra):
    done = serotone_core(*arguments)
    assert done.returncode == 1
    assert f"pip install 'serotone[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("recipe", "list"), "crnn-center-mel"),
        (("recipe", "show", "crnn-mel"), "hidden: 128"),
        (("recipe", "explain", "crnn-mel"), "encoder.hidden"),
        (("study", "list"), "main-rows"),
        (("study", "show", "center-loss"), "crnn-center-mel"),
    ],
)
def test_documents_are_read_without_torch(arguments, words):
    without = tuple(name for name in EXTRAS if name != "yaml")
    done = serotone_core(*arguments, without=without)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout


def ran(program: str) -> subprocess.CompletedProcess[str]:
    """What an interpreter of its own made of a program."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("train", "crnn-mle"), 1, "did you mean crnn-mel?"),
        (("train", "crnn-mel", "--evidence", "runs/loso"), 2, "expected WORDS=RUN"),
        (("crossval", "crnn-mel", "--folds", "x"), 2, "expected numbers separated by commas"),
        (("crossval", "crnn-mel", "--set", "schedule=bugdet"), 2, "did you mean budget?"),
        (("search", "crnn-mel"), 2, "nothing to tune"),
        (("study", "center-loss", "--rows", "crnn-mle"), 2, "no row 'crnn-mle'"),
    ],
)
def test_a_mistake_is_said_before_torch_is_loaded(voices, tmp_path, arguments, status, words):
    """Loading torch takes seconds, on a busy machine a minute."""
    command = [*arguments, "--corpus", f"synthetic={voices}", "--out", str(tmp_path / "out")]
    program = (
        "import sys\nfrom serotone.cli import app\n"
        f"try: app({command!r})\nexcept SystemExit as ended: print(ended.code, 'torch' in sys.modules)"
    )
    done = ran(program)
    assert words in " ".join(done.stderr.split())
    assert done.stdout.split() == [str(status), "False"]


def test_importing_the_core_loads_no_engine():
    """The command line starts fast: what one command needs is imported by that command."""
    program = (
        "import sys, serotone, serotone.audio, serotone.cli, serotone.corpora, serotone.metrics, serotone.splits; "
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = ran(program).stdout
    assert not [name for name in (*EXTRAS, "onnxruntime", "librosa", "sklearn") if f"'{name}'" in loaded]


def test_recognising_leaves_nothing_for_the_makers_of_libraries(tmp_path, voices):
    """ONNX Runtime keeps an identifier of the device, and sends it with what it counts, unless it is told not to."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-m", "serotone", "predict", first_clip(voices), "--bundle", "light"]
    subprocess.run(arguments, env=environment, capture_output=True, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_who_wants_to_report_to_the_makers_of_libraries_can():
    program = "import os, serotone; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['RAY_USAGE_STATS_ENABLED'])"
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "ORT_DISABLE_TELEMETRY": "0"}
    environment.pop("RAY_USAGE_STATS_ENABLED", None)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]


@pytest.mark.skipif(not CORE_PYTHON.exists(), reason="no .venv-core here; `make demo` makes it")
def test_core_environment_has_no_extra_and_runs(voices):
    probe = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    found = subprocess.run([CORE_PYTHON, "-c", probe, *EXTRAS], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    done = subprocess.run(
        [CORE_PYTHON.parent / "serotone", "predict", first_clip(voices), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
