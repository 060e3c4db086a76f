"""gradcam's own methods, from uint8 pixels to raw maps: traced as a run of that many would be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from gradcam_cli.cli import set_up

set_up()  # as the command line does, before NumPy is imported

import numpy as np  # noqa: E402
from _methods import Explain, serve  # noqa: E402

from gradcam_cli.cam.methods import METHODS  # noqa: E402
from gradcam_cli.engine.decide import decided  # noqa: E402
from gradcam_cli.models.load import load  # noqa: E402
from gradcam_cli.process.memory import reuse_memory  # noqa: E402
from gradcam_cli.spec.explain import ExplainSpec  # noqa: E402
from gradcam_cli.spec.model import ModelSpec  # noqa: E402
from gradcam_cli.spec.run import RunSpec  # noqa: E402


def main() -> None:
    """Serve."""
    library, network, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    file = folder / f"{network}.h5"
    asked = ModelSpec(network.lower(), weights=str(file) if file.exists() else "imagenet")
    model = load(asked)
    pixels = np.load(folder / "inputs.npz")["pixels"]
    reuse_memory()

    def prepare(name: str) -> Callable[[], Explain] | None:
        methods = tuple(name.split("+"))
        if not set(methods) <= set(METHODS):
            return None

        def make() -> Explain:
            layers = ("block1_conv2",) if "early" in sys.argv else ("auto",)
            explained = ExplainSpec(("predicted",), layers=layers, methods=methods)
            spec = RunSpec(asked, explain=explained)
            explainers: dict[int, object] = {}

            def explain(count: int) -> np.ndarray:
                if count not in explainers:
                    explainers[count] = decided(model, spec, count)
                answers = explainers[count](pixels[:count])
                return np.stack([answer.maps[0].raw for answer in answers])

            return explain

        return make

    serve(prepare, library, folder)


if __name__ == "__main__":
    main()
