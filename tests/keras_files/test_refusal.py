from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import tensorflow as tf

from gradcam_cli.errors import (
    ExitCode,
    FailureKind,
    GradcamError,
    ImageError,
    ModelError,
    OutOfMemory,
)
from gradcam_cli.keras_files.refusal import blaming
from tests.keras_files.test_bounded import zipped
from tests.processes import gradcam


def fails(error: BaseException, own: bool = True) -> None:
    with blaming("a.keras", "opened", own):
        raise error


def endless() -> int:
    return 1 + endless()


def test_any_error_is_the_fault_of_the_file() -> None:
    for error in (
        KeyError("layers"),
        TypeError("not callable"),
        OverflowError(),
        RuntimeError("x"),
    ):
        with pytest.raises(ModelError) as caught:
            fails(error)
        said = f"a.keras cannot be opened: {type(error).__name__}: "
        assert caught.value.message.startswith(said)
        assert caught.value.exit_code == ExitCode.USAGE
        assert caught.value.__cause__ is error
        assert "--debug" in caught.value.hint


def test_recursion_without_end() -> None:
    def walk() -> None:
        with blaming("a.keras", "opened"):
            endless()

    with pytest.raises(ModelError, match="RecursionError: maximum recursion depth") as caught:
        walk()
    assert "endless" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")]
)
@pytest.mark.parametrize("own", [True, False])
def test_a_lack_of_memory_is_named(error: Exception, own: bool) -> None:
    with pytest.raises(OutOfMemory, match="needs more memory than there is"):
        fails(error, own)


def test_what_has_its_sentence_keeps_it() -> None:
    for error in (GradcamError("mine"), ImageError(FailureKind.EMPTY, "mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            fails(error)
        assert caught.value is error


def test_a_fault_of_the_program_stays_one() -> None:
    with pytest.raises(KeyError):
        fails(KeyError("x"), own=False)


def test_debug_shows_what_the_sentence_leaves_out(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.keras", config=b'{"class_name": "Sequential", "config": {"layers": [1]}}'
    )
    result = gradcam("layers", path, "--debug", cwd=tmp_path, cold=True)
    assert result.returncode == ExitCode.USAGE
    assert "Traceback" in result.stderr
    assert "config.layers[0] is int, where object is needed" in result.stderr.splitlines()[-2]
    assert result.stderr.splitlines()[-1].startswith("hint: the file is damaged")
