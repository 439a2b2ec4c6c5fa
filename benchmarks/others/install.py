"""What packages and all that they need take of this interpreter's site-packages, in bytes by name, as JSON.

python install.py NAME [NAME ...]       compiled .pyc files are left out: they come with use
"""

import json
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(names):
    """The packages and all that they require, with no extra."""
    found, waiting = {}, list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def size(distribution):
    """Bytes of its files; those of an editable install lie in its source folder."""
    paths = [Path(distribution.locate_file(file)) for file in distribution.files or ()]
    if distribution.metadata["Name"] == "serotone" and not any(path.name == "errors.py" for path in paths):
        import serotone

        paths = list(Path(serotone.__file__).parent.rglob("*"))
    return sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")


if __name__ == "__main__":
    print(json.dumps({name: size(found) for name, found in sorted(needed(sys.argv[1:]).items())}))
