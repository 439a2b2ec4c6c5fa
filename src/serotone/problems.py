"""What is wrong with a recipe or a study that its schema refuses, in words for the person who wrote it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from serotone.documents import dotted, yaml_word
from serotone.expectations import expectation, message
from serotone.names import guess

_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}


def in_words(error: ValidationError, schema: type[BaseModel], tree: Mapping[str, Any], noun: str) -> str:
    """Every problem of a document: which key, what it says, what was expected.

    Args:
        error: What pydantic found.
        schema: What it was read by.
        tree: What it was read from.
        noun: What the document is, such as recipe.
    """
    sentences: list[str] = []
    expected: dict[str, list[str]] = {}
    known = _known(error, schema, tree) if _unknown_places(error, tree) else []
    for problem in error.errors():
        kind, place = problem["type"], _place(problem, tree)
        key = ".".join(map(str, place))
        if kind in _UNKNOWN:
            sentences.append(_unknown(key, known))
        elif kind == "missing":
            sentences.append(f"{key} is missing; add it")
        elif kind in {"value_error", "unknown_solver"}:
            sentences.append(f"{key}: {message(problem)}" if key else message(problem))
        else:
            value = problem["input"]
            if kind.startswith("union_tag") and isinstance(value, Mapping):
                key, value = f"{key}.name", value.get("name")
            given = f"{key or f'the {noun}'} is {yaml_word(value):.80}"
            expected.setdefault(given, []).append(expectation(problem))
    sentences += [f"{given}; expected {', or '.join(dict.fromkeys(wanted))}" for given, wanted in expected.items()]
    return ". ".join(sentences)


def truth_for_number(tree: object, read: object) -> str | None:
    """What is wrong with a document that says true or false for a number, which its schema takes for 1 and 0.

    Args:
        tree: What was read.
        read: What the schema made of it, as plain mappings and lists.
    """
    for key, value in _truths_for_numbers(tree, read):
        return f"{key} is {yaml_word(value)}, which is also how YAML reads yes, no, on and off; expected a number"
    return None


def _truths_for_numbers(tree: object, read: object, key: str = "") -> Iterator[tuple[str, bool]]:
    if isinstance(tree, bool):
        if isinstance(read, int | float) and not isinstance(read, bool):
            yield key, tree
    elif isinstance(tree, Mapping) and isinstance(read, Mapping):
        for name in (name for name in tree if name in read):
            yield from _truths_for_numbers(tree[name], read[name], f"{key}.{name}" if key else str(name))
    elif isinstance(tree, list) and isinstance(read, list | tuple):
        for number, (value, made) in enumerate(zip(tree, read)):
            yield from _truths_for_numbers(value, made, f"{key}.{number}")


def unknown_keys(error: ValidationError, tree: Mapping[str, Any]) -> list[str]:
    """The dotted keys that the schema does not know."""
    return [".".join(map(str, place)) for place in _unknown_places(error, tree)]


def _unknown_places(error: ValidationError, tree: Mapping[str, Any]) -> list[list[str | int]]:
    return [_place(problem, tree) for problem in error.errors() if problem["type"] in _UNKNOWN]


def _place(problem: Mapping[str, Any], tree: object) -> list[str | int]:
    """Where in the document, without the names that pydantic adds for the choice that it followed."""
    place: list[str | int] = []
    for step in problem["loc"]:
        here = isinstance(tree, Mapping) and step in tree
        if here or (isinstance(tree, Sequence) and isinstance(step, int) and step < len(tree)):
            place.append(step)
            tree = tree[step]  # type: ignore[index]
    return [*place, problem["loc"][-1]] if problem["type"] == "missing" else place


def _unknown(key: str, known: Sequence[str]) -> str:
    """What to say of a key that the schema does not know: the one that was meant, or those that are there."""
    path, _, leaf = key.rpartition(".")
    beside = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == path]
    alike = [name for name in known if name.rpartition(".")[2] == leaf][:3]
    meant = " or ".join(part for part in (", ".join(alike[:-1]), *alike[-1:]) if part)
    hint = guess(leaf, beside) or (f" (did you mean {meant}?)" if alike else "")
    if not hint and beside:
        hint = f"; expected one of {', '.join(beside)}"
    return f"unknown key {key!r}{hint}"


def _known(error: ValidationError, schema: type[BaseModel], tree: Mapping[str, Any]) -> list[str]:
    """Every key that the document may hold as it stands, dotted; none if more is wrong with it than unknown keys."""
    wanted = tree
    for place in _unknown_places(error, tree):
        wanted = _without(wanted, place)
    try:
        whole = schema.model_validate(wanted)
    except ValidationError:
        return []
    return [key for key, _ in dotted(whole.model_dump(mode="json", by_alias=True))]


def _without(tree: Any, place: Sequence[str | int]) -> Any:
    """The tree without what stands at a place."""
    step, *further = place
    if not isinstance(tree, Mapping):
        return [_without(value, further) if number == step else value for number, value in enumerate(tree)]
    if further:
        return {**tree, step: _without(tree[step], further)}
    return {key: value for key, value in tree.items() if key != step}
