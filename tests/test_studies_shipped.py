"""The studies that ship: every recipe in them loads, and every published figure is the paper's."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serotone.cli import app
from serotone.corpora import CORPORA
from serotone.emotions import EMOTIONS, in_order
from serotone.errors import RunError
from serotone.options.encoders import DyCNNOptions
from serotone.recipes import Recipe, load, shipped
from serotone.studies import load_study, shipped_studies
from serotone.studies.schema import Compare, Confusion, Grid, Literature, Published, Row, Study, Sweep

PAGE = Path(__file__).parent.parent / "docs" / "studies.md"
STUDIES = {
    "variable-length": 3,
    "focal-resnet": 4,
    "center-loss": 4,
    "center-loss-lambda": 5,
    "center-loss-alpha": 5,
    "discriminative": 14,
    "discriminative-combined": 8,
    **{f"dynamic-convolution-{corpus}": 4 for corpus in ("casia", "emodb", "iemocap")},
    "main-rows": 10,
    "features": 6,
}


def test_the_list_as_json_has_every_study_with_its_rows() -> None:
    shown = CliRunner().invoke(app, ["study", "list", "--format", "json"])
    listed = {entry["name"]: entry for entry in json.loads(shown.stdout)["studies"]}
    assert list(listed) == shipped_studies()
    assert {name: len(entry["rows"]) for name, entry in listed.items()} == STUDIES
    assert listed["features"]["rows"]["crnn-stft"] == "crnn-stft"


def text_of(name: str) -> str:
    return (resources.files("serotone") / "studies" / f"{name}.yaml").read_text(encoding="utf-8")


def rows_of(name: str) -> dict[str, Row]:
    return {row.name: row for row in load_study(name).table}


def recipes_of(name: str, *overrides: str, corpus: str | None = None) -> dict[str, Recipe]:
    study = load_study(name)
    corpora = {corpus or study.published_on}
    return {row.name: load(row.recipe, [*study.set_, *overrides, *row.set_], corpora=corpora) for row in study.table}


def bare(recipe: Recipe) -> Recipe:
    """What is done, whatever it is called."""
    return recipe.model_copy(update={"name": "", "description": ""})


def figures(name: str, row: str) -> Published:
    published = rows_of(name)[row].published
    assert published is not None
    return published


def wa_and_ua(name: str) -> dict[str, tuple[float | None, float | None]]:
    """Of the rows with published figures."""
    return {row.name: (row.published.wa, row.published.ua) for row in load_study(name).table if row.published}


def test_one_for_every_published_table_and_figure_and_two_of_ours() -> None:
    assert {name: len(load_study(name).table) for name in shipped_studies()} == STUDIES


@pytest.mark.parametrize("name", shipped_studies())
def test_every_row_loads_on_the_published_corpus_and_on_another(name: str) -> None:
    assert load_study(name).published_on in CORPORA
    for corpus in (load_study(name).published_on, "ravdess"):
        as_published = recipes_of(name, corpus=corpus)
        changed = recipes_of(name, "protocol=leave-one-speaker-out", "schedule=budget", corpus=corpus)
        for row, recipe in changed.items():
            assert (recipe.protocol.name, recipe.schedule) == ("leave-one-speaker-out", "budget")
            assert as_published[row].protocol.name != "leave-one-speaker-out"


@pytest.mark.parametrize("name", shipped_studies())
def test_no_two_rows_are_the_same_experiment(name: str) -> None:
    said = [bare(recipe) for recipe in recipes_of(name).values()]
    assert all(said.count(recipe) == 1 for recipe in said)


@pytest.mark.parametrize("name", shipped_studies())
def test_what_a_study_says_of_itself(name: str) -> None:
    study = load_study(name)
    assert study.title
    assert study.description.endswith("?")
    assert study.source
    assert study.published_protocol
    assert study.set_ == ()
    assert (study.name, study.seeds) == (name, (0,))
    assert all(row.label != row.name for row in study.rows)
    assert len({row.label for row in study.table}) == len(study.table)
    assert all(row.source for row in study.literature)
    assert all(pair.question.endswith("?") and pair.a != pair.b for pair in study.compare)
    names = {row.name for row in study.table}
    assert {side for pair in study.compare for side in (pair.a, pair.b)} <= names
    assert {row for sweep in study.sweeps for row in sweep.rows} <= names


@pytest.mark.parametrize("name", shipped_studies())
def test_figures_are_percents(name: str) -> None:
    """A fraction of 1 in place of a percent would be below 1; of the cells, 0.0 and 0.8 are truly published."""
    for row in load_study(name).table:
        published = row.published
        if published is None:
            continue
        scores = [published.wa, published.ua, *published.recall.values()]
        assert any(score is not None for score in scores)
        assert all(score is None or 20 < score < 100 for score in scores)
        assert set(published.recall) <= set(EMOTIONS)
        if published.confusion is None:
            continue
        assert not published.recall  # it is the diagonal
        assert set(published.confusion.labels) <= set(EMOTIONS)
        for cells in published.confusion.percent:
            told = [cell for cell in cells if cell is not None]
            assert all(0 <= cell < 100 for cell in told)
            assert sum(told) == pytest.approx(100, abs=0.05) if len(told) == len(cells) else sum(told) < 100
    for quoted in load_study(name).literature:
        assert all(score is None or 50 < score < 80 for score in (quoted.wa, quoted.ua))


@pytest.mark.parametrize("name", shipped_studies())
def test_published_labels_are_those_that_the_recipe_classifies(name: str) -> None:
    classes = {"casia": {"angry", "fearful", "happy", "neutral", "sad", "surprised"}}
    classes["emodb"] = {"angry", "bored", "disgusted", "fearful", "happy", "neutral", "sad"}
    for row, recipe in recipes_of(name).items():
        published = rows_of(name)[row].published
        labels = set(recipe.labels or classes.get(load_study(name).published_on) or ())
        assert load_study(name).published_classes == tuple(in_order(labels))
        if published is not None and published.confusion is not None:
            assert set(published.confusion.labels) == labels
        if published is not None:
            assert set(published.recall) <= labels


@pytest.mark.parametrize("name", shipped_studies())
def test_every_line_with_a_figure_ends_with_its_provenance(name: str) -> None:
    """Line by line with a regular expression, as a reader's eye does it; overrides, repetitions and classes too."""
    marked = r"^\s+(wa|ua|recall|confusion|set): |^\s+published: \{|^(repetitions|published_classes): "
    found = [line for line in text_of(name).splitlines() if re.search(marked, line)]
    assert found
    for line in found:
        assert re.search(r" # (paper|public|computed|ours)(: \S.*)?$", line), line


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("[angry, joyful]", "published_classes names joyful, which serotone does not know; use angry, bored"),
        ("[angry, angry]", "expected two or more, each once"),
        ("[sad]", "expected two or more"),
        (
            "[angry, happy]",
            "row one has published figures of sad, which are not in published_classes (",
        ),
        ("[angry, sad]", "row two has published figures of happy, neutral"),
    ],
)
def test_published_classes_are_emotions_and_hold_the_figures(tmp_path: Path, classes: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"""
schema: 1
title: Mine
description: Which?
published_classes: {classes}
rows:
  - {{name: one, recipe: crnn-mel, published: {{recall: {{angry: 50, sad: 60}}}}}}
  - name: two
    recipe: crnn-stft
    published: {{confusion: {{labels: [happy, neutral], percent: [[1, 99], [2, 98]]}}}}
""",
        encoding="utf-8",
    )
    with pytest.raises(RunError, match=re.escape(message)):
        load_study(path)


