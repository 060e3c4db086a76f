"""TorchCAM: one prediction of a batch, then one call for each rank that keeps its graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _worker import Explain, likeliest, serve_peer


def make(weights: Path) -> Explain:
    """Return what explains a batch."""
    from _torch import LAYER, load, prepare
    from torchcam.methods import GradCAM

    model = load(weights)
    gradcam = GradCAM(model, target_layer=model.features[LAYER])

    def explain(pixels: np.ndarray, classes: int) -> Iterator[np.ndarray]:
        scores = model(prepare(pixels))
        ranks = likeliest(scores.detach().numpy(), classes).tolist()
        for rank, indices in enumerate(ranks, start=1):
            yield gradcam(indices, scores, retain_graph=rank < classes)[0].numpy()

    return explain


if __name__ == "__main__":
    serve_peer(make)
