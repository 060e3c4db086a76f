"""Captum's LayerGradCam: a batch a call, after a prediction that names the classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _worker import Explain, likeliest, serve_peer


def make(weights: Path) -> Explain:
    """Return what explains a batch."""
    import torch
    from _torch import LAYER, load, prepare
    from captum.attr import LayerGradCam

    model = load(weights)
    gradcam = LayerGradCam(model, model.features[LAYER])

    def explain(pixels: np.ndarray, classes: int) -> Iterator[np.ndarray]:
        x = prepare(pixels)
        with torch.inference_mode():
            predictions = model(x).numpy()
        for indices in likeliest(predictions, classes):
            target = torch.from_numpy(indices.copy())
            maps = gradcam.attribute(x, target=target, relu_attributions=True)
            yield maps[:, 0].detach().numpy()

    return explain


if __name__ == "__main__":
    serve_peer(make)