def test_two_studies_with_the_same_experiment_agree_on_its_figures() -> None:
    seen: list[tuple[str, Recipe, tuple[float | None, float | None]]] = []
    agreed = 0
    for name in shipped_studies():
        corpus, scores = load_study(name).published_on, wa_and_ua(name)
        for row, recipe in recipes_of(name).items():
            if row not in scores:
                continue
            known = [told for there, other, told in seen if (there, other) == (corpus, bare(recipe))]
            assert set(known) <= {scores[row]}
            agreed += len(known) > 0
            seen.append((corpus, bare(recipe), scores[row]))
    assert agreed == 1 + 2 + 4 + 3 + 2 + 8 + 2  # study by study, in alphabetical order


# From here on, figures copied by hand, WA before UA; each table's place in its paper stands above it.


def test_liang_in_its_results_and_the_gains_that_it_names() -> None:
    variable = figures("variable-length", "vlcrnn-variable-length")
    assert (variable.wa, variable.ua) == (69.33, 66.59)
    fixed, focal = figures("variable-length", "vlcrnn-fixed-length"), figures("variable-length", "vlcrnn-focal")
    satt = load_study("variable-length").literature[0]
    assert (fixed.wa, fixed.ua) == pytest.approx((69.33 - 4.99, 66.59 - 7.19))
    assert (focal.wa, focal.ua) == pytest.approx((69.33 + 0.34, 66.59 + 2.06))
    assert (satt.wa, satt.ua) == pytest.approx((69.33 - 0.53, 66.59 - 7.19))  # the text swaps these two


