"""A Keras network becomes functions: features, gradients, the rest behind a layer, scores."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from gradcam_cli.isolation import tf
from gradcam_cli.network.anatomy import Anatomy, dissect, find_map
from gradcam_cli.network.gradient import gradient
from gradcam_cli.network.head import find_head
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.ports import Ports, run
from gradcam_cli.network.tap import recording, trace

__all__ = ["Functions", "LayerCall"]


class LayerCall(NamedTuple):
    """A layer by its path, and which of its calls (0: the last on the way to the score)."""

    path: str
    call: int = 0


class Functions:
    """A network's functions for batches of N images, each traced on its first use.

    They take what the network takes: float32 ``[N, h, w, channels]``, already scaled. Scores are
    logits, float32 ``[N, C]``; features and gradients are float32 ``[N, u, v, K]``, whatever their
    layout in the network. ``binary`` says that one linear unit is a two-class logit.

    All raise ModelError for a layer that cannot be explained.
    """

    def __init__(self, network: Any, ports: Ports, batch_size: int, binary: bool = False) -> None:
        self._network = network
        self._ports = ports
        self._binary = binary
        self.batch_size = ports.batch or batch_size
        self._traced: dict[Hashable, Any] = {}

    def scores(self, inputs: Any) -> Any:
        """Return the scores of images."""
        return self._function("scores", lambda x: self._dissected(x).head.logits, inputs)(inputs)

    def features(self, inputs: Any, layers: Sequence[LayerCall]) -> tuple[Any, list[Any]]:
        """Return the scores, and the activations of each layer."""

        def function(x: Any) -> tuple[Any, list[Any]]:
            anatomy = self._dissected(x)
            maps = [find_map(anatomy, each.path, each.call) for each in layers]
            return anatomy.head.logits, [each.fold(each.step.tensor) for each in maps]

        scores, found = self._function(("features", *layers), function, inputs)(inputs)
        return scores, list(found)

    def gradients(self, inputs: Any, classes: Any, layer: LayerCall) -> tuple[Any, Any, list[Any]]:
        """Return the scores, a layer's activations, and its gradients for classes.

        ``classes`` are int32 ``[N, T]``: there is a gradient for each of the T, of every image's
        own class.
        """
        count = int(classes.shape[1])

        def function(x: Any, wanted: Any) -> tuple[Any, Any, list[Any]]:
            anatomy = self._dissected(x)
            chosen = find_map(anatomy, layer.path, layer.call)
            logits, tensor = anatomy.head.logits, chosen.step.tensor
            slopes = [
                gradient(tf.reduce_sum(tf.gather(logits, wanted[:, at], batch_dims=1)), tensor)
                for at in range(count)
            ]
            return logits, chosen.fold(tensor), [chosen.fold(slope) for slope in slopes]

        key = ("gradients", layer, count)
        scores, A, G = self._function(key, function, inputs, classes)(inputs, classes)
        return scores, A, list(G)

    def rest(self, inputs: Any, features: Any, layer: LayerCall) -> Any:
        """Return the scores when a layer gives ``features`` instead of its own output.

        What lies before the layer is not computed, unless the network needs it elsewhere as well.
        """

        def function(x: Any, replaced: Any) -> Any:
            anatomy = self._dissected(x)
            chosen = find_map(anatomy, layer.path, layer.call)
            step = chosen.step

            def change(path: str, call: int, tensor: Any) -> Any:
                here = (path, call) == (step.path, step.call) and tensor.shape == step.tensor.shape
                return chosen.unfold(replaced, tensor) if here else tensor

            with recording(named_operations(self._network), change):
                output = run(self._network, self._ports, x)
            return find_head(output, self._binary, anatomy.class_axis).logits

        return self._function(("rest", layer), function, inputs, features)(inputs, features)

    def _dissected(self, inputs: Any) -> Anatomy:
        return dissect(self._network, self._ports, inputs, self._binary)

    def _function(self, key: Hashable, function: Callable[..., Any], *like: Any) -> Any:
        if key not in self._traced:
            given = [tf.TensorSpec(each.shape, _dtype(each)) for each in like]
            self._traced[key] = trace(function, *given)
        return self._traced[key]


def _dtype(value: Any) -> Any:
    return tf.as_dtype(value.dtype)
