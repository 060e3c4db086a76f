from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of three classes that starts in a moment."""
    from tests.tiny import save_tiny  # imports TensorFlow, which most tests do without

    path = tmp_path_factory.mktemp("tiny") / "tiny.keras"
    save_tiny(path)
    return path
