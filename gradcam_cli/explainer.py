"""A batch of network inputs becomes predictions and maps."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_cli.cam.answer import Answer, Facts
from gradcam_cli.cam.fusion import Grid, check_fusion
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.errors import OutOfMemory
from gradcam_cli.explaining.answers import answer
from gradcam_cli.explaining.copies import averaged, over_noise
from gradcam_cli.explaining.found import Found
from gradcam_cli.explaining.passes import Batch, Tick, of_pixels, swept
from gradcam_cli.explaining.request import Request, settled
from gradcam_cli.explaining.trace import Traced, trace_request
from gradcam_cli.isolation import tf
from gradcam_cli.keras_files.refusal import blaming
from gradcam_cli.models.load import Model
from gradcam_cli.network.footprint import free_bytes, on_gpu, working_bytes
from gradcam_cli.network.freeze import can_freeze
from gradcam_cli.network.functions import Functions
from gradcam_cli.network.precision import has_bfloat16, in_bfloat16, keep_float32
from gradcam_cli.spec.explain import ExplainSpec

_SPARE = 2
"""Times the estimated memory: measured on eight networks, batches took 0.3 to 1.7 times that."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """A model traced for batches of one fixed shape, and what tracing told of it.

    Calling it with uint8 pixels ``[n, h, w, channels]``, n up to the batch size, gives one Answer
    an image; smaller batches are padded, so that nothing is traced again.
    """

    request: Request
    functions: Functions
    traced: Traced
    facts: Facts

    @property
    def model(self) -> Model:
        """Return the model that was traced."""
        return self.request.model

    def __call__(
        self,
        pixels: NDArray[np.uint8],
        wanted: Sequence[Collection[str]] | None = None,
        tick: Tick | None = None,
    ) -> list[Answer]:
        """Return what the model says of each image, in order.

        ``wanted`` are each image's methods, all of them unless said otherwise; those of many passes
        are run for no other image. ``tick`` is told after every batch of passes how many of how
        many an image has behind it.
        """
        count, size = len(pixels), self.facts.batch_size
        if count < size:
            pad = np.zeros((size - count, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, pad])
        wanted = wanted or [self.request.methods] * count
        with blaming(self.model.name, "run", self.model.own):
            values = tf.nest.map_structure(_array, self.traced.predict(tf.constant(pixels)))
            found = self._found(pixels, values, wanted, tick) if self.request.spec else {}
        return [
            answer(self.request, self.facts, values, found, row, methods)
            for row, methods in enumerate(wanted)
        ]

    def _found(
        self,
        pixels: NDArray[np.uint8],
        values: dict[str, Any],
        wanted: Sequence[Collection[str]],
        tick: Tick | None,
    ) -> dict[str, list[Found]]:
        """Return what all methods found, by their names."""
        request, layers = self.request, self.facts.layers
        found = {
            name: [Found(*each) for each in zip(layers, maps, values["flat"][name], strict=True)]
            for name, maps in values.get("maps", {}).items()
        }
        if request.spec and request.spec.smooth:
            found |= averaged(request, self.traced, pixels, values["classes"])
        if request.of_kinds("noise"):
            found |= over_noise(request, self.traced, pixels, values["classes"])
        if request.of_kinds("rest", "network", "input", "pixels"):
            scaled = self.model.scaling.apply(tf.cast(tf.constant(pixels), tf.float32))
            kind = "probabilities" if request.spec and request.spec.score != "logit" else "scores"
            batch = Batch(request, self.functions, layers, scaled, values[kind], values["classes"])
            found |= swept(batch, wanted, tick)
            found |= of_pixels(batch, found)
        for name in request.of_kinds("nothing"):
            found[name] = [_random(name, pixels, each, values["classes"]) for each in layers]
        return found

    def many(self, inputs: Sequence[NDArray[np.uint8]]) -> Iterator[Answer]:
        """Yield what the model says of any number of uint8 ``[h, w, channels]`` inputs."""
        size = self.facts.batch_size
        for first in range(0, len(inputs), size):
            yield from self(np.stack(inputs[first : first + size]))

    def fits(self, sparing: bool = True) -> bool:
        """Return whether the machine has the memory for a batch; a GPU is tried out.

        What a system without memory left does is to end the process, without a word. Where there
        is no smaller batch, ``sparing`` is false: what may just fit is tried.
        """
        if on_gpu():
            try:
                self.seconds()
            except OutOfMemory:
                return False
            return True
        free = free_bytes()
        needed = max(working_bytes(each.graph) for each in self.traced[:3] if each is not None)
        if self.request.of_kinds("pixels"):
            needed = max(needed, self._guided_bytes())
        return free is None or (_SPARE if sparing else 1) * needed <= free

    def _guided_bytes(self) -> int:
        request = self.request
        assert request.spec is not None  # noqa: S101  somebody asked for it
        outputs = self.traced.predict.structured_outputs["scores"].shape[1]
        if request.reference is not None:
            outputs = len(request.reference)
        with blaming(self.model.name, "traced", self.model.own):
            return self.functions.guided_bytes(outputs, request.spec.score)

    def seconds(self) -> float:
        """Return the time of a batch, behind one that does not count; nothing is remembered."""
        with blaming(self.model.name, "run", self.model.own):
            return _seconds(self.traced.predict)


def traced(
    model: Model,
    spec: ExplainSpec | None,
    batch_size: int,
    freeze: bool = False,
    reference: NDArray[np.float32] | None = None,
    passes: int = 0,
) -> Explainer:
    """Trace a model for what is asked of every image; without ``spec``, for predictions only.

    ``freeze`` makes constants of a small network's weights, which takes longer to trace and less to
    run; the last bits are then others. A precision of ``bfloat16`` holds up to the layer, not
    behind it, and only where the machine has it; ``auto`` keeps the faster of the two.
    ``reference`` is the vector that the network's output is compared with in place of its classes.
    ``passes`` is how many passes of a method of many run at a time, as far as there is memory for
    more than the batch.

    Raises ModelError for a layer, class or method that the model does not allow and for a file
    whose network fails, OutOfMemory for a batch that does not fit.
    """
    keep_float32()
    request = settled(model, spec, batch_size, reference)
    freeze = freeze and can_freeze(model.network)
    with blaming(model.name, "traced", model.own):
        found = trace_request(request, freeze)
        facts, lowered = found.facts, list[Any]()
        if spec is not None and spec.precision != "float32" and found.lowered and has_bfloat16():
            with in_bfloat16(found.lowered):
                other = trace_request(request, freeze)
            if spec.precision == "bfloat16" or _seconds(other.predict) < _seconds(found.predict):
                lowered = found.lowered
                found, facts = other, replace(other.facts, precision="bfloat16")
        _check(request, facts)
    binary = len(model.labels.names) == 2
    many = any(METHODS[name].passes is not None for name in facts.passes)
    functions = Functions(
        model.network,
        model.ports,
        request.batch_size,
        binary,
        freeze or (many and can_freeze(model.network)),
        _at_once(found, passes) if many else 0,
        lowered,
    )
    return Explainer(request, functions, found, facts)


def _at_once(traced: Traced, passes: int) -> int:
    """Return how many passes at a time the machine has memory for, a batch at least."""
    batch, free = traced.facts.batch_size, free_bytes()
    each = _SPARE * working_bytes(traced.predict.graph) / batch
    while passes > batch and not on_gpu() and free is not None and passes * each > free:
        passes //= 2
    return max(passes, batch)


def _check(request: Request, facts: Facts) -> None:
    """Raise GradcamError where the layers' maps cannot become one as is asked for."""
    if request.spec is not None and request.spec.fuse != "none":
        grids = [Grid(each.path, each.grid, each.cells) for each in facts.layers]
        check_fusion(grids, request.model.ports.size, request.spec.fuse)


def _random(name: str, pixels: NDArray[np.uint8], layer: Any, classes: Any) -> Found:
    compute = METHODS[name].compute
    maps = np.stack([compute(image.tobytes(), layer.grid, np) for image in pixels])
    every = np.repeat(maps[:, np.newaxis], classes.shape[1], axis=1)
    return Found(layer, every, np.zeros(classes.shape, bool))


def _array(tensor: Any) -> Any:
    return tensor.numpy()


def _seconds(function: Any) -> float:
    """Return the time of a call behind one that does not count, of fast ones the best of two."""
    signature = function.structured_input_signature[0][0]
    pixels = tf.zeros(signature.shape, signature.dtype)
    times: list[float] = []
    while len(times) < 2 or (len(times) < 3 and times[-1] < 1):
        start = time.perf_counter()
        function(pixels)["scores"].numpy()
        times.append(time.perf_counter() - start)
    return min(times[1:])