def test_tripathi_table_4() -> None:
    assert wa_and_ua("focal-resnet") == {
        "resnet-mel-softmax": (70.2, 55.8),
        "resnet-mel-focal": (74.2, 64.3),
        "resnet-mfcc-softmax": (70.7, 56.9),
        "resnet-mfcc-focal": (74.6, 66.7),
    }


def test_tripathi_tables_2_and_3_give_the_class_accuracy_of_table_4() -> None:
    shares = {"neutral": 48.8, "happy": 12.3, "sad": 26.9, "angry": 12.0}  # section 4
    overall = {}
    for row in ("resnet-mfcc-softmax", "resnet-mfcc-focal"):
        published = figures("focal-resnet", row)
        confusion = published.confusion
        assert confusion is not None
        diagonal = {label: confusion.percent[k][k] or 0.0 for k, label in enumerate(confusion.labels)}
        assert sum(diagonal.values()) / 4 == pytest.approx(published.ua, abs=0.05)
        overall[row] = sum(shares[label] * recall for label, recall in diagonal.items()) / 100
    assert overall["resnet-mfcc-softmax"] == pytest.approx(70.7, abs=0.05)
    assert overall["resnet-mfcc-focal"] == pytest.approx(73.8, abs=0.05)  # the notes say so; table 4 says 74.6


def test_tripathi_cells_of_tables_2_and_3() -> None:
    softmax = figures("focal-resnet", "resnet-mfcc-softmax").confusion
    focal = figures("focal-resnet", "resnet-mfcc-focal").confusion
    assert softmax is not None
    assert focal is not None
    assert softmax.labels == focal.labels == ("neutral", "happy", "sad", "angry")
    assert softmax.percent == (
        (89.1, 5.4, 3.7, 1.8),
        (70.5, 25.2, 4.3, 0.0),
        (24.6, 2.7, 70.5, 2.2),
        (48.7, 5.6, 2.9, 42.8),
    )
    assert focal.percent == (
        (80.2, 3.2, 15.2, 1.4),
        (34.7, 52.0, 8.5, 4.8),
        (16.4, 1.2, 81.6, 0.8),
        (39.4, 5.4, 2.3, 52.9),
    )


def test_tripathi_table_1() -> None:
    quoted = [(row.system, row.wa, row.ua) for row in load_study("focal-resnet").literature]
    assert quoted == [
        ("Lee & Tashev 2015", 62.8, 63.9),
        ("Satt et al. 2017", 68.8, 59.4),
        ("Yenigalla et al. 2018", 71.2, 61.9),
    ]
    best = figures("focal-resnet", "resnet-mfcc-focal")
    assert best.wa == pytest.approx(71.2 + 3.4)  # its abstract
    assert best.ua == pytest.approx(63.9 + 2.8)


def test_dai_settings() -> None:
    assert wa_and_ua("center-loss") == {
        "crnn-mel": (61.83, 63.80),
        "crnn-center-mel": (65.40, 66.86),
        "crnn-stft": (58.93, 60.97),
        "crnn-center-stft": (62.96, 65.13),
    }
    for pair in load_study("center-loss").compare:  # the talk: center loss helps on both inputs, and mel beats STFT
        a, b = figures("center-loss", pair.a), figures("center-loss", pair.b)
        assert (a.wa or 0) > (b.wa or 0)
        assert (a.ua or 0) > (b.ua or 0)
    assert load_study("center-loss").embeddings  # for the PCA of z


