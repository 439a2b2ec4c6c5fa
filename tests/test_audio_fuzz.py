"""Damaged audio files of every kind: audio or an AudioError, and the process lives on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from made_audio import env

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "audio_fuzz.py"


@pytest.mark.slow
def test_damaged_files_do_no_harm(tmp_path):
    pytest.importorskip("av")
    out = tmp_path / "fuzz.json"
    command = [sys.executable, str(SCRIPT), "--seconds", "20", "--seed", "7", "--out", str(out)]
    run = subprocess.run(command, capture_output=True, text=True, env=env())
    figures = json.loads(out.read_text())
    assert figures["failures"] == []
    assert run.returncode == 0, run.stderr
    assert figures["outcomes"]["read"] > 10
    assert figures["outcomes"]["refused"] > 10
