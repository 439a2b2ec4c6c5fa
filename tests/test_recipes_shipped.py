"""The recipes that ship: every published row, each value with its source, each file only its difference."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from serotone.cli import app
from serotone.corpora import CORPORA
from serotone.errors import RecipeError
from serotone.options import CHOICES
from serotone.recipes import layers, load, shipped, source
from serotone.recipes.explaining import DEFAULT, HEADER, PROVENANCES, UNSAID, Explanation, commented, explain
from serotone.recipes.parts import BY_NAME

FOUR = ("angry", "happy", "neutral", "sad")
BASES = {"crnn-mel", "vlcrnn-variable-length", "resnet-mel-softmax", "cnn-blstm-attention", "dycnn-bilstm"}
PUBLISHED = {
    *("vlcrnn-fixed-length", "vlcrnn-variable-length", "vlcrnn-focal"),
    *(f"resnet-{frames}-{loss}" for frames in ("mel", "mfcc") for loss in ("softmax", "focal")),
    *("crnn-mel", "crnn-center-mel", "crnn-stft", "crnn-center-stft"),
    *("cnn-blstm-attention", "cnn-blstm-attention-combined"),
    *("cnn-blstm-attention-ams", "cnn-blstm-attention-focal"),
    *("dycnn-bilstm", "dycnn-lstm", "dycnn-static-lstm", "dycnn-static-bilstm", "dycnn-bilstm-mfcc"),
}
STRANGERS = {
    "default",
    "free",
    "light",
    "whisper-focal-attentive",
    "whisper-am-softmax",
    "whisper-center",
}
"""Recipes of ours over several corpora: no paper's, so without its schedule and without classes of IEMOCAP."""
PAPERS = sorted(set(shipped()) - STRANGERS)
OWN_SCHEDULE = {"emodb-crnn": "budget"}
DROPPED = {  # keys of a base that another name, or null, takes away: a spectrogram's mel bands, static kernels' heat
    "spectrogram": {"frontend.num_mels", "frontend.mel_scale", "frontend.mel_norm"},
    "static": {"annealing.start", "annealing.end", "annealing.share"},
    "emodb-crnn": {"protocol.folds"},  # of ten-part
    "light": {  # of Whisper
        *("encoder.width", "encoder.heads", "encoder.layers", "encoder.loudness"),
        *("frontend.reference", "frontend.level", "frontend.decades"),
        *("weights.source", "weights.licence"),
    },
}


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values, the name of a part always under ``name``."""
    for key, value in tree.items():
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict) and value:
            yield from leaves(value, inner)
        else:
            yield (f"{inner}.name" if key in BY_NAME and isinstance(value, str) else inner), value


def read(name: str) -> dict[str, Any]:
    """A recipe file; to YAML 1.1, a bare ``on`` is the word for true."""
    return {"on" if key is True else key: value for key, value in yaml.safe_load(source(name)).items()}


def own(name: str) -> dict[str, Any]:
    """What one file says of the experiment."""
    return {key: value for key, value in leaves(read(name)) if key not in HEADER}


def by_key(values: list[Explanation]) -> dict[str, Explanation]:
    assert len({value.key for value in values}) == len(values)
    return {value.key: value for value in values}


def test_every_row_ships() -> None:
    assert set(shipped()) == PUBLISHED | {"emodb-crnn"} | STRANGERS
    assert {name for name in shipped() if len(layers(name)) == 1} == BASES | {"default"}


@pytest.mark.parametrize("name", PAPERS)
def test_it_loads_in_general_and_on_its_corpora_and_reads_back(name: str, tmp_path: Path) -> None:
    general = load(name)
    assert set(general.on) == {"iemocap"}
    for recipe in (general, load(name, corpora=["emodb"]), load(name, corpora=["iemocap"])):
        (tmp_path / "again.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        assert load(tmp_path / "again.yaml") == recipe
    assert (recipe.labels, recipe.on) == (FOUR, {})
    assert load(name, corpora=["emodb"]).labels is None


@pytest.mark.parametrize("name", shipped())
def test_every_line_that_gives_a_value_ends_with_its_provenance(name: str) -> None:
    """Line by line with a regular expression, as a reader's eye does it."""
    words = "|".join(PROVENANCES)
    for line in source(name).splitlines():
        code = line.split("#")[0].rstrip()
        if code and not code.endswith(":") and code.split(":")[0] not in HEADER:
            assert re.search(rf"# ({words})(: \S.*)?$", line), line
    assert all(value.provenance != UNSAID for value in explain(name))


