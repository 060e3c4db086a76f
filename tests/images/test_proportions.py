from __future__ import annotations

import pytest

from gradcam_cli.images.proportions import far_off

SQUARE, READER, TURNED = (224, 224), (128, 32), (32, 128)


@pytest.mark.parametrize(
    ("picture", "network", "resize"),
    [
        ((1080, 1920), SQUARE, "squash"),  # a 16:9 photograph
        ((1920, 1080), SQUARE, "squash"),
        ((500, 1000), SQUARE, "squash"),  # twice, but not more
        ((32, 128), TURNED, "squash"),
        ((30, 70), TURNED, "squash"),
        ((100, 1000), SQUARE, "crop"),
        ((100, 1000), SQUARE, "pad"),
        ((480, 640), (640, 480), "squash"),
    ],
)
def test_ordinary_pictures_fit(
    picture: tuple[int, int], network: tuple[int, int], resize: str
) -> None:
    assert far_off(picture, network, resize, False) == ""


@pytest.mark.parametrize(
    ("picture", "network", "said"),
    [
        ((100, 201), SQUARE, "for its height, the picture is more than 2 times as wide"),
        ((201, 100), SQUARE, "for its width, the picture is more than 2 times as tall"),
        ((300, 400), TURNED, "for its width, the picture is more than 2 times as tall"),
    ],
)
def test_what_is_stretched_says_how(
    picture: tuple[int, int], network: tuple[int, int], said: str
) -> None:
    sentence = far_off(picture, network, "squash", False)
    assert sentence.startswith(said)
    assert "--resize" in sentence
    assert "({} high, {} wide)".format(*network) in sentence


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_pictures_that_would_fit_transposed(resize: str) -> None:
    assert "--transpose is for" in far_off((32, 128), READER, resize, False)
    assert "without --transpose it would fit" in far_off((128, 32), TURNED, resize, True)
    assert far_off((32, 128), TURNED, resize, True) == ""
