"""How many processors a process takes for its own."""

from pathlib import Path

import pytest

from serotone import processors


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        (None, 8),
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("1600000 100000", 8),
    ],
)
def test_a_container_gets_its_share(
    quota: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "cpu.max"
    if quota is not None:
        place.write_text(f"{quota}\n", encoding="utf-8")
    monkeypatch.setattr(processors, "QUOTA", place)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert processors.processors() == expected