@pytest.mark.parametrize("name", shipped())
def test_what_is_explained_is_what_the_files_state(name: str) -> None:
    stated = {key for layer, _ in layers(name) for key in own(layer)}
    if load(name).frontend.name == "spectrogram" and "mel" in layers(name)[0][0]:
        stated -= DROPPED["spectrogram"]
    if "static" in name:
        stated -= DROPPED["static"]
    stated -= DROPPED.get(name, set())
    explained = by_key(explain(name))
    assert {key for key, value in explained.items() if value.provenance != DEFAULT} == stated
    for key, value in own(name).items():
        assert (explained[key].value, explained[key].source) == (value, name)


@pytest.mark.parametrize("name", sorted(set(shipped()) - BASES - {"default"}))
def test_it_states_only_its_difference(name: str) -> None:
    base = read(name)["extends"]
    inherited = by_key(explain(base))
    same = [key for key, value in own(name).items() if key in inherited and inherited[key].value == value]
    assert same == []


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_schedule_and_ours_are_there_and_ours_is_ours_alone(name: str) -> None:
    recipe = load(name)
    long = {"long"} if recipe.encoder.name in ("crnn", "dycnn") else set()
    assert set(recipe.schedules) == {"paper", "budget"} | long
    assert recipe.schedule == OWN_SCHEDULE.get(name, "paper")
    paper, budget = recipe.schedules["paper"], recipe.schedules["budget"]
    assert {schedule.precision for schedule in recipe.schedules.values()} == {"float32"}
    grouped = recipe.clip_seconds is None
    assert (
        (paper.pool_batches == budget.pool_batches == 8) if grouped else paper.pool_batches == budget.pool_batches == 1
    )
    for schedule in {"budget"} | long:
        own = [value for value in explain(name) if value.key.startswith(f"schedules.{schedule}.")]
        assert {value.provenance for value in own} <= {"ours", DEFAULT}
        assert "steps" in {value.key.split(".")[-1] for value in own if value.provenance == "ours"}