def test_dai_sweeps() -> None:
    weights = {
        0.0: (61.83, 63.80),
        0.003: (62.99, 64.81),
        0.03: (63.98, 65.71),
        0.3: (65.40, 66.86),
        3.0: (56.85, 60.08),
    }
    alphas = {0.1: (65.00, 66.76), 0.3: (65.33, 66.85), 0.5: (65.40, 66.86), 0.7: (65.34, 66.96), 0.9: (64.71, 66.41)}
    for name, key, expected in (("center-loss-lambda", "weight", weights), ("center-loss-alpha", "alpha", alphas)):
        recipes, scores = recipes_of(name), wa_and_ua(name)
        assert {getattr(recipe.center, key): scores[row] for row, recipe in recipes.items()} == expected
        assert [float(row.removeprefix(f"{key}=")) for row in recipes] == list(expected)
        (sweep,) = load_study(name).sweeps
        assert (sweep.key, sweep.rows) == (f"center.{key}", ())  # all of the grid: zero is not on its logarithmic axis
        assert sweep.log == (key == "weight")


@pytest.mark.parametrize("name", ["center-loss", "center-loss-lambda", "center-loss-alpha"])
def test_dai_runs_five_folds_five_times(name: str) -> None:
    assert load_study(name).repetitions == 5
    assert {(recipe.protocol.name, recipe.protocol.folds) for recipe in recipes_of(name).values()} == {("ten-part", 5)}


def test_zhou_liu_table_2() -> None:
    scores = {row: (ua or 0, wa or 0) for row, (wa, ua) in wa_and_ua("discriminative").items()}  # UA comes first there
    assert scores == {
        "baseline": (62.3, 61.0),
        "ams-s10-m0.1": (65.7, 64.7),
        "ams-s10-m0.2": (65.0, 63.6),
        "ams-s10-m0.4": (66.7, 65.6),
        "ams-s30-m0.1": (65.1, 63.7),
        "ams-s30-m0.2": (63.2, 63.5),
        "ams-s30-m0.4": (64.2, 63.6),
        "focal-gamma2-alpha1": (66.1, 64.9),
        "focal-gamma2-alpha2": (66.3, 65.5),
        "focal-gamma2-alpha4": (65.8, 65.2),
        "focal-gamma5-alpha1": (66.5, 65.0),
        "focal-gamma5-alpha2": (65.8, 64.6),
        "focal-gamma5-alpha4": (65.8, 64.1),
        "combined": (66.7, 65.2),
    }
    for pair in load_study("discriminative").compare:  # "at least 4.0" in its abstract
        assert pair.b == "baseline"
        assert scores[pair.a][0] - scores["baseline"][0] > 3.99


def test_zhou_liu_table_1() -> None:
    assert [row.ua for row in load_study("discriminative").literature] == [57.1, 59.6, 59.7, 59.4, 60.7, 67.4, 64.7]
    assert all(row.wa is None for row in load_study("discriminative").literature)


def test_zhou_liu_rows_are_the_settings_that_their_names_say() -> None:
    for row, recipe in recipes_of("discriminative").items():
        said = {kind: float(number) for kind, number in re.findall(r"(-s|-m|gamma|alpha)([\d.]+)", row)}
        has = {"-s": getattr(recipe.head, "scale", None), "-m": recipe.loss.margin}
        has |= {"gamma": recipe.loss.gamma, "alpha": recipe.loss.alpha}
        assert {kind: has[kind] for kind in said} == said
        assert (recipe.pooling.name == "attentive-mean-sd") == (row == "combined")


def test_the_combinations_are_four_losses_by_two_poolings() -> None:
    recipes = recipes_of("discriminative-combined")
    cells = {
        row: (recipe.loss.margin, recipe.loss.gamma, recipe.loss.alpha, recipe.pooling.name.endswith("-sd"))
        for row, recipe in recipes.items()
    }
    assert cells == {
        "baseline": (0.0, 0.0, None, False),
        "sd": (0.0, 0.0, None, True),
        "ams": (0.4, 0.0, None, False),
        "ams-sd": (0.4, 0.0, None, True),
        "focal": (0.0, 2.0, 2.0, False),
        "focal-sd": (0.0, 2.0, 2.0, True),
        "ams-focal": (0.4, 2.0, 2.0, False),
        "ams-focal-sd": (0.4, 2.0, 2.0, True),
    }
    assert set(wa_and_ua("discriminative-combined")) == {"baseline", "sd", "ams", "focal"}  # the rest is future work


