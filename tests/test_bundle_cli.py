"""``serotone bundle``: what a bundle may be used for, what it knows of itself, and its card."""

import json

import numpy as np
import onnx
import pytest
import soundfile
from onnx import helper, numpy_helper
from typer.testing import CliRunner

from serotone.cli import app
from serotone.recognition.loading import load_bundle
from serotone.recognition.recognizer import Recognizer
from toy_bundle import SAMPLE_RATE, make_adaptable_bundle, make_toy_bundle, tone, toy_graph, write_toy_manifest

DATA = [
    {"name": "one", "licence": "CC BY-NC-SA 4.0", "utterances": 3, "non_commercial": True, "languages": ["Polish"]},
    {
        "name": "two",
        "licence": "CC BY 4.0",
        "utterances": 3,
        "non_commercial": False,
        "languages": ["German", "Amharic"],
    },
    {"name": "own", "utterances": 1},
]
CARD = """# toy

## Data

A table.

## Figures

<!-- measured -->
| run | protocol | UA |
|---|---|---|
| toys | leave-one-speaker-out | 50.0% |

## Limits

- Toys alone.\x1b[2J
"""
NOTE = "note: toy is for non-commercial use only; its training data require that (see bundle show)"


@pytest.fixture
def bundle(tmp_path):
    """A bundle with a card, on data that do not allow all use."""
    make_adaptable_bundle(tmp_path / "toy")
    (tmp_path / "toy" / "CARD.md").write_text(CARD, encoding="utf-8")
    manifest = json.loads((tmp_path / "toy" / "bundle.json").read_text(encoding="utf-8"))
    write_toy_manifest(tmp_path / "toy", data=DATA, extra={"adaptation": manifest["adaptation"]})
    return tmp_path / "toy"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_terms_languages_and_size(bundle, tmp_path):
    loaded = load_bundle(bundle)
    assert loaded.non_commercial
    assert loaded.languages == ("Amharic", "German", "Polish")
    assert loaded.size == sum(path.stat().st_size for path in bundle.iterdir() if path.name != "bundle.json")
    silent = make_toy_bundle(tmp_path / "silent", data=[{"name": "x", "languages": "German", "non_commercial": "yes"}])
    assert (silent.non_commercial, silent.languages) == (False, ())
    free = make_toy_bundle(tmp_path / "free", data=DATA[1:])
    assert not free.non_commercial


def test_show(bundle, tmp_path):
    shown = run("bundle", "show", bundle)
    assert shown.exit_code == 0, shown.stderr
    assert "measured" not in shown.stdout
    rows = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines()[:20] if " " in line)
    assert rows["licence"] == (
        "NON-COMMERCIAL USE ONLY; of its data: CC BY-NC-SA 4.0 (one); CC BY 4.0 (two); not stated (own)"
    )
    assert rows["languages"] == "Amharic, German, Polish"
    assert rows["speech"] == "by level; clips are heard whole, longer recordings without their long pauses"
    samples = np.concatenate([tone(1, 0.5), np.zeros(SAMPLE_RATE, np.float32), tone(1, 0.5)])
    assert Recognizer(bundle).hear(samples, source_rate=SAMPLE_RATE).kept == 3 * SAMPLE_RATE
    assert Recognizer(bundle).hear(np.tile(samples, 3), source_rate=SAMPLE_RATE).kept < 8 * SAMPLE_RATE
    assert rows["adapts"] == (
        "to    collection (temperature 2, shrinkage 0 recordings, uncertain below 0.4), then "
        "speaker (temperature 1, shrinkage 15 recordings, uncertain below 0.5)"
    )
    assert shown.stdout.index("sha256") < shown.stdout.index("## Figures") < shown.stdout.index("## Limits")
    assert "| toys | leave-one-speaker-out | 50.0% |" in shown.stdout
    assert "## Data" not in shown.stdout
    raw = json.loads(run("bundle", "show", bundle, "--format", "json").stdout)
    assert (raw["non_commercial"], raw["languages"]) == (True, ["Amharic", "German", "Polish"])
    make_toy_bundle(tmp_path / "plain")
    plain = run("bundle", "show", tmp_path / "plain").stdout
    assert "nothing: this bundle cannot be adapted" in plain
    assert f"its card has no figures; serotone bundle card {tmp_path / 'plain'} prints the whole card" in plain


