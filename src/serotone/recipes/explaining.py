"""Where each value of a recipe comes from: the comment beside it in the file that says it last.

A recipe's author ends a line with what supports its values, one of four words and perhaps a reason:

    n_fft: 1024            # paper
    center: {weight: 0.3}  # public: the first author's configuration

The words are ``paper`` (stated in the publication), ``public`` (in another public source), ``computed`` (derived from
those) and ``ours``. A comment belongs to the keys that begin on its line, and to no others.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from serotone.documents import leaves
from serotone.options import Options, described
from serotone.recipes.parts import BY_NAME, a_name_alone
from serotone.recipes.reading import as_tree, layers, load, resolved

PROVENANCES = ("paper", "public", "computed", "ours")
"""What the comment beside a value may begin with."""

GIVEN, DEFAULT, UNSAID = "given", "default", "not said"
"""By --set; by the schema, no file says it; said by a file without one of the four words."""

HEADER = ("schema", "name", "description", "extends")
"""What a recipe says of itself, not of the experiment; never explained."""

_COMMENT = re.compile(rf"({'|'.join(PROVENANCES)})(?::\s*(.*)|\s*)$")
_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # those of YAML


@dataclass(frozen=True, slots=True)
class Explanation:
    """One value of a resolved recipe.

    ``key`` is dotted. ``provenance`` is one of `PROVENANCES`, or ``given``, ``default`` or ``not said``; ``why`` is the
    rest of the comment, or the schema's description of a default. ``source`` names the recipe that says it, with the
    corpus where it speaks of one; of others it is ``--set`` or ``schema``.
    """

    key: str
    value: Any
    provenance: str
    why: str
    source: str


class _Said(NamedTuple):
    provenance: str
    why: str
    source: str


def explain(name_or_path: str | Path, overrides: Sequence[str] = (), *, corpus: str | None = None) -> list[Explanation]:
    """Every value of a recipe as :func:`serotone.recipes.load` resolves it, in the schema's order.

    Args:
        name_or_path: Which recipe.
        overrides: ``key=value``, as for load.
        corpus: The corpus to resolve the recipe's ``on`` for; None explains ``on`` itself.

    Raises:
        RecipeError: As load.
    """
    corpora = None if corpus is None else (corpus,)
    recipe, tree = load(name_or_path, overrides, corpora=corpora), resolved(name_or_path, overrides, corpora=corpora)
    said: dict[str, _Said] = {}
    special: dict[str, _Said] = {}
    for name, text in layers(name_or_path):
        for key, comment in commented(text).items():
            if (place := _for_corpus(key, corpus)) != key:
                special[place] = _Said(*_parsed(comment), f"{name}, on {corpus}")
            else:
                said[key] = _Said(*_parsed(comment), name)
    # A value of the resolved recipe is that of whoever said its key last: in general, on the corpus, by --set.
    said |= special
    for override in overrides:
        said |= {_for_corpus(_whole(key), corpus): _Said(GIVEN, "", "--set") for key in leaves(as_tree(override))}
    unknown = _Said(UNSAID, "", "")
    return [
        Explanation(key, value, *(said.get(key, unknown) if stated else _Said(DEFAULT, description, "schema")))
        for key, value, stated, description in _values(recipe, tree)
        if key not in HEADER
    ]


def commented(text: str) -> dict[str, str]:
    r"""The dotted keys that a recipe file gives a value, each with the comment on its line; "" for none.

    >>> commented("center: {weight: 0.3, alpha: 0.5}  # paper\nseed: 0\n")
    {'center.weight': 'paper', 'center.alpha': 'paper', 'seed': ''}
    """
    ends: dict[int, int] = {}  # line -> column where its last token ends
    for token in yaml.scan(text):
        line, column = token.end_mark.line, token.end_mark.column
        ends[line] = max(column, ends.get(line, 0))
    lines = _LINE_END.split(text)

    def comment(line: int) -> str:
        rest = lines[line][ends.get(line, 0) :].strip()
        return rest.lstrip("#").strip() if rest.startswith("#") else ""

    return {key: comment(line) for key, line in _lines(yaml.compose(text, Loader=yaml.SafeLoader), "")}


def _lines(node: yaml.Node | None, path: str) -> Iterator[tuple[str, int]]:
    """Dotted key and line of every value that is no mapping, or an empty one."""
    assert isinstance(node, yaml.MappingNode)  # load has read the file
    for key, value in node.value:
        inner = f"{path}.{key.value}" if path else str(key.value)
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _lines(value, inner)
        else:
            yield _whole(inner), key.start_mark.line


_UNSTATED = object()


def _values(value: object, stated: object, path: str = "", about: str = "") -> Iterator[tuple[str, Any, bool, str]]:
    """Dotted key, plain value, whether a file or --set states it, and what the schema says, of each value.

    ``stated`` is what they say in the value's place, unvalidated, or `_UNSTATED`.
    """
    if isinstance(value, BaseModel | Options):
        tree = a_name_alone(stated)
        for name, key, description in sorted(_fields(value), key=lambda field: field[0] != "name"):
            said = tree.get(key, _UNSTATED) if isinstance(tree, Mapping) else _UNSTATED
            yield from _values(getattr(value, name), said, f"{path}.{key}" if path else key, description)
    elif isinstance(value, Mapping) and value:
        for name, item in value.items():
            said = stated.get(name, _UNSTATED) if isinstance(stated, Mapping) else _UNSTATED
            yield from _values(item, said, f"{path}.{name}", about)
    else:
        yield _whole(path), list(value) if isinstance(value, tuple) else value, stated is not _UNSTATED, about


def _fields(value: BaseModel | Options) -> Iterator[tuple[str, str, str]]:
    """Attribute, key in a recipe and description of each field."""
    if isinstance(value, Options):
        yield from ((name, name, description) for name, description in described(type(value)))
    else:
        for name, field in type(value).model_fields.items():
            yield name, field.alias or name, field.description or ""


def _for_corpus(key: str, corpus: str | None) -> str:
    """The key that a recipe resolved for the corpus has instead of this one; the same without a corpus."""
    return key if corpus is None else key.removeprefix(f"on.{corpus}.")


def _whole(key: str) -> str:
    """The key with ``.name`` where a part, in general or on a corpus, is given by its name alone."""
    places = key.split(".")
    is_part = places[-1] in BY_NAME and (len(places) == 1 or (places[0] == "on" and len(places) == 3))
    return f"{key}.name" if is_part else key


def _parsed(comment: str) -> tuple[str, str]:
    """Provenance and reason."""
    match = _COMMENT.match(comment)
    return (match[1], match[2] or "") if match else (UNSAID, comment)
