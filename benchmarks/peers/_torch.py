"""VGG16 as torchvision has it, for the libraries that explain PyTorch models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torchvision.models import vgg16

LAYER = 29  # in ``features``: the activation of what Keras calls block5_conv3


def load(weights: Path) -> torch.nn.Module:
    """Return the network with the weights of a file, which is written when it is not there."""
    path = weights.with_suffix(".pt")
    model = vgg16(weights=None, init_weights=not path.exists())
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
    else:
        torch.save(model.state_dict(), path)
    return model.eval()


def prepare(pixels: np.ndarray) -> torch.Tensor:
    """Scale and normalise RGB pixels as torchvision's weights want them."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    spread = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (x - mean) / spread
