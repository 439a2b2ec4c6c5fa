"""What many files of tests share: bundles made by hand, once for all of them. Whoever changes one makes its own."""

import os
from pathlib import Path

import pytest

from toy_bundle import make_adaptable_bundle, make_toy_bundle

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as make has it: with more, sums differ in their last digit under load


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the toy bundle."""
    return make_toy_bundle(tmp_path_factory.mktemp("bundles") / "toy").path


@pytest.fixture(scope="session")
def adaptable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the toy bundle that can be adapted; it is called "toy", too."""
    return make_adaptable_bundle(tmp_path_factory.mktemp("adaptable") / "toy").path
