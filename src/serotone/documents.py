"""Documents in YAML that ship with serotone or lie in a file: recipes and studies, found by name or by path."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from serotone.errors import SerotoneError
from serotone.names import guess


@dataclass(frozen=True, slots=True)
class Documents:
    """One kind of document: its name, the room of those that ship, and the error of one that cannot be read."""

    kind: str
    room: str
    error: type[SerotoneError]

    def shipped(self) -> list[str]:
        """Names of those that come with serotone."""
        return shipped(self.room)

    def text(self, name: str) -> tuple[str, str]:
        """The text of a shipped document by its name, or of a file by its path, and the name that it goes by.

        Raises:
            SerotoneError: Of the kind's type; there is none.
        """
        path = Path(name)
        if path.suffix in {".yaml", ".yml"} or path.is_file():
            if not path.is_file():
                raise self.error(
                    f"{name}: no such {self.kind} file; check the path, or give the name of a shipped {self.kind}"
                )
            try:
                return path.read_text(encoding="utf-8"), path.stem
            except UnicodeDecodeError as error:
                raise self.error(f"{name}: not a text file in UTF-8: {error}; save it as UTF-8") from None
        known = self.shipped()
        if name not in known:
            raise self.error(
                f"no {self.kind} {name!r}{guess(name, known)}; choose one of {', '.join(known)}, or give the path of a"
                " .yaml file"
            )
        return (resources.files("serotone") / self.room / f"{name}.yaml").read_text(encoding="utf-8"), name

    def tree(self, name: str) -> tuple[dict[Any, Any], str]:
        """The keys and values of a document, not yet validated, and the name that it goes by.

        Raises:
            SerotoneError: Of the kind's type; there is none, or it is not a mapping in YAML.
        """
        text, stem = self.text(name)
        try:
            tree = from_yaml(text)
        except ValueError as error:
            raise self.error(f"{name}: not YAML that serotone reads: {error}; correct it") from None
        if not isinstance(tree, dict):
            raise self.error(f"{name}: expected lines of the form key: value, got {yaml_word(tree):.80}")
        return tree, stem


def shipped(room: str) -> list[str]:
    """Names of the documents that come with serotone in a room such as ``recipes``."""
    folder = resources.files("serotone") / room
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def nearest(document: str, other: str) -> str:
    """Where to read a document that another one names: the file next to that one, else what the name says."""
    local = Path(document).parent / other
    return str(local) if local.is_file() else other


class _Loader(yaml.SafeLoader):
    """YAML in which no key is given twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Keys and values of a node."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)
"""As in YAML 1.2: 1e-3 is a number. PyYAML, which reads YAML 1.1, wants a point and a sign in it."""


def _reason(error: yaml.YAMLError) -> str:
    """What is wrong with a text, in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark and problem else " ".join(str(error).split())


def from_yaml(text: str) -> Any:
    """What a text in YAML says.

    Raises:
        ValueError: It is not YAML, or gives a key twice; what is wrong, in one line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(_reason(error)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def yaml_word(value: object) -> str:
    r"""A value in one line, as ``--set`` reads it.

    >>> yaml_word(["a", None, 1.0]), yaml_word("two\nlines")
    ('[a, null, 1.0]', '"two\\nlines"')
    """
    word = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    if "\n" in word:
        word = yaml.safe_dump(value, default_flow_style=True, default_style='"', width=10**6).strip()
    return word


def dotted(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The dotted keys of a document with what they hold, each before those inside it.

    >>> list(dotted({"a": {"b": 1}, "c": [{"d": 2}]}))
    [('a', {'b': 1}), ('a.b', 1), ('c', [{'d': 2}]), ('c.0.d', 2)]
    """
    inside = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    )
    for key, member in inside:
        place = f"{path}.{key}" if path else str(key)
        if isinstance(key, str):
            yield place, member
        yield from dotted(member, place)


def leaves(value: object) -> dict[str, object]:
    """The dotted keys of a document that hold no keys of their own, and what each holds.

    >>> leaves({"a": {"b": 1, "c": {}}, "d": [2]})
    {'a.b': 1, 'a.c': {}, 'd': [2]}
    """
    return {key: held for key, held in dotted(value) if not held or not isinstance(held, Mapping)}
