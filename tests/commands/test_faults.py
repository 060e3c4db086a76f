from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.commands.faults import explain_death, explain_error
from gradcam_cli.errors import ExitCode
from tests.processes import LITE0, SAMPLES, gradcam

_LIMIT = 1 << 46  # more than anybody uses
_OOM = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
_PRIMITIVE = tf.errors.AbortedError(None, None, "could not execute a primitive")


@pytest.fixture
def limited() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("error", [MemoryError(), _OOM, _PRIMITIVE])
def test_a_memory_limit_is_named(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_error(error, debug=False) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "memory is limited to 70368.7 GB (ulimit -v)" in said
    assert "this is a bug" not in said


def test_memory_without_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_error(_OOM, debug=False) == ExitCode.USAGE
    assert "there is not enough memory\n" in capsys.readouterr().err
    assert explain_error(_PRIMITIVE, debug=False) == ExitCode.BROKEN


@pytest.mark.usefixtures("limited")
def test_a_library_that_ends_the_process_under_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_death(1, []) == ExitCode.USAGE
    assert explain_death(-6, []) == 134
    assert capsys.readouterr().err.count("memory is limited to 70368.7 GB (ulimit -v)") == 2


def test_a_disk_that_fails_is_not_called_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_error(OSError(errno.EIO, os.strerror(errno.EIO), "out"), debug=False) == 2
    assert "free space" not in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="limits are Linux's")
def test_a_run_without_enough_memory(tmp_path: Path) -> None:
    command = 'ulimit -v 1500000; exec "$0" -m gradcam_cli run "$1" -m efficientnet-lite0'
    words = ["bash", "-c", command, sys.executable, str(SAMPLES / "cat.jpg")]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == ExitCode.USAGE, result.stderr
    assert "memory" in result.stderr
    assert not list(tmp_path.rglob("manifest.jsonl"))


def test_bounds_of_opencv_and_libjpeg_in_the_environment_do_not_count(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    assert cv2.imwrite(str(tmp_path / "progressive.jpg"), pixels, flags)
    bounds = {f"OPENCV_IO_MAX_IMAGE_{name}": "8" for name in ("PIXELS", "WIDTH", "HEIGHT")}
    env = {**bounds, "JPEGMEM": "1"}
    result = gradcam("predict", "progressive.jpg", *LITE0, "-q", cwd=tmp_path, env=env)
    assert (result.returncode, result.stderr) == (0, "")
