"""A Keras network becomes functions: features, gradients, the rest behind a layer, scores."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal, NamedTuple

from gradcam_cli.errors import GradcamError
from gradcam_cli.isolation import keras, tf
from gradcam_cli.network.anatomy import Anatomy, FeatureMap, dissect, find_map
from gradcam_cli.network.dense import weights_in_order
from gradcam_cli.network.footprint import working_bytes
from gradcam_cli.network.freeze import weights_as_constants
from gradcam_cli.network.gradient import gradient, gradients_and_products
from gradcam_cli.network.guided import check_rectified, guided_activations
from gradcam_cli.network.head import Head, find_head
from gradcam_cli.network.paths import named_operations
from gradcam_cli.network.ports import Ports, run
from gradcam_cli.network.precision import in_bfloat16
from gradcam_cli.network.tap import recording, trace

ScoreKind = Literal["logit", "probability"]
"""The logit, or what the network itself puts out for a class."""


class LayerCall(NamedTuple):
    """A layer by its path, and which of its calls (0: the last on the way to the score)."""

    path: str
    call: int = 0


class Functions:
    """A network's functions for batches of up to N images, each traced on its first use.

    They take what the network takes: float32 ``[n, h, w, channels]``, already scaled; fewer images
    than N are filled up, so that nothing is traced again. Scores are float32 ``[n, C]``, logits
    unless ``score`` says otherwise; features and gradients are float32 ``[n, u, v, K]``, whatever
    their layout in the network. ``binary`` says that one linear unit is a two-class logit;
    ``freeze`` traces the weights as constants, where the network allows it. ``passes`` is how many
    altered copies P of one image run at a time, N unless it is given. The layers ``lowered``
    compute in bfloat16.

    All raise ModelError for a layer that cannot be explained.
    """

    def __init__(
        self,
        network: Any,
        ports: Ports,
        batch_size: int,
        binary: bool = False,
        freeze: bool = False,
        passes: int = 0,
        lowered: Sequence[Any] = (),
    ) -> None:
        self._network = network
        self._ports = ports
        self._binary = binary
        self._freeze = freeze
        self._lowered = lowered
        self.batch_size = ports.batch or batch_size
        self.passes = ports.batch or passes or batch_size
        self._traced: dict[Hashable, Any] = {}
        self._chosen: dict[LayerCall, tuple[FeatureMap, int]] = {}

    def scores(self, inputs: Any, score: ScoreKind = "logit") -> Any:
        """Return the scores of images."""
        return self._batch(
            ("scores", score), lambda x: _values(self._dissected(x).head, score), inputs
        )

    def features(self, inputs: Any, layers: Sequence[LayerCall]) -> tuple[Any, list[Any]]:
        """Return the scores, and the activations of each layer."""

        def function(x: Any) -> tuple[Any, list[Any]]:
            anatomy = self._dissected(x)
            maps = [self._find(anatomy, each) for each in layers]
            return anatomy.head.logits, [each.fold(each.step.tensor) for each in maps]

        scores, found = self._batch(("features", *layers), function, inputs)
        return scores, list(found)

    def gradients(self, inputs: Any, classes: Any, layer: LayerCall) -> tuple[Any, Any, list[Any]]:
        """Return the scores, a layer's activations, and its gradients for classes.

        ``classes`` are int32 ``[n, T]``: there is a gradient for each of the T, of every image's
        own class.
        """
        count = int(classes.shape[1])

        def function(x: Any, wanted: Any) -> tuple[Any, Any, list[Any]]:
            anatomy = self._dissected(x)
            chosen = self._find(anatomy, layer)
            logits, tensor = anatomy.head.logits, chosen.step.tensor
            slopes = [
                gradient(tf.reduce_sum(tf.gather(logits, wanted[:, at], batch_dims=1)), tensor)
                for at in range(count)
            ]
            return logits, chosen.fold(tensor), [chosen.fold(slope) for slope in slopes]

        scores, A, G = self._batch(("gradients", layer, count), function, inputs, classes)
        return scores, A, list(G)

    def curvature(
        self, inputs: Any, weights: Any, layer: LayerCall, score: ScoreKind = "logit"
    ) -> tuple[Any, Any, Any]:
        """Return a layer's activations, its gradient, and the Hessian times the activations.

        What is differentiated is ``sum_c weights_c y_c``, ``weights`` float32 ``[n, C]``.
        """

        def function(x: Any, weights: Any) -> tuple[Any, Any, Any]:
            anatomy = self._dissected(x)
            chosen = self._find(anatomy, layer)
            total = tf.reduce_sum(_values(anatomy.head, score) * weights)
            ((G, product),) = gradients_and_products(total, [chosen.step.tensor])
            return chosen.fold(chosen.step.tensor), chosen.fold(G), chosen.fold(product)

        A, G, product = self._batch(("curvature", layer, score), function, inputs, weights)
        return A, G, product

    def guided(self, inputs: Any, weights: Any, score: ScoreKind = "logit") -> Any:
        """Return the guided gradient of ``sum_c weights_c y_c`` in the input: ``[n, h, w, c]``.

        ``weights`` are float32 ``[n, C]``. Raises ModelError for a network without rectifiers.
        """
        return self._batch(("guided", score), partial(self._guided, score), inputs, weights)

    def guided_bytes(self, outputs: int, score: ScoreKind = "logit") -> int:
        """Return the memory that ``guided`` needs for a batch: all activations of the network."""
        shapes = (*self._ports.size, self._ports.channels), (outputs,)
        given = [tf.TensorSpec((self.batch_size, *each), tf.float32) for each in shapes]
        function = self._function(("guided", score), partial(self._guided, score), *given)
        return working_bytes(function.graph)

    def _guided(self, score: ScoreKind, x: Any, weights: Any) -> Any:
        with guided_activations():
            head = self._dissected(x).head
        check_rectified(head.source)
        return gradient(tf.reduce_sum(_values(head, score) * weights), x)

    def rest(self, inputs: Any, features: Any, layer: LayerCall, score: ScoreKind = "logit") -> Any:
        """Return the scores when a layer gives ``features`` instead of its own output.

        What lies before the layer is not computed, unless the network needs it elsewhere as well.
        """

        def function(x: Any, replaced: Any) -> Any:
            return _values(self._replaced(x, replaced, layer), score)

        return self._batch(("rest", layer, score), function, inputs, features)

    def altered_rest(
        self,
        image: Any,
        features: Any,
        at: Any,
        layer: LayerCall,
        alter: Callable[[Any, Any, Any], Any],
        score: ScoreKind = "logit",
    ) -> Any:
        """Return the scores ``[P, C]`` of one image when a layer gives altered features.

        ``image`` is ``[h, w, channels]``, ``features`` its own ``[u, v, K]``, and ``alter(features,
        at, keras.ops)`` makes ``[P, u, v, K]`` of them, for the numbers ``at``, int32 ``[P]``.
        It is traced once a layer and function. What lies before the layer is computed for one image
        where the network needs it elsewhere, not for the whole batch.
        """

        def function(x: Any, A: Any, at: Any) -> Any:
            altered = tf.ensure_shape(alter(A, at, keras.ops), (self.passes, *A.shape))
            alone = None if self._ports.batch else self._alone(x, altered, layer)
            batch = tf.tile(x[None], (self.passes, 1, 1, 1))
            return _values(alone or self._replaced(batch, altered, layer), score)

        key = ("altered rest", layer, alter, score)
        return self._function(key, function, image, features, at)(image, features, at)

    def altered_scores(
        self,
        image: Any,
        features: Any,
        at: Any,
        alter: Callable[[Any, Any, Any, Any, Any], Any],
        cells: Hashable = None,
        score: ScoreKind = "logit",
    ) -> Any:
        """Return the scores ``[P, C]`` of one image that is altered itself.

        ``alter(image, features, at, cells, keras.ops)`` makes ``[P, h, w, channels]`` of it; the
        arguments are those of ``altered_rest``. It is traced once a function and ``cells``.
        """

        def function(x: Any, A: Any, at: Any) -> Any:
            altered = alter(x, A, at, cells, keras.ops)
            altered = tf.ensure_shape(altered, (self.passes, *x.shape))
            return _values(self._dissected(altered).head, score)

        key = ("altered scores", alter, cells, score, tuple(features.shape))
        return self._function(key, function, image, features, at)(image, features, at)

    def _dissected(self, inputs: Any) -> Anatomy:
        return dissect(self._network, self._ports, inputs, self._binary)

    def _find(self, anatomy: Anatomy, layer: LayerCall) -> FeatureMap:
        """Return a layer's feature map, and remember where it is for other traces."""
        chosen = find_map(anatomy, layer.path, layer.call)
        self._chosen.setdefault(layer, (chosen, anatomy.class_axis))
        return chosen

    def _alone(self, image: Any, features: Any, layer: LayerCall) -> Head | None:
        """Return the head behind many features of one image, which is broadcast to meet them.

        None where the network does not allow that, as when it joins both in a row of channels.
        """
        try:
            head = self._replaced(image[None], features, layer)
        except GradcamError:
            raise
        except Exception:  # noqa: BLE001  whatever a layer says of batches that differ
            return None
        return head if head.logits.shape[0] == self.passes else None

    def _replaced(self, inputs: Any, features: Any, layer: LayerCall) -> Head:
        """Return the head when a layer gives float32 ``[n, u, v, K]`` instead of its own output."""
        if layer not in self._chosen:
            self._find(self._dissected(inputs), layer)
        chosen, class_axis = self._chosen[layer]
        place, shape = (chosen.path, chosen.step.call), chosen.step.tensor.shape[1:]

        def change(path: str, call: int, tensor: Any) -> Any:
            here = (path, call) == place and tensor.shape[1:] == shape
            return _unfolded(chosen, features, tensor) if here else tensor

        with recording(named_operations(self._network), change):
            output = run(self._network, self._ports, inputs)
        return find_head(output, self._binary, class_axis)

    def _batch(self, key: Hashable, function: Callable[..., Any], *values: Any) -> Any:
        """Call a function of images on up to N of them."""
        count = int(values[0].shape[0])
        if count > self.batch_size:
            raise ValueError(f"{count} images are more than a batch of {self.batch_size}")
        filled = [_filled(tf.convert_to_tensor(each), self.batch_size) for each in values]
        found = self._function(key, function, *filled)(*filled)
        return (
            found
            if count == self.batch_size
            else tf.nest.map_structure(lambda value: value[:count], found)
        )

    def _function(self, key: Hashable, function: Callable[..., Any], *like: Any) -> Any:
        if key not in self._traced:
            given = [tf.TensorSpec(each.shape, tf.as_dtype(each.dtype)) for each in like]
            self._traced[key] = self._trace(function, given, self._freeze)
        return self._traced[key]

    def _trace(self, function: Callable[..., Any], given: list[Any], freeze: bool) -> Any:
        def traced(*values: Any) -> Any:
            constants = weights_as_constants(self._network) if freeze else nullcontext()
            with constants, weights_in_order(), in_bfloat16(self._lowered):
                return function(*values)

        try:
            return trace(traced, *given)
        except GradcamError:
            if not freeze:
                raise
            return self._trace(function, given, freeze=False)  # or it says why not


def _values(head: Head, score: ScoreKind) -> Any:
    return head.output if score == "probability" else head.logits


def _filled(value: Any, size: int) -> Any:
    missing = size - int(value.shape[0])
    return tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1)) if missing else value


def _unfolded(chosen: FeatureMap, features: Any, tensor: Any) -> Any:
    """Return features laid out as a layer's output ``tensor``, which may be that of one image."""
    times = features.shape[0] // tensor.shape[0]
    return chosen.unfold(features, tf.repeat(tensor, times, axis=0) if times > 1 else tensor)
