"""Documents in YAML that ship with serotone or lie in a file: recipes and studies, found by name or by path."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

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
        folder = resources.files("serotone") / self.room
        return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))

    def text(self, name: str) -> tuple[str, str]:
        """The text of a shipped document by its name, or of a file by its path, and the name that it goes by.

        Raises:
            SerotoneError: Of the kind's type; there is none.
        """
        path = Path(name)
        if path.suffix in {".yaml", ".yml"} or path.is_file():
            if not path.is_file():
                raise self.error(f"{name}: no such {self.kind} file")
            return path.read_text(encoding="utf-8"), path.stem
        known = self.shipped()
        if name not in known:
            raise self.error(
                f"no {self.kind} {name!r}{guess(name, known)}; shipped are {', '.join(known)};"
                " or give the path of a .yaml file"
            )
        return (resources.files("serotone") / self.room / f"{name}.yaml").read_text(encoding="utf-8"), name

    def tree(self, name: str) -> tuple[dict[Any, Any], str]:
        """The keys and values of a document, not yet validated, and the name that it goes by.

        Raises:
            SerotoneError: Of the kind's type; there is none, or it is not a mapping in YAML.
        """
        try:
            text, stem = self.text(name)
            tree = yaml.safe_load(text)
        except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
            raise self.error(f"{name}: not YAML: {error}") from None
        if not isinstance(tree, dict):
            raise self.error(f"{name}: expected a mapping of keys to values, got {type(tree).__name__}")
        return tree, stem
