from __future__ import annotations

import pytest

from gradcam_cli.models.backbone import application_of, recognise


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        (["mobilenetv2_1.00_224", "mobilenetv2_1.00_224/Conv1", "dense"], "mobilenetv2"),
        (["mobilenet_0.25_128", "dense"], "mobilenet"),
        (["resnet50v2"], "resnet50v2"),
        (["resnet50"], "resnet50"),
        (["efficientnetv2-b0"], "efficientnetv2b0"),
        (["inception_resnet_v2"], "inceptionresnetv2"),
        (["MobileNetV3Small"], "mobilenetv3small"),
        (["outer/xception/block1_conv1"], "xception"),
        (["block1_conv1", "block5_conv3", "flatten", "dense"], "vgg16"),
        (["conv1_conv", "conv5_block3_out", "dense"], "resnet50"),
        (["conv1_conv", "conv5_block3_out", "post_relu"], "resnet50v2"),
        (["Conv_1", "out_relu"], "mobilenetv2"),
    ],
)
def test_keras_own_names_are_recognised(paths: list[str], name: str) -> None:
    entry = recognise(paths)
    assert entry is not None
    assert entry.name == name


def test_other_names_are_not() -> None:
    assert recognise(["conv2d", "conv2d_1", "max_pooling2d", "dense", "vg"]) is None
    assert recognise([]) is None


@pytest.mark.parametrize(
    ("layers", "module"),
    [
        (["picture", "resnet50", "dense"], "resnet"),
        (["resnet101", "resnet152"], "resnet"),
        (["resnet50", "resnet50v2"], ""),
        (["mobilenetv2_1.00_224", "xception"], "mobilenet_v2"),
        (["conv1_conv", "conv5_block3_out", "post_relu"], "resnet_v2"),
        (["conv", "dense"], ""),
    ],
)
def test_whose_preprocess_input_is_meant(layers: list[str], module: str) -> None:
    """Where two applications scale alike, either one will do."""
    assert application_of(layers) == module
