from __future__ import annotations

from pathlib import Path

import numpy as np

from gradcam_cli.models.labels import imagenet_labels
from tests.processes import LITE0, SAMPLES, gradcam, records, refusal
from tests.render.figures import opened, reads

PERSIAN, UNKNOWN = "گربهٔ مصری", "Egyptian\U000fff80cat"


def test_panels_and_figures_are_made_as_asked_for(tmp_path: Path) -> None:
    names = list(imagenet_labels().names)
    names[285], names[282] = PERSIAN, UNKNOWN
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    words = ("run", SAMPLES / "cat.jpg", *LITE0, "--labels", "names.txt", "-c", "top3")
    kinds = ("--save", "panel,figure", "--format", "png", "--figure-format", "svg")
    result = gradcam(*words, *kinds, "--panel-width", "455", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("\U000fff80") == 1
    assert "no font of this machine" in result.stderr
    folder = tmp_path / "gradcam_output"
    (record,) = records(folder)
    assert record["files"] == {"panel": "cat.jpg.panel.png"}
    figures = [each["files"]["figure"] for each in record["explanations"]]
    assert figures == [f"cat.jpg.top{rank}.figure.svg" for rank in (1, 2, 3)]
    assert all((folder / name).read_bytes().startswith(b"<?xml") for name in figures)
    whole = opened((folder / "cat.jpg.panel.png").read_bytes())
    assert whole.shape[1] == 3 * 455
    scale = 455 / 480
    for rank, row in enumerate(record["predictions"][:3], 1):
        text = f"rank {rank}: {row['probability']:.3f}"
        assert reads(text, whole, 7 * scale, "#5a5a5a"), text
    assert np.unique(whole.reshape(-1, 3), axis=0).shape[0] > 10_000
    again = gradcam(*words, *kinds, "--panel-width", "455", cwd=tmp_path)
    assert "1 done before" in again.stderr


def test_what_cannot_be_drawn_is_refused_at_once(tmp_path: Path) -> None:
    words = ("run", SAMPLES / "cat.jpg", "-m", "vgg16", "-o", tmp_path / "out")
    assert "viridi" in refusal(*words, "--figure-colormap", "viridi").message
    assert "--save" in refusal(*words, "--show", "--save", "figure").hint
    assert not (tmp_path / "out").exists()
