"""What a model does not allow is refused while it is traced, with what can be done instead."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.cam.methods import Method
from gradcam_cli.errors import ModelError
from gradcam_cli.network.anatomy import Anatomy, FeatureMap
from gradcam_cli.network.head import Head, pooled_features
from gradcam_cli.network.survey import is_pooled


def check_classes(top: int, fixed: Sequence[int], classes: int) -> None:
    """Raise ModelError for more classes than there are, and for indices that do not exist."""
    if top > classes:
        raise ModelError(
            f"top{top} was asked for, but the model has {_counted(classes)}", f"use top{classes}"
        )
    outside = [index for index in fixed if not 0 <= index < classes]
    if outside:
        raise ModelError(
            f"class {outside[0]} was asked for, but the model has {_counted(classes)}",
            f"indices run from 0 to {classes - 1}" if classes > 1 else "its only index is 0",
        )


def _counted(classes: int) -> str:
    """Return a number of classes in plain words."""
    return f"{classes} class{'es' * (classes != 1)}"


def check_target(head: Head, method: Method) -> None:
    """Raise ModelError for a method that compares classes, where there is just one."""
    if head.classes < 2:
        raise ModelError(
            f"{method.title} compares a class with those most like it, and the model has just one",
            "use --method gradcam",
        )


def check_pooled(
    anatomy: Anatomy, chosen: Sequence[FeatureMap], score: str, method: Method
) -> None:
    """Raise ModelError where no global average pooling leads from the layers to the logits."""
    pooled = pooled_features(anatomy.head)
    feeding = [each.path for each in anatomy.maps if pooled is not None and is_pooled(each, pooled)]
    if not feeding:
        raise ModelError(
            f"{method.title} is not defined for this model: no global average pooling straight "
            "into its last dense layer",
            "use --method gradcam, which works for every differentiable head",
        )
    for each in chosen:
        if not is_pooled(each, pooled):
            raise ModelError(
                f"{method.title} is defined only at the layer that is pooled, not at {each.path!r}",
                f"--layer {feeding[0]}",
            )
    if score != "logit":
        raise ModelError(f"{method.title} explains the logit", "leave out --score probability")
