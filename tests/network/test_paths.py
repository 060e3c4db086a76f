from __future__ import annotations

from typing import Any

import keras
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.network.paths import named_operations, resolve_layer

L = keras.layers


def backbone(name: str) -> Any:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(
        inputs, L.ReLU(name="relu_1.0")(L.Conv2D(2, 3, name="conv")(inputs)), name=name
    )


def test_paths_name_layers_from_the_outside_in() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.Sequential([backbone("base"), L.GlobalAveragePooling2D(name="pool")], name="front")(
        inputs
    )
    model = keras.Model(inputs, keras.ops.softmax(L.Dense(2, name="dense")(x)))
    paths = list(named_operations(model))
    assert paths[:5] == [
        "front",
        "front/base",
        "front/base/conv",
        "front/base/relu_1.0",
        "front/pool",
    ]
    assert paths[5] == "dense"
    assert paths[6].startswith("softmax")
    assert named_operations(model)["front/base/conv"].filters == 2


def test_a_shared_layer_has_one_path_and_namesakes_are_numbered() -> None:
    class Mine(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [L.Conv2D(1, 1, name="conv"), L.Conv2D(2, 1, name="conv")]
            self.again = self.blocks[0]

    found = named_operations(Mine())
    assert list(found) == ["conv", "conv#2"]
    assert found["conv#2"].filters == 2


def test_the_end_of_a_path_is_enough_where_only_one_has_it() -> None:
    paths = ["front", "front/base", "front/base/conv", "side/base/conv", "front/pool"]
    assert resolve_layer("front/base/conv", paths) == "front/base/conv"
    assert resolve_layer("pool", paths) == "front/pool"
    with pytest.raises(ModelError, match="several layers are called 'conv'") as caught:
        resolve_layer("conv", paths)
    assert "front/base/conv, side/base/conv" in caught.value.hint
    with pytest.raises(ModelError, match="no layer 'pol'") as caught:
        resolve_layer("pol", paths)
    assert "pool" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        resolve_layer("zzz", paths)
    assert "front/pool, side/base/conv" in caught.value.hint
    assert "gradcam layers" in caught.value.hint
