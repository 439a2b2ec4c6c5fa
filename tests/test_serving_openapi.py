"""OpenAPI: complete, with examples, and kept to under schemathesis."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from made_server import make_server, running

SCHEMATHESIS = shutil.which("schemathesis", path=str(Path(sys.executable).parent))


def test_every_route_is_described_with_its_problems_and_examples(adaptable):
    app = make_server(adaptable)
    described = app.openapi()
    app.state.desk.close()
    routes = {r.path for r in app.routes if r.path.startswith("/v1") and getattr(r, "include_in_schema", False)}
    assert set(described["paths"]) == routes | {"/healthz", "/readyz", "/metrics"}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            assert operation["description"], (method, path)
            problems = {status for status in operation["responses"] if status >= "4"}
            assert {"401", "403", "413", "421", "500"} <= problems
            for status in problems:
                assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
    for name, schema in described["components"]["schemas"].items():
        assert any("examples" in value for value in schema["properties"].values()), name


@pytest.mark.slow
@pytest.mark.skipif(SCHEMATHESIS is None, reason="schemathesis is not installed")
def test_schemathesis_finds_no_fault(adaptable, tmp_path):
    with running("--bundle", adaptable, "--workers", "1") as server:
        done = subprocess.run(
            [
                SCHEMATHESIS,
                "run",
                f"{server.url}/openapi.json",
                "--phases=examples,coverage,fuzzing",
                "--max-examples=5",
                "--seed=1",
                # OpenAPI cannot say what audio is: bytes that fit its description are mostly none.
                "--exclude-checks=positive_data_acceptance",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        server.reading.join(0.1)
        assert done.returncode == 0, done.stdout[-5000:]
        assert "Traceback" not in "".join(server.log)
