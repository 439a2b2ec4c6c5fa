"""What a study may say: which recipes are compared on what, and what was published. Unknown keys are errors."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from serotone.documents import yaml_word
from serotone.emotions import EMOTIONS
from serotone.errors import RunError
from serotone.names import guess

SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")
"""What a row may be called: it names a folder."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Confusion(_Frozen):
    """A published confusion matrix: row percent, rows the truth; null where the paper states no figure."""

    labels: tuple[str, ...]
    percent: tuple[tuple[float | None, ...], ...]

    @model_validator(mode="after")
    def _square(self) -> "Confusion":
        size = len(self.labels)
        if len(self.percent) != size or any(len(row) != size for row in self.percent):
            raise ValueError(f"{size} labels need {size} rows of {size} figures; give null where the paper has none")
        return self


class Published(_Frozen):
    """Published figures, in percent; what a paper does not state is left out."""

    wa: float | None = Field(None, ge=0, le=100)
    ua: float | None = Field(None, ge=0, le=100)
    wa_sd: float | None = Field(None, ge=0)
    ua_sd: float | None = Field(None, ge=0)
    recall: dict[str, float] = Field(default_factory=dict, description="percent by label")
    confusion: Confusion | None = None


class Row(_Frozen):
    """One line of the study's table: a recipe, with overrides."""

    name: str = ""
    recipe: str
    label: str = ""
    set_: tuple[str, ...] = Field((), alias="set", description="key=value overrides of the recipe")
    published: Published | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"recipe": value}
        if isinstance(value, dict) and "recipe" in value:
            value = {**value, "name": value.get("name") or bare(str(value["recipe"]))}
            value["label"] = value.get("label") or value["name"]
        return value

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not SLUG.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot name a folder; use letters, digits and . _ = + - and begin with a letter or digit"
            )
        return name


class PublishedAt(Published):
    """Published figures of one cell of a grid."""

    at: dict[str, Any]


class Grid(_Frozen):
    """One recipe over the product of values of its keys."""

    recipe: str
    values: dict[str, tuple[Any, ...]] = Field(min_length=1)
    set_: tuple[str, ...] = Field((), alias="set")
    published: tuple[PublishedAt, ...] = ()

    def cells(self) -> list[dict[str, Any]]:
        """The values of the keys in each cell, in the order of `rows`."""
        return [dict(zip(self.values, cell, strict=True)) for cell in itertools.product(*self.values.values())]

    def rows(self) -> list[Row]:
        """One row a cell; named by its values, ``weight=0.3`` or ``scale=10,margin=0.2`` with + for the comma."""
        rows, told = [], list(self.published)
        for at in self.cells():
            figures = next((entry for entry in told if entry.at == at), None)
            if figures is not None:
                told.remove(figures)
            rows.append(
                Row(
                    name="+".join(f"{key.rsplit('.', 1)[-1]}={_in_a_name(value)}" for key, value in at.items()),
                    recipe=self.recipe,
                    set=(*self.set_, *(f"{key}={yaml_word(value)}" for key, value in at.items())),
                    published=figures and Published(**figures.model_dump(exclude={"at"})),
                )
            )
        if told:
            cells = "; ".join(f"{key}: {', '.join(map(yaml_word, values))}" for key, values in self.values.items())
            raise ValueError(
                f"grid.published has figures at {yaml_word(told[0].at)}, where the grid has no cell; its values are"
                f" {cells}"
            )
        return rows


class Compare(_Frozen):
    """A question that two rows answer; ``a`` is the newer idea."""

    a: str
    b: str
    question: str


class Sweep(_Frozen):
    """A figure: the score over the values of one key."""

    key: str
    rows: tuple[str, ...] = Field((), description="names; none means every row of the grid")
    log: bool = False


class Literature(_Frozen):
    """A row that is quoted, not run; in percent."""

    system: str
    wa: float | None = Field(None, ge=0, le=100)
    ua: float | None = Field(None, ge=0, le=100)
    source: str


