"""The methods of pytorch-grad-cam and TorchCAM on the same network, weights, inputs and classes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _methods import Explain, serve

GRAD_CAM = {
    "gradcam": "GradCAM",
    "gradcampp": "GradCAMPlusPlus",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "eigencam": "EigenCAM",
    "eigengradcam": "EigenGradCAM",
    "finercam": "FinerCAM",
    "shapleycam": "ShapleyCAM",
    "ablationcam": "AblationCAM",
    "scorecam": "ScoreCAM",
}
TORCHCAM = {
    "cam": "CAM",
    "gradcam": "GradCAM",
    "gradcampp": "GradCAMpp",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "finercam": "FinerCAM",
    "smoothgradcampp": "SmoothGradCAMpp",
    "scorecam": "ScoreCAM",
}


def load(network: str, folder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return a network with the weights of a file, and the layer that is explained."""
    if network == "VGG16":
        from torchvision.models import vgg16

        model = vgg16(weights=None, init_weights=False)
        layer = model.features[3 if "early" in sys.argv else 29]
    else:
        import timm

        model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        layer = model.bn2
    counters = "num_batches_tracked"
    names = [name for name in model.state_dict() if not name.endswith(counters)]
    with np.load(folder / f"{network}.npz") as file:
        arrays = [torch.from_numpy(file[str(place)]) for place in range(len(file.files))]
    missing, _ = model.load_state_dict(dict(zip(names, arrays, strict=True)), strict=False)
    if not all(name.endswith(counters) for name in missing):
        raise ValueError(f"no weights for {missing}")
    return model.eval(), layer


def of_grad_cam(name: str, model: torch.nn.Module, layer: Any, x: Any, classes: Any) -> Explain:
    """Return a method of pytorch-grad-cam; its hooks are there while it works only."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def explain(count: int) -> np.ndarray:
        targets = [ClassifierOutputTarget(int(index)) for index in classes[:count]]
        more = {} if name == "finercam" else {"targets": targets}  # it takes the likeliest
        with getattr(pytorch_grad_cam, GRAD_CAM[name])(model, [layer]) as method:
            return method(input_tensor=x[:count], **more)

    return explain


def of_torchcam(name: str, model: torch.nn.Module, layer: Any, x: Any, classes: Any) -> Explain:
    """Return a method of TorchCAM; its hooks are there while it works only."""
    from torchcam import methods

    def explain(count: int) -> np.ndarray:
        with getattr(methods, TORCHCAM[name])(model, target_layer=layer) as method:
            grad = name not in ("cam", "scorecam")
            with torch.set_grad_enabled(grad):
                scores = model(x[:count])
            more = {} if name in ("cam", "scorecam", "smoothgradcampp") else {"scores": scores}
            return method(classes[:count].tolist(), **more)[0].numpy()

    return explain


def main() -> None:
    """Serve."""
    library, network, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    model, layer = load(network, folder)
    with np.load(folder / "inputs.npz") as file:
        x, classes, logits = (file[name] for name in ("x", "classes", "logits"))
    x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        off = float(np.abs(model(x).numpy() - logits).max() / np.abs(logits).max())
    if off > 1e-3:
        raise ValueError(f"not the same network: logits differ by {off:.1g} of the largest")
    made, names = (of_grad_cam, GRAD_CAM) if library == "grad-cam" else (of_torchcam, TORCHCAM)

    def prepare(name: str) -> Callable[[], Explain] | None:
        return (lambda: made(name, model, layer, x, classes)) if name in names else None

    serve(prepare, library, folder)


if __name__ == "__main__":
    main()
