"""grad-cam (pytorch-grad-cam): a batch a call; without targets it takes the likeliest classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _worker import Explain, likeliest, serve_peer


def make(weights: Path) -> Explain:
    """Return what explains a batch."""
    from _torch import LAYER, load, prepare
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = load(weights)
    gradcam = GradCAM(model=model, target_layers=[model.features[LAYER]])

    def explain(pixels: np.ndarray, classes: int) -> Iterator[np.ndarray]:
        x = prepare(pixels)
        yield gradcam(input_tensor=x, targets=None)
        for indices in likeliest(gradcam.outputs.detach().numpy(), classes)[1:]:
            targets = [ClassifierOutputTarget(int(index)) for index in indices]
            yield gradcam(input_tensor=x, targets=targets)

    return explain


if __name__ == "__main__":
    serve_peer(make)
