from __future__ import annotations

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_names() -> None:
    """Start Keras's numbering of names anew, so that messages with names in them are the same."""
    keras.utils.clear_session(free_memory=False)  # no garbage is collected, which takes its time