@pytest.mark.parametrize("name", ["default", "light", "free", "emodb-crnn"])
def test_show_has_the_figures_and_limits_of_a_shipped_bundle(name):
    shown = run("bundle", "show", name).stdout
    assert "has no figures" not in shown
    assert shown.index("sha256") < shown.index("\n## ") < shown.index(" UA") < shown.index("\n## Limits")


def test_card(bundle, tmp_path):
    shown = run("bundle", "card", bundle)
    assert shown.exit_code == 0
    assert shown.stdout == CARD.replace("\x1b", "\\x1b").replace("<!-- measured -->\n", "")
    (bundle / "CARD.md").unlink()
    write_toy_manifest(bundle)
    without = run("bundle", "card", bundle)
    assert without.exit_code == 1
    assert "no CARD.md in this bundle" in without.stderr
    assert "this bundle has no CARD.md" in run("bundle", "show", bundle).stdout


def test_list_names_languages_size_and_licences():
    lines = run("bundle", "list").stdout.splitlines()
    (raw, *_) = json.loads(run("bundle", "list", "--format", "json").stdout)["bundles"]
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{raw['name']} {raw['version']}  "))
    assert f"{raw['size'] / 1e6:.1f} MB" in lines[start]
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["recognises", "languages", "licence"]
    assert all(item["licence"] in lines[start + 3] for item in raw["data"])


def test_a_non_commercial_bundle_says_so_once(bundle, tmp_path):
    folder = tmp_path / "corpus"
    for emotion, amplitude in (("angry", 0.5), ("sad", 0.01)):
        (folder / emotion / "anna").mkdir(parents=True)
        for take in range(3):
            path = folder / emotion / "anna" / f"{emotion}{take}.wav"
            soundfile.write(path, tone(1, amplitude * (1 + take)), SAMPLE_RATE, subtype="FLOAT")
    for command in (
        ["predict", folder, "--bundle", bundle],
        ["predict", folder, "--bundle", bundle, "--adapt"],
        ["adapt", folder, "--bundle", bundle, "--out", tmp_path / "p.json"],
        ["evaluate", bundle, "--corpus", f"folders={folder}"],
        ["evaluate", bundle, "--corpus", f"folders={folder}", "--adapt"],
    ):
        done = run(*command)
        assert done.exit_code == 0, done.stderr
        assert done.stderr.splitlines() == [NOTE]
    make_toy_bundle(tmp_path / "free", data=DATA[1:])
    assert run("predict", folder, "--bundle", tmp_path / "free").stderr == ""


def not_finite(graph):
    graph.initializer.append(numpy_helper.from_array(np.full((1, 3), np.nan, np.float32), "nan"))
    graph.node[13].input[1] = "nan"


def of_seven_samples(graph):
    graph.initializer.append(numpy_helper.from_array(np.ones((1, 7), np.float32), "seven"))
    graph.node[0].input[1] = "seven"


def of_any_width(graph):
    graph.node[15].CopyFrom(helper.make_node("Identity", ["waveform"], ["embedding"]))
    graph.output[2].type.tensor_type.shape.dim[1].dim_param = "time"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (not_finite, "answered NaN or infinity"),
        (of_seven_samples, "fails on 0.25 s of audio ("),
        (of_any_width, "answers an embedding (4000,); its heads for adaptation take 2 numbers"),
    ],
)
def test_verify_runs_the_graph(bundle, damage, problem):
    adaptation = {"adaptation": json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["adaptation"]}
    done = run("bundle", "verify", bundle)
    assert (done.exit_code, done.stderr) == (0, "")
    model = toy_graph()
    damage(model.graph)
    onnx.save(model, bundle / "model.onnx")
    write_toy_manifest(bundle, extra=adaptation)
    done = run("bundle", "verify", bundle)
    assert (done.exit_code, done.stdout) == (1, "")
    assert problem in " ".join(done.stderr.split())
