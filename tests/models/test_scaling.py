from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_cli.errors import GradcamError
from gradcam_cli.models.catalog import find, names
from gradcam_cli.models.scaling import (
    SCALINGS,
    Scaling,
    check_channels,
    custom_scaling,
    find_scaling,
    of_bgr,
)

FAMILIES = [(name, find(name).preprocess) for name in names()]


def pictures(channels: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(2).uniform(0, 255, (2, 5, 4, channels)).astype(np.float32)


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
def test_a_row_is_the_mode_of_keras_of_the_same_name(mode: str) -> None:
    from_keras = keras.applications.imagenet_utils.preprocess_input
    x = pictures()
    np.testing.assert_allclose(
        SCALINGS[mode].apply(x), from_keras(x.copy(), mode=mode), rtol=1e-5, atol=2e-5
    )


def test_unit_and_none_by_hand() -> None:
    x = np.array([0, 51, 255], np.float32)[:, None]
    assert SCALINGS["unit"].apply(x).tolist() == pytest.approx(np.array([[0], [0.2], [1]]))
    assert SCALINGS["none"].apply(x) is x


def test_caffe_swaps_red_and_blue_before_the_means() -> None:
    x = np.array([10.0, 20.0, 30.0], np.float32)
    assert SCALINGS["caffe"].apply(x).tolist() == pytest.approx(
        [30 - 103.939, 20 - 116.779, 10 - 123.68], rel=1e-6
    )


def test_the_embedded_models_row_is_its_published_scaling() -> None:
    assert SCALINGS["lite0"].range() == (-127 / 128, 1)


@pytest.mark.parametrize("name", SCALINGS)
def test_tensors_are_scaled_like_arrays_and_keep_their_type(name: str) -> None:
    x = pictures()
    scaled = SCALINGS[name].apply(tf.constant(x))
    assert scaled.dtype == tf.float32
    np.testing.assert_allclose(scaled.numpy(), SCALINGS[name].apply(x), rtol=1e-6, atol=2e-5)
    half = SCALINGS[name].apply(tf.constant(x, tf.bfloat16))
    assert half.dtype == tf.bfloat16


@pytest.mark.parametrize("name", SCALINGS)
def test_the_range_is_what_black_and_white_become(name: str) -> None:
    ends = SCALINGS[name].apply(np.array([[0.0] * 3, [255.0] * 3]))
    assert SCALINGS[name].range() == pytest.approx((ends.min(), ends.max()))


@pytest.mark.parametrize(
    ("typed", "row"),
    [
        ("unit", "unit"),
        (" Caffe ", "caffe"),
        ("vgg16", "caffe"),
        ("DenseNet121", "torch"),
        ("mobilenetv2", "tf"),
        ("efficientnetb0", "none"),  # scales inside
        ("efficientnet-lite0", "lite0"),
    ],
)
def test_a_scaling_goes_by_its_row_or_by_an_application(typed: str, row: str) -> None:
    assert find_scaling(typed, FAMILIES) is SCALINGS[row]


def test_every_application_has_a_scaling() -> None:
    for name in names():
        assert find_scaling(name, FAMILIES).name in SCALINGS


def test_an_unknown_scaling_brings_the_nearest() -> None:
    with pytest.raises(GradcamError, match="unknown preprocessing 'cafe'") as caught:
        find_scaling("cafe", FAMILIES)
    assert caught.value.hint == "did you mean caffe?"
    with pytest.raises(GradcamError) as caught:
        find_scaling("vgg61", FAMILIES)
    assert "vgg16" in caught.value.hint
    with pytest.raises(GradcamError) as caught:
        find_scaling("zzz")
    assert "auto, none, unit, tf, torch, caffe" in caught.value.hint


@pytest.mark.parametrize("base", SCALINGS)
@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((), (2.0,)),
        ((130.0,), ()),
        ((10.0, 20.0, 30.0), (2.0, 3.0, 4.0)),
        ((5.0,), (2.0, 3.0, 4.0)),
    ],
)
def test_mean_and_deviation_follow_the_row(
    base: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    x = pictures().astype(np.float64)
    after = SCALINGS[base].apply(x)
    expected = (after - np.array(mean or (0.0,))) / np.array(std or (1.0,))
    custom = custom_scaling(SCALINGS[base], mean, std)
    np.testing.assert_allclose(custom.apply(x), expected, rtol=1e-9, atol=1e-9)


def test_imagenet_numbers_on_unit_pictures_are_torch() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    custom = custom_scaling(SCALINGS["unit"], mean, std)
    x = pictures().astype(np.float64)
    np.testing.assert_allclose(custom.apply(x), SCALINGS["torch"].apply(x), rtol=1e-9)
    assert custom.name == "unit+mean/std"
    assert custom.says.endswith("minus 0.485,0.456,0.406, divided by 0.229,0.224,0.225")


def test_one_number_serves_grey_pictures() -> None:
    custom = custom_scaling(SCALINGS["none"], (127.5,), (127.5,))
    scaled = custom.apply(pictures(1))
    assert scaled.shape == (2, 5, 4, 1)
    np.testing.assert_allclose(scaled, pictures(1) / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ((1.0, 2.0), (), "--mean has 2 numbers"),
        ((), (1.0,) * 4, "--std has 4 numbers"),
        ((), (1.0, 0.0, 1.0), "--std must be positive"),
        ((), (-1.0,), "--std must be positive"),
        ((float("nan"),), (), "--mean is nan"),
        ((), (float("inf"),), "--std is inf"),
        ((0.5,), (0.5,), "0..1 pictures, but the pixels are 0..255"),
        ((0.485, 0.456, 0.406), (), "0..1 pictures, but the pixels are 0..255"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(
    mean: tuple[float, ...], std: tuple[float, ...], says: str
) -> None:
    with pytest.raises(GradcamError) as caught:
        custom_scaling(SCALINGS["none"], mean, std)
    assert says in caught.value.message
    assert caught.value.hint


def test_a_mean_of_a_channel_is_for_the_channel_that_the_network_sees() -> None:
    base = Scaling("swap", "BGR", bgr=True)
    custom = custom_scaling(base, (1.0, 2.0, 3.0), ())
    assert custom.apply(np.array([10.0, 20.0, 30.0])).tolist() == [29, 18, 7]


def test_channels_that_are_told_apart_must_be_there() -> None:
    custom = custom_scaling(SCALINGS["none"], (1.0, 2.0, 3.0), ())
    apart = (SCALINGS["caffe"], SCALINGS["torch"], Scaling("swap", "BGR", bgr=True), custom)
    for scaling in apart:
        check_channels(scaling, 3)
        with pytest.raises(GradcamError, match="3 channels, but the model takes 1") as caught:
            check_channels(scaling, 1)
        assert "one number" in caught.value.hint
    for scaling in SCALINGS.values():
        if scaling not in apart:
            check_channels(scaling, 1)
            check_channels(scaling, 3)


@pytest.mark.parametrize("name", ["caffe", "tf", "torch"])
def test_bgr_pixels_are_scaled_as_code_that_reads_them_with_opencv_does(name: str) -> None:
    rgb = np.random.default_rng(0).uniform(0, 255, (4, 4, 3)).astype(np.float32)
    of_opencv = rgb[..., ::-1].copy()
    expected = keras.applications.imagenet_utils.preprocess_input(of_opencv, mode=name)
    assert np.allclose(of_bgr(SCALINGS[name]).apply(rgb), expected, atol=1e-4)