class Study(_Frozen):
    """Rows x folds x seeds, with what was published and what is compared with what."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = ""
    title: str
    description: str
    source: str = ""
    published_on: str = Field("", description="corpus of the published figures")
    published_protocol: str = Field(
        "", description="in words; the clause 'speakers shared' or 'speakers apart' between semicolons is compared"
    )
    published_classes: tuple[str, ...] = Field((), description="emotions that the published systems classify")
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    repetitions: int = Field(1, ge=1)
    set_: tuple[str, ...] = Field((), alias="set", description="key=value overrides of every row")
    rows: tuple[Row, ...] = ()
    grid: Grid | None = None
    compare: tuple[Compare, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    embeddings: bool = Field(False, description="keep z of the training and test parts")
    literature: tuple[Literature, ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> "Study":
        names = [row.name for row in self.table]
        if not names:
            raise ValueError("the study has no rows; give rows, or a grid")
        for what, given in (("name", names), ("label", [row.label for row in self.table])):
            if repeated := sorted({name for name in given if given.count(name) > 1}):
                raise ValueError(f"several rows have the {what} {', '.join(repeated)}; give each a {what} of its own")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(
                f"seeds are {', '.join(map(str, self.seeds))}; expected different whole numbers of at least 0"
            )
        mentioned = [side for pair in self.compare for side in (pair.a, pair.b)]
        mentioned += [name for sweep in self.sweeps for name in sweep.rows]
        if unknown := sorted(set(mentioned) - set(names)):
            strangers, near = ", ".join(map(repr, unknown)), guess(unknown[0], names)
            raise ValueError(f"compare or sweeps: no row {strangers}{near}; the rows are {', '.join(names)}")
        if any(not sweep.rows and self.grid is None for sweep in self.sweeps):
            raise ValueError("a sweep has no rows, and the study has no grid to take them from; give the sweep rows")
        return self

    @model_validator(mode="after")
    def _classes_hold_the_figures(self) -> "Study":
        classes = self.published_classes
        if not classes:
            return self
        if unknown := [name for name in classes if name not in EMOTIONS]:
            raise ValueError(
                f"published_classes names {', '.join(unknown)}, which serotone does not know; use {', '.join(EMOTIONS)}"
            )
        if len(set(classes)) < len(classes) or len(classes) < 2:
            raise ValueError(f"published_classes is {', '.join(classes)}; expected two or more, each once")
        for row in self.table:
            told = row.published
            if told is None:
                continue
            named = [*told.recall, *(told.confusion.labels if told.confusion else ())]
            if strangers := sorted(set(named) - set(classes)):
                raise ValueError(
                    f"row {row.name} has published figures of {', '.join(strangers)}, which are not in"
                    f" published_classes ({', '.join(classes)}); list them there, or correct the labels"
                )
        return self

    @property
    def table(self) -> tuple[Row, ...]:
        """The rows as written, then those of the grid."""
        return (*self.rows, *(self.grid.rows() if self.grid else ()))

    def check_rows(self, names: Iterable[str]) -> None:
        """Make sure that rows of these names are there.

        Raises:
            RunError: One is not.
        """
        known = [row.name for row in self.table]
        if unknown := sorted(set(names) - set(known)):
            raise RunError(
                f"no row {', '.join(map(repr, unknown))}{guess(unknown[0], known)}; the rows are {', '.join(known)}"
            )

    def to_yaml(self) -> str:
        """The study with every default spelled out, as it is kept in its folder."""
        return yaml.safe_dump(self.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def _in_a_name(value: object) -> str:
    """A value as a part of a row's name: ``0.3``, and ``16-32`` for a list."""
    text = str(value)
    return text if SLUG.fullmatch(f"x{text}") else re.sub(r"[^A-Za-z0-9._=+-]+", "-", text).strip("-")


def bare(recipe: str) -> str:
    """The name of a recipe that may be a path; a name may hold dots."""
    path = Path(recipe)
    return path.stem if path.suffix in {".yaml", ".yml"} else path.name
