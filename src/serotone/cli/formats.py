"""How a command prints its answer, where that is a table or one JSON document; ``predict`` has more of them."""

from enum import StrEnum


class Format(StrEnum):
    """For people, or for programs."""

    table = "table"
    json = "json"
