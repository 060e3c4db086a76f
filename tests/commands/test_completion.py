"""What a shell gets to complete a line with, through real shells and processes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from tests.processes import gradcam, inside

TRACED = """
import sys
from gradcam_cli import cli
try:
    cli.main()
finally:
    print([name for name in ("tensorflow", "keras") if name in sys.modules], file=sys.stderr)
"""


def completed(*words: str, cwd: Path) -> list[str]:
    """Return what ``gradcam WORDS`` may go on with, made without TensorFlow."""
    asked = {
        "COMP_WORDS": shlex.join(["gradcam", *words]),
        "COMP_CWORD": str(len(words)),
        "_GRADCAM_COMPLETE": "complete_bash",
    }
    result = subprocess.run(
        [sys.executable, "-c", TRACED],
        cwd=cwd,
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "[]\n")
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("ru",), ["run"]),
        (("run", "--model", "vgg"), ["vgg16", "vgg19"]),
        (("layers", "vgg1"), ["vgg16", "vgg19"]),
        (("run", "-c", "Egyptian"), ["Egyptian_cat"]),
        (("run", "--method", "score"), ["scorecam"]),
        (("run", "--colormap", "tu"), ["turbo"]),
        (("run", "--blend", ""), ["add", "mix"]),
        (("run", "--model", "photos/"), []),  # the shell's own files
    ],
)
def test_names_are_completed(words: tuple[str, ...], names: list[str], tmp_path: Path) -> None:
    assert completed(*words, cwd=tmp_path) == names


def test_labels_and_layers_are_those_of_the_files(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.layers.Conv2D(2, 3, name="conv")], name="inner")
    inner.build((None, 8, 8, 3))
    head = [keras.layers.GlobalAveragePooling2D(name="pool"), keras.layers.Dense(2, name="last")]
    whole = keras.Sequential([keras.Input((8, 8, 3)), inner, *head])
    for name in ("m.keras", "m.h5"):
        whole.save(tmp_path / name)
        offered = completed("run", "-m", name, "--layer", "", cwd=tmp_path)
        assert set(offered) == {"auto", "inner", "inner/conv", "pool", "last"}
        listed = inside("layers", tmp_path / name)
        assert "inner/conv" in listed.stdout
    (tmp_path / "m.keras").write_bytes(b"no model")
    assert completed("run", "-m", "m.keras", "--layer", "", cwd=tmp_path) == ["auto"]
    (tmp_path / "names.txt").write_text("dog\ncat\n")
    assert completed("run", "--labels", "names.txt", "-c", "c", cwd=tmp_path) == ["cat"]
    (tmp_path / "gradcam.toml").write_text("broken = [")
    assert completed("run", "--labels", "none.txt", "-c", "c", cwd=tmp_path) == []


def test_bash_completes_with_the_script_that_is_shown(tmp_path: Path) -> None:
    shown = gradcam("--show-completion", "bash", cwd=tmp_path, env={"SHELL": "/bin/bash"})
    assert (shown.returncode, shown.stderr) == (0, "")
    (tmp_path / "gradcam").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradcam_cli "$@"\n')
    (tmp_path / "gradcam").chmod(0o755)
    script = shown.stdout + (
        "COMP_WORDS=(gradcam run --method layer) COMP_CWORD=3\n"
        '_gradcam_completion ./gradcam; echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("layercam\n", "")