@pytest.mark.parametrize(
    ("corpus", "baseline", "proposal", "gain"),
    [("casia", 57.91, 59.08, 1.17), ("emodb", 87.93, 89.29, 1.36), ("iemocap", 68.28, 71.25, 2.97)],
)
def test_lin_table_1_and_the_gains_of_its_abstract(corpus: str, baseline: float, proposal: float, gain: float) -> None:
    name = f"dynamic-convolution-{corpus}"
    assert wa_and_ua(name) == {"dycnn-static-lstm": (baseline, None), "dycnn-bilstm": (proposal, None)}
    assert proposal - baseline == pytest.approx(gain)
    cells = {
        (recipe.encoder.dynamic, recipe.encoder.recurrence)
        for recipe in recipes_of(name).values()
        if isinstance(recipe.encoder, DyCNNOptions)
    }
    assert cells == {(dynamic, recurrence) for dynamic in (True, False) for recurrence in ("lstm", "bilstm")}
    assert load_study(name).published_on == corpus


def test_lin_what_its_text_says_of_figures_5_to_7() -> None:
    casia = figures("dynamic-convolution-casia", "dycnn-bilstm").confusion
    assert casia is not None
    told = {
        (truth, answer): cell
        for truth, cells in zip(casia.labels, casia.percent, strict=True)
        for answer, cell in zip(casia.labels, cells, strict=True)
        if cell is not None
    }
    assert told == {
        ("angry", "angry"): 75,
        ("angry", "surprised"): 9,
        ("angry", "happy"): 8.5,
        ("sad", "sad"): 72,
    }
    assert figures("dynamic-convolution-emodb", "dycnn-bilstm").recall == {"sad": 96, "disgusted": 77}
    assert figures("dynamic-convolution-iemocap", "dycnn-bilstm").recall == {"angry": 84, "happy": 50}


def test_main_rows_are_five_pairs_each_of_one_family() -> None:
    study, recipes = load_study("main-rows"), recipes_of("main-rows")
    pairs = [(pair.a, pair.b) for pair in study.compare]
    assert sorted(row for pair in pairs for row in pair) == sorted(recipes)
    assert len({recipes[a].encoder.name for a, _ in pairs}) == 5
    assert all(recipes[a].encoder.name == recipes[b].encoder.name for a, b in pairs)
    assert all(row.published is not None for row in study.table)


def test_features_are_pairs_that_differ_in_the_input_alone() -> None:
    recipes = recipes_of("features", "schedule=budget")
    for pair in load_study("features").compare:
        a, b = (recipes[row].model_dump(exclude={"name", "description", "schedules"}) for row in (pair.a, pair.b))
        assert {key for key in a if a[key] != b[key]} == {"frontend"}
        assert a["frontend"]["name"] != b["frontend"]["name"]
    scores = wa_and_ua("features")
    assert scores["dycnn-bilstm-mfcc"] == scores["dycnn-bilstm"]  # one figure is published, and both inputs are named


def test_the_page_lists_every_study_as_its_file_says_it() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if re.match(r"\| `[a-z0-9-]+` \| \d", line)]
    expected = []
    for name in STUDIES:
        study = load_study(name)
        expected.append(f"| `{name}` | {len(study.table)} | {study.published_on} | {study.source} |")
    assert sorted(listed) == sorted(expected)


def test_the_page_explains_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    explained = set(re.findall(r"`([a-z_]+)`", text))
    for part in (Study, Row, Grid, Published, Confusion, Compare, Sweep, Literature):
        keys = {field.alias or name for name, field in part.model_fields.items()} - {"a", "b"}
        assert keys <= explained, part


def test_the_pages_example_is_a_study(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.yaml").write_text(example, encoding="utf-8")
    study = load_study(tmp_path / "example.yaml")
    assert [row.name for row in study.table] == ["crnn-mel", "center", "slow", *(f"weight={w}" for w in (0.03, 0.3, 3))]
    shipped_row = figures("center-loss", "crnn-center-mel")
    assert study.rows[1].published == shipped_row
    assert study.table[-1].published == figures("center-loss-lambda", "weight=3")
    for row in study.table:
        load(row.recipe, [*study.set_, *row.set_], corpora={"iemocap"})


def test_every_published_recipe_is_in_a_study() -> None:
    """By what it is, not by its name."""
    used = [bare(r) for name in shipped_studies() for r in recipes_of(name, corpus="iemocap").values()]
    absent = {name for name in shipped() if bare(load(name, corpora={"iemocap"})) not in used}
    assert absent == {
        "emodb-crnn",  # the recogniser that ships
        *("default", "free", "light"),  # ours, for strangers
        *("whisper-focal-attentive", "whisper-am-softmax", "whisper-center"),  # ours too
    }