@pytest.mark.parametrize("name", sorted(STRANGERS))
def test_a_recipe_for_strangers_keeps_the_encoder_and_balances_the_corpora(name: str, tmp_path: Path) -> None:
    recipe = load(name, corpora=["emodb", "nemo"])
    (tmp_path / "again.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    assert load(tmp_path / "again.yaml") == recipe
    assert recipe.loss.class_weights == "corpus-and-emotion"
    assert recipe.merge == {"calm": "neutral"}
    assert recipe.monitor == "none"
    assert "bored" not in (recipe.labels or ())
    assert recipe.convex is not None or {"frontend", "encoder"} <= set(recipe.training.frozen)
    for corpus in recipe.licences:
        assert corpus not in CORPORA  # a reader says its own


@pytest.mark.parametrize("corpus", ["emodb", "iemocap"])
@pytest.mark.parametrize("name", shipped())
def test_a_fixed_length_is_also_the_bundles_window(name: str, corpus: str) -> None:
    recipe = load(name, corpora=[corpus])
    if recipe.clip_seconds is not None and not recipe.segments:
        length = recipe.clip_seconds
        bundle = recipe.bundle
        assert (bundle.max_seconds, bundle.window_seconds, bundle.hop_seconds) == (length, length, length / 2)


# The values below are copied by hand from the papers and the specification of the systems.
@pytest.mark.parametrize(
    ("name", "corpus", "key", "value", "provenance", "source_"),
    [
        ("vlcrnn-focal", "iemocap", "loss.alpha.happy", 0.78, "paper", "vlcrnn-focal, on iemocap"),
        ("vlcrnn-focal", "emodb", "loss.alpha", "inverse-frequency", "ours", "vlcrnn-focal"),
        ("vlcrnn-focal", None, "on.iemocap.loss.alpha.neutral", 0.24, "paper", "vlcrnn-focal"),
        ("vlcrnn-focal", "iemocap", "protocol.name", "session-out", "paper", "vlcrnn-variable-length, on iemocap"),
        ("vlcrnn-focal", None, "on.iemocap.protocol.name", "session-out", "paper", "vlcrnn-variable-length"),
        ("vlcrnn-variable-length", None, "protocol.name", "speaker-independent", "ours", "vlcrnn-variable-length"),
        ("vlcrnn-variable-length", None, "frontend.bins", 400, "public", "vlcrnn-variable-length"),
        ("resnet-mfcc-focal", None, "frontend.num_coefficients", 40, "paper", "resnet-mfcc-softmax"),
        ("resnet-mfcc-focal", None, "frontend.n_fft", 2048, "paper", "resnet-mel-softmax"),
        ("resnet-mfcc-focal", None, "loss.gamma", 2.0, "ours", "resnet-mfcc-focal"),
        ("resnet-mfcc-focal", "iemocap", "styles", ["improvised"], "paper", "resnet-mel-softmax, on iemocap"),
        ("crnn-stft", None, "frontend.offset", 1e-8, "public", "crnn-stft"),
        ("crnn-center-stft", None, "center.weight", 0.3, "paper", "crnn-center-stft"),
        ("crnn-center-stft", None, "center.update", "batch-mean", "ours", "crnn-mel"),
        ("crnn-center-stft", None, "schedules.paper.steps", 2920, "public", "crnn-stft"),
        ("cnn-blstm-attention", None, "protocol.validation_share", 0.25 / 0.8, "computed", "cnn-blstm-attention"),
        ("cnn-blstm-attention-ams", "iemocap", "merge.excited", "happy", "paper", "cnn-blstm-attention, on iemocap"),
        ("dycnn-bilstm", None, "schedules.paper.learning_rate", 0.01, "paper", "dycnn-bilstm"),
        ("dycnn-bilstm", None, "schedules.paper.clip_norm", 1.0, "ours", "dycnn-bilstm"),
        ("dycnn-bilstm", "iemocap", "clip_seconds", 8.0, "ours", "dycnn-bilstm, on iemocap"),
        ("dycnn-static-lstm", None, "annealing", None, "computed", "dycnn-static-lstm"),
        ("dycnn-bilstm-mfcc", None, "frontend.pre_emphasis", 0.97, "paper", "dycnn-bilstm"),
        ("dycnn-static-lstm", None, "encoder.hidden", 256, "ours", "dycnn-static-lstm"),
    ],
)
def test_known_values_have_their_known_source(
    name: str, corpus: str | None, key: str, value: object, provenance: str, source_: str
) -> None:
    explained = by_key(explain(name, corpus=corpus))[key]
    assert (explained.value, explained.provenance, explained.source) == (value, provenance, source_)


def test_the_protocols_are_those_of_the_papers() -> None:
    on_iemocap = {name: load(name, corpora=["iemocap"]).protocol for name in BASES}
    assert {name: protocol.name for name, protocol in on_iemocap.items()} == {
        "crnn-mel": "ten-part",
        "vlcrnn-variable-length": "session-out",
        "resnet-mel-softmax": "stratified-k-fold",
        "cnn-blstm-attention": "stratified-k-fold",
        "dycnn-bilstm": "stratified-holdout",
    }
    assert on_iemocap["resnet-mel-softmax"].validation_share == 0.0
    assert on_iemocap["dycnn-bilstm"].test_share == 0.2
    assert {name: load(name).monitor for name in BASES} == {
        "crnn-mel": "ua",
        "vlcrnn-variable-length": "ua",
        "resnet-mel-softmax": "none",
        "cnn-blstm-attention": "wa",
        "dycnn-bilstm": "none",
    }


def test_the_two_by_two_of_convolution_and_recurrence() -> None:
    rows = {name: load(name) for name in ("dycnn-bilstm", "dycnn-lstm", "dycnn-static-bilstm", "dycnn-static-lstm")}
    factors = {name: (row.encoder.dynamic, row.encoder.recurrence, row.encoder.hidden) for name, row in rows.items()}
    assert factors == {
        "dycnn-bilstm": (True, "bilstm", 128),
        "dycnn-lstm": (True, "lstm", 256),
        "dycnn-static-bilstm": (False, "bilstm", 128),
        "dycnn-static-lstm": (False, "lstm", 256),
    }
    assert [row.annealing is None for row in rows.values()] == [False, False, True, True]


def test_a_comment_belongs_to_the_keys_on_its_line_alone() -> None:
    text = (
        "# ours: a line of its own\n"
        "part:                      # paper: the whole part\n"
        "  one: 1\n"
        "  # public: above two\n"
        "  two: {a: 'x # y', b: []} # computed: both\n"
        "  three: [1,               # ours: where it begins\n"
        "    2]                     # paper: where it ends\n"
        "empty: {}                  #ours\n"
        "url: a#b\n"
        "text: |                    # paper: of a block\n"
        "  # public: not a comment\n"
        "protocol: all              # ours\n"
    )
    expected = {
        "part.one": "",
        "part.two.a": "computed: both",
        "part.two.b": "computed: both",
        "part.three": "ours: where it begins",
        "empty": "ours",
        "url": "",
        "text": "",
        "protocol.name": "ours",
    }
    assert commented(text) == expected
    assert commented(text.replace("\n", "\r\n")) == expected


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "extends: crnn-mel\nseed: 3\nmax_frames: 700  # half\nmonitor: wa  # paperless\n"
        "center: {weight: 0.1}  # ours: a try\n"
    )
    (tmp_path / "child.yaml").write_text(
        'extends: mine.yaml\nseed: 4  # public\n"on": {emodb: {seed: 5}}  # computed\n'
    )
    explained = by_key(explain(tmp_path / "child.yaml"))
    rows = {key: (value.value, value.provenance, value.why, value.source) for key, value in explained.items()}
    assert rows["seed"] == (4, "public", "", "child")
    assert rows["max_frames"] == (700, UNSAID, "half", "mine")
    assert rows["monitor"] == ("wa", UNSAID, "paperless", "mine")
    assert rows["center.weight"] == (0.1, "ours", "a try", "mine")
    assert rows["center.alpha"] == (0.5, "paper", "", "crnn-mel")
    assert by_key(explain(tmp_path / "child.yaml", corpus="emodb"))["seed"].source == "child, on emodb"
    assert by_key(explain(tmp_path / "child.yaml", ["seed=6"], corpus="emodb"))["seed"].value == 6


