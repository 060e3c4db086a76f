from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path

import pytest

from tests import warm

LONG = (
    *("test_matrix.py", "test_watched.py", "test_attacks.py", "test_functions.py", "test_api.py"),
    *("test_applications.py", "test_matrix_passes.py", "test_cli.py", "test_load.py"),
    *("test_bytes.py", "test_margins.py", "test_cli_run.py", "test_numbers.py", "test_readme.py"),
    *("test_reference.py", "test_hostile.py", "test_endings.py", "test_cli_models.py"),
    *("test_isolation.py", "test_supervisor.py", "test_streams.py", "test_growth.py"),
)
"""The files that take longest, in this order: workers that begin with them end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; each is one worker's, which makes its fixtures once."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def pytest_collection() -> None:
    """Import without looking for garbage: a million objects are made, and none is."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on, only what tests make is looked through."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """End what would write down what it covered when all has been put together already."""
    try:
        return (yield)
    finally:
        warm.end()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of three classes that starts in a moment."""
    from tests.tiny import save_tiny  # imports TensorFlow, which most tests do without

    path = tmp_path_factory.mktemp("tiny") / "tiny.keras"
    save_tiny(path)
    return path
