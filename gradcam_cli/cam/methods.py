"""The METHODS table: every method's function, and what has to be known about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from gradcam_cli.cam.gradients import (
    cam,
    eigen_cam,
    eigen_grad_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    shapley_cam,
    smooth_grad_cam_plus_plus,
    xgrad_cam,
)
from gradcam_cli.cam.guided import guided_backpropagation, guided_grad_cam
from gradcam_cli.cam.noise import random_map
from gradcam_cli.cam.passes import ABLATION_CAM, OCCLUSION, RECIPRO_CAM, SCORE_CAM, Passes
from gradcam_cli.cam.targets import Target, finer, residual_softmax

Needs = Literal[
    "activations",
    "gradient",
    "noise",
    "curvature",
    "rest",
    "network",
    "input",
    "pixels",
    "nothing",
]
"""What a method is computed from, and so what it costs and how its function is called.

``activations``: ``(A, xp)``; ``gradient``: ``(A, G, xp)``; ``noise``: ``(A, G1, G2, G3, xp)``, the
means of the gradient's powers over noisy copies; ``curvature``: ``(A, G, HA, xp)``; all of them
``-> [N, u, v]``. ``rest`` runs what lies behind the layer again and again, ``network`` all of it,
``input`` as well and without a layer: ``(A, before, scores, xp) -> [u, v]``, of one image.
``pixels``: ``(g, xp)``, or ``(maps, g, cells, xp)`` with the maps that it ``times``, both
``-> [N, h, w]``. ``nothing``: ``(image, grid, xp) -> [u, v]``, from an image's bytes.
"""

COSTS: dict[Needs, str] = {
    "activations": "one pass",
    "gradient": "one pass and back",
    "noise": "a pass and back for each noisy copy",
    "curvature": "one pass and back twice",
    "rest": "a pass through what lies behind the layer for each channel or cell",
    "network": "a pass for each channel",
    "input": "a pass for each patch",
    "pixels": "a pass and back to the pixels for each class",
    "nothing": "nothing",
}
"""What a method costs for an image, in passes through the network."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of METHODS.

    ``formula`` has the map as it is scaled, ``paper`` where it is from. ``target`` says which score
    is differentiated, where that is not the target class's own, as weights of the classes;
    ``score`` gives it as ``(weights, logits, xp) -> [N]`` where weights cannot. ``answers`` says
    what a map shows, ``misleads`` when it does not, ``tokens`` what holds for token grids.
    """

    compute: Callable[..., Any]
    title: str
    formula: str
    paper: str
    needs: Needs = "gradient"
    target: Target | None = None
    needs_pooled_head: bool = False
    answers: str = ""
    misleads: str = ""
    tokens: str = ""
    score: Callable[[Any, Any, Any], Any] | None = None
    misleads_on_tokens: bool = False
    caution: str = ""
    passes: Passes | None = None
    times: str = ""


_CHANNELS = (
    "one weight a channel for the whole grid: attention moves content between tokens, so a channel "
    "need not mean the same in each"
)
_UNSOUND = (
    "its pictures hardly change when the network's weights are made random (Adebayo et al. 2018, "
    "arXiv:1810.03292): they show edges of the image, whatever was learnt; do not judge a model by "
    "them"
)
_CELLS = "defined cell by cell, so for tokens as well; a class token is no cell and is left out"

METHODS: dict[str, Method] = {
    "gradcam": Method(
        grad_cam,
        "Grad-CAM",
        "ReLU(sum_k mean_ij(G_ijk) A_k)",
        "Selvaraju et al. 2017, arXiv:1610.02391",
        answers="which region's features raise the class's score",
        misleads="averaging the gradient marks cells that the score does not use, where a dense "
        "layer sees the whole grid (VGG16) or the layer is not the last one",
        tokens=_CHANNELS,
        misleads_on_tokens=True,
    ),
    "cam": Method(
        cam,
        "CAM",
        "ReLU(sum_k w_k A_k), w the dense weights behind global average pooling",
        "Zhou et al. 2016, arXiv:1512.04150",
        needs_pooled_head=True,
        answers="how much each cell adds to the logit, exactly",
        misleads="only for the last layer of a network that pools it into one dense layer",
        tokens="exact where a network averages its tokens; not with a class token",
    ),
    "gradcampp": Method(
        grad_cam_plus_plus,
        "Grad-CAM++",
        "ReLU(sum_k w_k A_k), w_k = sum_ij alpha_ijk ReLU(G_ijk), "
        "alpha = G^2 / (2 G^2 + sum_ab A_abk G^3)",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
        answers="all places of an object or of several, not only the strongest",
        misleads="what speaks against the class is dropped, so classes look more alike; in "
        "practice close to Grad-CAM of the positive gradient alone; without a ReLU before the "
        "layer a denominator can come near zero and one channel outweigh all",
        tokens="made for activations that are not negative, which tokens seldom are",
        misleads_on_tokens=True,
    ),
    "hirescam": Method(
        hires_cam,
        "HiResCAM",
        "ReLU(sum_k G_k A_k)",
        "Draelos and Carin 2020, arXiv:2011.08891",
        answers="which cells the score uses; behind one linear layer exactly how much each adds",
        misleads="in early layers a gradient is noisy, and nothing smooths it; with more layers "
        "behind, the sum is no longer the score",
        tokens=_CELLS,
    ),
    "layercam": Method(
        layer_cam,
        "LayerCAM",
        "ReLU(sum_k ReLU(G_k) A_k)",
        "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943",
        answers="fine structures, in early layers too",
        misleads="what speaks against the class is dropped, so classes look more alike",
        tokens=_CELLS,
    ),
    "xgradcam": Method(
        xgrad_cam,
        "XGrad-CAM",
        "ReLU(sum_k w_k A_k), w_k = sum_ij G_ijk A_ijk / sum_ij A_ijk",
        "Fu et al. 2020, arXiv:2008.02312",
        answers="as Grad-CAM, with each channel's weight taken where the channel is active",
        misleads="without a ReLU before the layer a channel's sum can come near zero and its "
        "weight outweigh all",
        tokens="a token channel has both signs and its sum means nothing",
        misleads_on_tokens=True,
    ),
    "eigencam": Method(
        eigen_cam,
        "Eigen-CAM",
        "ReLU(A v_1), A as uv x K, v_1 its first right singular vector",
        "Muhammad and Yeasin 2020, arXiv:2008.00299",
        needs="activations",
        answers="what dominates the layer, whatever the class",
        misleads="the same map for every class: it cannot say why one was chosen",
        tokens="defined on any grid; a few tokens of very large norm can take the map over",
    ),
    "eigengradcam": Method(
        eigen_grad_cam,
        "Eigen-Grad-CAM",
        "ReLU((G A) v_1), G times A as uv x K, v_1 its first right singular vector",
        "Gildenblat 2021, pytorch-grad-cam; no paper",
        answers="the strongest common pattern of what HiResCAM adds up",
        misleads="channels that do not follow that pattern are dropped, for and against the class",
        tokens=_CELLS,
    ),
    "finercam": Method(
        grad_cam,
        "Finer-CAM",
        "Grad-CAM of y_c - 0.6 mean_d y_d, d the three classes with the closest logits",
        "Zhang et al. 2025, arXiv:2501.11309",
        target=finer,
        answers="what sets the class apart from those that are most like it",
        misleads="what it shares with them is not shown, however much the score owes to it; where "
        "no class is like it, the three closest are arbitrary",
        tokens=_CHANNELS,
        misleads_on_tokens=True,
    ),
    "smoothgradcampp": Method(
        smooth_grad_cam_plus_plus,
        "Smooth Grad-CAM++",
        "Grad-CAM++ with the means of G, G^2 and G^3 over noisy copies of the image",
        "Omeiza et al. 2019, arXiv:1908.01224",
        needs="noise",
        answers="as Grad-CAM++, with less of what only this very image does",
        misleads="as Grad-CAM++; much noise explains images that the network never saw",
        tokens="made for activations that are not negative, which tokens seldom are",
        misleads_on_tokens=True,
    ),
    "shapleycam": Method(
        shapley_cam,
        "Shapley-CAM",
        "ReLU(sum_k mean_ij(G_ijk - (HA)_ijk / 2) A_k), of y_c + log p_c",
        "Cai 2025, arXiv:2501.06261",
        needs="curvature",
        answers="as Grad-CAM, with the second order of how channels act together",
        misleads="of the logit alone it is Grad-CAM wherever only ReLU, pooling and linear layers "
        "follow; a second order says little of what removing a region would do",
        tokens=_CHANNELS,
        misleads_on_tokens=True,
        score=residual_softmax,
    ),
    "ablationcam": Method(
        ABLATION_CAM.combine,
        "Ablation-CAM",
        "ReLU(sum_k (y - y_k) A_k), y_k the score without channel k",
        "Desai and Ramaswamy 2020, doi:10.1109/WACV45572.2020.9093360",
        needs="rest",
        answers="which region's features the score really loses by, without a gradient",
        misleads="channels are taken away one at a time: two that stand in for one another both "
        "look useless; a network never saw features without one",
        tokens=_CHANNELS,
        misleads_on_tokens=True,
        passes=ABLATION_CAM,
    ),
    "reciprocam": Method(
        RECIPRO_CAM.combine,
        "Recipro-CAM",
        "y_ij - min y, y_ij the score of what cell i, j alone gives",
        "Byun and Lee 2022, arXiv:2209.14074",
        needs="rest",
        answers="what each cell says on its own, without a gradient, in few passes",
        misleads="what only several cells together say is not shown; a layer with one lit cell is "
        "nothing that the network ever saw",
        tokens=_CELLS,
        passes=RECIPRO_CAM,
    ),
    "scorecam": Method(
        SCORE_CAM.combine,
        "Score-CAM",
        "ReLU(sum_k w_k A_k), w = softmax_k of the score of the image masked by channel k",
        "Wang et al. 2020, arXiv:1910.01279",
        needs="network",
        answers="which channels, used as a mask, keep the score up, without a gradient",
        misleads="the softmax over logits lets a few channels decide, and classes look alike; "
        "masks darken the image, which the network takes for something of its own",
        tokens=_CHANNELS,
        misleads_on_tokens=True,
        passes=SCORE_CAM,
    ),
    "occlusion": Method(
        OCCLUSION.combine,
        "Occlusion",
        "ReLU(y - y_p), y_p the score while patch p is hidden",
        "Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2",
        needs="input",
        answers="what the score loses when a place is hidden: a check of the other methods",
        misleads="a patch is a new object in the image, and what lies under two patches or more "
        "is missed; coarse",
        tokens="looks at no layer, so tokens do not matter",
        passes=OCCLUSION,
    ),
    "guidedbackprop": Method(
        guided_backpropagation,
        "Guided Backpropagation",
        "max over channels of |dy/dx|, gradients below zero stopped at every ReLU",
        "Springenberg et al. 2014, arXiv:1412.6806, section 3.4",
        needs="pixels",
        answers="which edges and textures the network could see at all",
        misleads="hardly depends on the class or on the weights behind the first layers",
        tokens="transformers have no ReLU: not defined",
        caution=_UNSOUND,
    ),
    "guidedgradcam": Method(
        guided_grad_cam,
        "Guided Grad-CAM",
        "guided backpropagation x enlarged Grad-CAM",
        "Selvaraju et al. 2017, arXiv:1610.02391, section 3.2",
        needs="pixels",
        answers="edges and textures inside the region that Grad-CAM marks",
        misleads="sharp, and no surer than the Grad-CAM behind it",
        tokens="transformers have no ReLU: not defined",
        caution=_UNSOUND,
        times="gradcam",
    ),
    "random": Method(
        random_map,
        "Random",
        "numbers in 0..1 that the image's bytes decide",
        "none",
        needs="nothing",
        answers="nothing: the floor that metrics compare with",
        misleads="it is not an explanation",
        tokens="as for any grid",
    ),
}


def has_passes(methods: Iterable[str]) -> bool:
    """Return whether one of the methods runs the network many times for each image."""
    return any(METHODS[name].passes is not None for name in methods if name in METHODS)
