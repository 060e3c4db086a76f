"""Guided backpropagation: gradients that are stopped at every rectifier where they are negative."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorflow.python.framework.ops import gradient_registry

from gradcam_cli.errors import ModelError
from gradcam_cli.isolation import tf
from gradcam_cli.network.anatomy import ancestors
from gradcam_cli.network.operations import constant

_GUIDED = "GradcamGuided"

_RECTIFIERS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu")
"""Activations that never fall: their own slope is never negative."""


@contextmanager
def guided_activations() -> Iterator[None]:
    """Give the rectifiers that are traced in the block the gradient of guided backpropagation.

    A ReLU passes a gradient where its input is positive; guided, it also has to be positive itself
    (Springenberg et al. 2014, arXiv:1412.6806, section 3.4). ReLU6, leaky ReLU, ELU and SELU keep
    their own slopes, which are not negative either, and pass positive gradients alone.
    """
    overrides = dict.fromkeys(_RECTIFIERS, _GUIDED)
    with tf.compat.v1.get_default_graph().gradient_override_map(overrides):
        yield


def check_rectified(output: Any) -> None:
    """Raise ModelError for a traced output that no rectifier leads to.

    Swish, GELU and hard swish fall where their input is negative: of them it cannot be said which
    gradients speak for a feature, and without a rectifier guided backpropagation is the gradient.
    """
    names = ancestors(output)
    operations = output.graph.get_operations()
    if not any(
        op.name in names and op.type in _RECTIFIERS and not _is_gate(op) for op in operations
    ):
        raise ModelError(
            "guided backpropagation is not defined for this model: it has no ReLU or relative of "
            "it, such as ReLU6, leaky ReLU or ELU",
            "use --method gradcam or --method layercam; both take any activation",
        )


@tf.RegisterGradient(_GUIDED)  # type: ignore[untyped-decorator]
def _guided_gradient(op: Any, slope: Any) -> Any:
    own = gradient_registry.lookup(op.type)
    if _is_gate(op):
        return own(op, slope)
    if _is_negative_part(op):
        return own(op, -tf.nn.relu(-slope))
    return own(op, tf.nn.relu(slope))


def _is_gate(op: Any) -> bool:
    """Return whether a ReLU6 is the hard sigmoid ``relu6(x + 3) / 6``.

    It opens and closes for another tensor, as in hard swish; which sign of its gradient speaks for
    the features depends on the sign of that one.
    """
    shift = op.inputs[0].op
    if op.type != "Relu6" or shift.type not in ("Add", "AddV2"):
        return False
    offsets = [constant(value) for value in shift.inputs]
    return any(value is not None and value.size == 1 and value.item() == 3 for value in offsets)


def _is_negative_part(op: Any) -> bool:
    """Return whether a ReLU is in ``relu(x) - slope * relu(-x)``, one leaky ReLU spelt in two.

    The gradient that reaches it is the leaky ReLU's own, negated.
    """
    if op.type != "Relu" or op.inputs[0].op.type != "Neg":
        return False
    return any(reader.type == "Mul" for reader in op.outputs[0].consumers())
