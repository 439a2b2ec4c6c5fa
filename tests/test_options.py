"""Options: one class for the module and its recipe, held to the same ranges whoever makes them."""

from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Lt, doc
from pydantic import TypeAdapter, ValidationError

from serotone.modeling.encoders import ENCODERS
from serotone.modeling.frontends import FRONTENDS
from serotone.modeling.heads import HEADS
from serotone.modeling.pooling import POOLINGS
from serotone.options import CHOICES, Options, by_name, described
from serotone.recipes import load


@dataclass(frozen=True, kw_only=True)
class Made(Options):
    """What the tests ask for."""

    name: Literal["made"] = "made"
    width: Annotated[int, Ge(1), doc("how wide")] = 3
    share: Annotated[float | None, Ge(0), Lt(1)] = None
    norm: Literal["one", "two"] | None = "one"
    level: float = 0.5
    pair: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]] = (1, 2)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"width": 0}, "width is 0; expected at least 1"),
        ({"share": 1.0}, r"share is 1\.0; expected less than 1"),
        ({"norm": "three"}, "norm is 'three'; expected one of one, two, null"),
        ({"level": float("inf")}, "level is inf; expected a finite number"),
        ({"level": float("nan")}, "level is nan; expected a finite number"),
        ({"pair": (4, 0)}, r"pair\[1\] is 0; expected at least 1"),
        ({"name": "other"}, "name is 'other'; expected one of made"),
    ],
)
def test_a_value_out_of_its_range_is_refused_in_python_and_in_a_recipe(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Made(**values)
    with pytest.raises(ValidationError):
        TypeAdapter(Made).validate_python(values)


def test_what_is_within_is_taken() -> None:
    made = Made(width=1, share=0.0, norm=None)
    assert TypeAdapter(Made).validate_python({"width": 1, "share": 0, "norm": None}) == made
    assert Made(share=None) == Made()
    with pytest.raises(FrozenInstanceError):
        made.width = 2
    with pytest.raises(ValidationError, match="Unexpected keyword"):
        TypeAdapter(Made).validate_python({"hight": 2})


def test_fields_are_described() -> None:
    assert dict(described(Made)) == {"name": "", "width": "how wide", "share": "", "norm": "", "level": "", "pair": ""}


def test_modules_go_by_the_names_of_their_options() -> None:
    class Module:
        options_type = Made

    assert dict(by_name(Module)) == {"made": Module}


@pytest.mark.parametrize(
    ("part", "modules"), [("frontend", FRONTENDS), ("encoder", ENCODERS), ("pooling", POOLINGS), ("head", HEADS)]
)
def test_what_a_recipe_may_choose_is_what_can_be_built(part: str, modules: dict) -> None:
    assert {name: module.options_type for name, module in modules.items()} == dict(CHOICES[part])


@pytest.mark.parametrize("modules", [FRONTENDS, ENCODERS, POOLINGS, HEADS])
def test_every_module_has_options_of_its_own_with_a_default_for_all(modules: dict) -> None:
    classes = [module.options_type for module in modules.values()]
    assert len(set(classes)) == len(classes)
    for name, cls in zip(modules, classes, strict=True):
        assert cls().name == name
        assert (cls.__doc__ or "").splitlines()[0].endswith(".")


def test_a_recipe_repeats_no_field() -> None:
    recipe = load("crnn-mel")
    for part, choices in CHOICES.items():
        chosen = getattr(recipe, part)
        assert type(chosen) is choices[chosen.name]
        assert set(recipe.model_dump()[part]) == {field.name for field in fields(chosen)}
