"""What a shell gets to complete a line with, through real shells and processes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import pytest

from tests.processes import gradcam, inside
from tests.report.made import done, failed, heatmap, manifest

TRACED = """
import sys
from gradcam_cli import cli
try:
    cli.main()
finally:
    print([name for name in ("tensorflow", "keras") if name in sys.modules], file=sys.stderr)
"""


KINDS = ("heatmap", "array", "figure")


def completed(*words: str, cwd: Path, lines: bool = False) -> list[str]:
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
    return result.stdout.splitlines() if lines else result.stdout.split()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("ru",), ["run"]),
        (("run", "--model", "vgg"), ["vgg16", "vgg19"]),
        (("layers", "vgg1"), ["vgg16", "vgg19"]),
        (("run", "-c", "Egyptian"), ["Egyptian_cat"]),
        (("run", "-c", "egyptian"), ["egyptian_cat"]),  # any case is taken
        (("run", "--save", "pa"), ["panel"]),
        (("run", "--save", "panel,overlay,"), [f"panel,overlay,{k}" for k in KINDS]),
        (("export", "out", "--to", "c"), ["csv", "coco"]),
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


def test_what_a_sheet_can_show_is_what_the_run_has(tmp_path: Path) -> None:
    maps = [heatmap("great_auk"), replace(heatmap("Great Dane", layer="conv1"), method="hirescam")]
    manifest(tmp_path / "out", done("a.jpg", maps=maps), failed("b.jpg"))
    for option, typed, names in (
        ("--class", "great", ["great\\ Dane", "great_auk"]),
        ("--method", "", ["gradcam", "hirescam"]),
        ("--layer", "c", ["conv1"]),
    ):
        offered = completed("sheet", "out", option, typed, cwd=tmp_path, lines=True)
        assert offered == names
    assert completed("sheet", "nowhere", "--class", "", cwd=tmp_path) == []


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("class\\ 7", ["class\\ 77", "class\\ 78"]),
        ("cl", ["class\\ 77", "class\\ 78"]),
        ('"class 7', ["class 77", "class 78"]),  # bash closes the quotes itself
        ("it", ["it\\'s\\ \\$5"]),
    ],
)
def test_bash_gets_names_with_blanks_as_one_word(
    typed: str, wanted: list[str], tmp_path: Path
) -> None:
    (tmp_path / "names.txt").write_text("class 77\nclass 78\nit's $5\n")
    words = ["gradcam", "run", "--labels", "names.txt", "-c", typed]
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": "5", "_GRADCAM_COMPLETE": "complete_bash"}
    done = gradcam(cwd=tmp_path, env=asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == wanted
    if not typed.startswith('"'):
        script = f'for word in {done.stdout.splitlines()[0]}; do echo "$word"; done'
        shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert shown.stdout.splitlines()[0] in ("class 77", "it's $5")
        assert len(shown.stdout.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_no_label_undoes_a_shell_s_quoting(shell: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("class 77\nclass \\$(touch made)\n")
    words = "gradcam run --labels names.txt -c cl"
    asked = {"_GRADCAM_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words}
    asked |= {"COMP_WORDS": words, "COMP_CWORD": "5"}
    done = gradcam(cwd=tmp_path, env=asked)
    assert "77" in done.stdout
    assert "touch" not in done.stdout


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
