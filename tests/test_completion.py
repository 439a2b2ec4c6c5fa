"""Completion, by a shell itself: commands, options, choices, and the names of what ships."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = shutil.which("bash")
ASK = """
eval "$(serotone --show-completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _serotone_completion serotone
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(BASH is None, reason="no bash on this machine")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("serotone pre", ["predict"]),
        ("serotone predict --form", ["--format"]),
        ("serotone predict --format js", ["json", "jsonl"]),
        ("serotone predict --bundle em", ["emodb-crnn"]),
        ("serotone evaluate def", ["default"]),
        ("serotone train resnet-mfcc", ["resnet-mfcc-focal", "resnet-mfcc-softmax"]),
        ("serotone train ./mine", []),
        ("serotone study main", ["main-rows"]),
        ("serotone study ru", ["run"]),
        ("serotone study main-rows --see", ["--seeds"]),
        ("serotone study show main", ["main-rows"]),
        ("serotone corpus check em", ["emodb", "emovo"]),
        ("serotone nonsense x", []),
    ],
)
def test_a_shell_completes(line: str, expected: list[str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(BASH), "-c", ASK, "bash", *line.split()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.stdout.split() == expected
    assert done.stderr == ""