def test_set_has_the_last_word_and_a_dropped_value_is_not_remembered() -> None:
    given = by_key(explain("crnn-stft", ["frontend.name=log-mel", "center={weight: 1, alpha: 0.2}", "protocol=all"]))
    assert [
        (given[key].provenance, given[key].source) for key in ("center.weight", "center.alpha", "protocol.name")
    ] == [("given", "--set")] * 3
    assert given["center.update"].provenance == "ours"
    # crnn-mel says 128 bands, but crnn-stft has none; what --set brings back is the schema's own 128.
    assert (given["frontend.num_mels"].value, given["frontend.num_mels"].source) == (128, "schema")
    with pytest.raises(RecipeError, match="unknown key"):
        explain("crnn-stft", ["nonsense=1"])


@pytest.mark.parametrize("corpus", [None, "iemocap"])
def test_what_set_says_of_a_corpus_is_not_the_papers(corpus: str | None) -> None:
    given = by_key(explain("vlcrnn-focal", ["on.iemocap.loss.alpha.happy=0.5"], corpus=corpus))
    place = "loss.alpha" if corpus else "on.iemocap.loss.alpha"
    assert (given[f"{place}.happy"].value, given[f"{place}.happy"].source) == (0.5, "--set")
    assert given[f"{place}.sad"].provenance == "paper"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["recipe", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_list_is_grouped_and_fits() -> None:
    lines = run("list").splitlines()
    assert max(map(len, lines)) <= 120
    names = [line.split()[0] for line in lines if re.match(r"  \S", line)]
    assert sorted(names) == shipped()
    heads = [line.split(":")[0] for line in lines if re.match(r"\S+: ", line)]
    assert heads == [name for name in CHOICES["encoder"] if name in {load(recipe).encoder.name for recipe in names}]
    encoders = [load(name).encoder.name for name in names]
    assert encoders == sorted(encoders, key=heads.index)


def test_the_list_as_json_has_every_recipe() -> None:
    listed = {entry["name"]: entry for entry in json.loads(run("list", "--format", "json"))["recipes"]}
    assert list(listed) == shipped()
    recipe = load("crnn-mel")
    assert listed["crnn-mel"] == {
        "name": "crnn-mel",
        "description": recipe.description,
        "encoder": "crnn",
        "protocol": "ten-part",
        "schedule": "paper",
        "schedules": ["paper", "budget", "long"],
    }


def test_explain_prints_a_row_per_value() -> None:
    table = run("explain", "vlcrnn-focal", "--corpus", "iemocap", "--set", "seed=7")
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line.strip()}
    assert rows["loss.alpha.sad"][1:3] == ["0.48", "paper"]
    assert rows["loss.alpha.sad"][-3:] == ["vlcrnn-focal,", "on", "iemocap"]
    assert rows["labels"][1:6] == ["[angry,", "happy,", "neutral,", "sad]", "paper"]
    assert rows["seed"][1:3] == ["7", "given"]
    assert "bundle.uncertain" not in rows
    assert "--all" in table.splitlines()[-1]
    assert "bundle.uncertain" in run("explain", "vlcrnn-focal", "--all")


def test_explain_speaks_json() -> None:
    answer = json.loads(run("explain", "crnn-mel", "--format", "json", "--all"))
    assert (answer["schema"], answer["recipe"], answer["corpus"]) == (1, "crnn-mel", None)
    values = {value["key"]: value for value in answer["values"]}
    assert values["frontend.num_mels"] == {
        "key": "frontend.num_mels",
        "value": 128,
        "provenance": "paper",
        "why": "",
        "file": "crnn-mel",
    }
    assert values["loss.gamma"]["provenance"] == "default"
    assert values["loss.gamma"]["file"] == "schema"


def test_an_unknown_corpus_is_refused() -> None:
    done = CliRunner().invoke(app, ["recipe", "explain", "crnn-mel", "--corpus", "nowhere"])
    assert done.exit_code == 1
    assert "'nowhere' is not a known corpus" in done.stderr


def test_one_corpus_is_explained_at_a_time() -> None:
    done = CliRunner().invoke(app, ["recipe", "explain", "vlcrnn-focal", "--corpus", "iemocap", "--corpus", "emodb"])
    assert done.exit_code == 2
    assert "explain one corpus at a time" in " ".join(done.stderr.split())
