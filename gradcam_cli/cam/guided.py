"""Gradients of the network's input become maps of its pixels, alone or times a Grad-CAM map."""

from __future__ import annotations

from typing import Any

from gradcam_cli.images.fit import Cells, upsampling


def guided_backpropagation(g: Any, xp: Any) -> Any:
    """Return ``max_c |g_c|``, what a pixel's most affected channel has of the guided gradient.

    ``g`` float ``[N, h, w, c]``, result ``[N, h, w]``, not negative. The paper shows g as an image
    in colour; the maximum of its channels is Simonyan et al. 2013's way to one number a pixel,
    arXiv:1312.6034, section 3.1.

    Springenberg et al. 2014, "Striving for Simplicity: The All Convolutional Net", section 3.4.
    """
    return xp.max(xp.abs(g), axis=-1)


def upsampled(maps: Any, size: tuple[int, int], cells: Cells | None, xp: Any) -> Any:
    """Return maps ``[N, u, v]`` on the pixels ``[N, h, w]`` of the network's input, bilinearly.

    ``cells`` say where the grid lies in the input (None: it tiles it); where they see nothing it is
    zero, as on pictures.
    """
    down, across = upsampling(maps.shape[1:], size, cells)
    return xp.einsum("nhv,wv->nhw", xp.einsum("hu,nuv->nhv", down, maps), across)


def guided_grad_cam(maps: Any, g: Any, cells: Cells | None, xp: Any) -> Any:
    """Return guided backpropagation times the enlarged ReLU of Grad-CAM, pixel by pixel.

    ``maps`` are Grad-CAM's, signed, float ``[N, u, v]``; ``g`` is the guided gradient of the same
    classes, ``[N, h, w, c]``; result ``[N, h, w]``, not negative.

    Selvaraju et al. 2017, arXiv:1610.02391, section 3.2 (Guided Grad-CAM); the product is taken
    behind the maximum over the channels, which for a factor that is not negative is the same.
    """
    up = upsampled(xp.maximum(maps, 0.0), g.shape[1:3], cells, xp)
    return guided_backpropagation(g, xp) * up
