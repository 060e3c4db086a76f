"""A method, an artifact: one function and one row each, and the whole program has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.processes import SAMPLES, records

ADDED = """
import sys
import numpy as np
from gradcam_cli.cam.methods import METHODS, Method, grad_cam
from gradcam_cli.render.artifacts import ARTIFACTS, Artifact

def twice(A, G, xp):
    return 2 * grad_cam(A, G, xp)

def hottest(drawing):
    return repr(float(drawing.maps[0].raw.max())).encode()

def count(drawing):
    return str(len(drawing.maps)).encode()

METHODS["twice"] = Method(twice, "Twice", "2 x Grad-CAM", "nobody")
ARTIFACTS["hottest"] = Artifact("the largest number", ".hottest.txt", "__main__:hottest")
ARTIFACTS["count"] = Artifact("the number of maps", ".count.txt", "__main__:count", per="image")

from gradcam_cli.cli import main
main()
"""


def program(tmp_path: Path, *words: str) -> str:
    script = tmp_path / "added.py"
    script.write_text(ADDED, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(script), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_method_and_artifacts_are_rows(tmp_path: Path) -> None:
    asked = ("run", str(SAMPLES / "cat.jpg"), "-m", "efficientnet-lite0", "-c", "top2", "-q")
    methods = ("--method", "gradcam", "--method", "twice")
    program(tmp_path, *asked, *methods, "--save", "hottest,array,count", "-o", "out")
    (record,) = records(tmp_path / "out")
    plain, doubled = (
        [each for each in record["explanations"] if each["method"] == method]
        for method in ("gradcam", "twice")
    )
    assert len(plain) == len(doubled) == 2
    for one, two in zip(plain, doubled, strict=True):
        assert one["index"] == two["index"]
        once = np.load(tmp_path / "out" / one["files"]["array"])
        twice = np.load(tmp_path / "out" / two["files"]["array"])
        np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)
        said = (tmp_path / "out" / two["files"]["hottest"]).read_text(encoding="ascii")
        assert float(said) == float(twice.max())
    assert record["files"] == {"count": "cat.jpg.count.txt"}
    assert (tmp_path / "out" / "cat.jpg.count.txt").read_bytes() == b"4"
    listed = [json.loads(line) for line in program(tmp_path, "methods", "--json").splitlines()]
    assert "twice" in [row["name"] for row in listed]
    shown = " ".join(program(tmp_path, "run", "--help").split())
    assert "hottest" in shown
