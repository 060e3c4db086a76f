from __future__ import annotations

import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.file import open_network
from tests.keras_files.rewriting import SIZE, Json, layer, noise, rewrite, save, small

L = keras.layers


MINE = """
    import keras
    from neighbour import FACTOR

    class Scale(keras.layers.Layer):
        def __init__(self, factor=FACTOR, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x):
            return x * self.factor

        def get_config(self):
            return super().get_config() | {"factor": self.factor}

    @keras.saving.register_keras_serializable("shop")
    class Shift(keras.layers.Layer):
        def call(self, x):
            return x + 1.0

    def mish(x):
        return x * keras.ops.tanh(keras.ops.softplus(x))

    def crush(x):
        return x / 2
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "neighbour.py").write_text("FACTOR = 0.5\n")
    path = folder / "layers.py"
    path.write_text(textwrap.dedent(MINE))
    return path


def custom(config: Json, legacy: bool) -> None:
    """Make two layers the user's own, one registered under a package, and an activation."""
    scale, shift, conv = (layer(config, name) for name in ("scale", "shift", "conv"))
    scale["config"] = {"name": "scale", "factor": 0.25}
    shift["config"] = {"name": "shift"}
    if legacy:
        scale["class_name"], shift["class_name"] = "Scale", "shop>Shift"
        conv["config"]["activation"] = "mish"
        return
    scale |= {"class_name": "Scale", "module": "my.layers", "registered_name": "Scale"}
    shift |= {"class_name": "Shift", "module": "my.layers", "registered_name": "shop>Shift"}
    function = {"class_name": "function", "module": "builtins", "config": "mish"}
    conv["config"]["activation"] = function | {"registered_name": "function"}


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_classes_and_functions_of_ones_own(tmp_path: Path, mine: Path, name: str) -> None:
    network = small(L.Rescaling(0.25, name="scale"), L.Rescaling(1.0, 1.0, name="shift"))
    network.get_layer("conv").activation = keras.ops.tanh  # takes the place of mish
    path = save(network, tmp_path / name)
    rewrite(path, lambda config: custom(config, legacy=name == "m.h5"), keras.__version__)
    with pytest.raises(ModelError, match=r"custom class|class '|has the class"):
        open_network(path)
    found = open_network(path, custom_objects=mine)
    assert found.repaired == ()
    pictures = noise(2, *SIZE)
    kernel, bias = (np.asarray(one.value) for one in network.get_layer("conv").weights)
    x = np.asarray(keras.ops.conv(pictures * 0.25 + 1.0, kernel)) + bias
    x = (x * np.tanh(np.log1p(np.exp(x)))).mean(axis=(1, 2))
    dense, shift = (np.asarray(one.value) for one in network.get_layer("dense").weights)
    x = np.exp(x @ dense + shift)
    expected = x / x.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(found.network(pictures)), expected, rtol=1e-5)


def test_a_lambda_layer_that_only_names_a_function(tmp_path: Path, mine: Path) -> None:
    path = save(small(L.ReLU(name="scale")), tmp_path / "m.h5")

    def put(config: Json) -> None:
        one = layer(config, "scale")
        one["class_name"] = "Lambda"
        one["config"] = {"name": "scale", "function": "crush", "function_type": "function"}

    rewrite(path, put)
    with pytest.raises(ModelError, match="function 'crush' of Lambda layer 'scale'"):
        open_network(path)
    found = open_network(path, custom_objects=mine)
    assert found.repaired == ("took `crush` of the custom objects for Lambda layer 'scale'",)
    assert found.network.get_layer("scale").function.__name__ == "crush"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import keras\nraise RuntimeError('no GPU')", "failed with RuntimeError: no GPU"),
        ("import nothing_of_that_name", "failed with ModuleNotFoundError"),
        ("def broken(:", "failed with SyntaxError"),
        ("x = 1", "defines no Keras layer, model or function, and imports nothing"),
    ],
)
def test_a_file_of_custom_objects_that_is_of_no_use(
    tmp_path: Path, text: str, message: str
) -> None:
    path, code = save(small(), tmp_path / "m.keras"), tmp_path / "mine.py"
    code.write_text(text)
    with pytest.raises(ModelError) as caught:
        open_network(path, custom_objects=code)
    assert caught.value.message.startswith(f"{code} {message}")
    with pytest.raises(ModelError, match="there is no file"):
        open_network(path, custom_objects=tmp_path / "none.py")


LIBRARY = """
    import keras

    @keras.saving.register_keras_serializable("zoo_library")
    class Zebra(keras.layers.Layer):
        def call(self, x):
            return x + 2.0
"""


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_classes_that_register_themselves_on_import(tmp_path: Path, name: str) -> None:
    """As those of KerasHub do; the user's file needs one import and no definition."""
    (tmp_path / "zoo_library.py").write_text(textwrap.dedent(LIBRARY))
    mine = tmp_path / "mine.py"
    mine.write_text("import zoo_library\n")
    path = save(small(L.ReLU(name="zebra")), tmp_path / name)

    def put(config: Json) -> None:
        one = layer(config, "zebra")
        one["class_name"], one["config"] = "Zebra", {"name": "zebra"}
        if name == "m.h5":
            one["class_name"] = "zoo_library>Zebra"
        else:
            one |= {"module": "zoo_library.src.zebra", "registered_name": "zoo_library>Zebra"}

    rewrite(path, put, keras.__version__)
    with pytest.raises(ModelError, match=r"--custom|needs code|has the class") as caught:
        open_network(path)
    assert "--custom-objects" in caught.value.hint
    network = open_network(path, custom_objects=mine).network
    assert np.asarray(network.get_layer("zebra")(np.ones(3, "float32"))).tolist() == [3, 3, 3]


NESTED = """
    import keras

    class Net(keras.Model):
        def __init__(self, width{default}, **kwargs):
            super().__init__(**kwargs)
            self.conv = keras.layers.Conv2D(width, 3)

        def call(self, x):
            return self.conv(x)

        def get_config(self):
            return {{}}
"""


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_nested_model_that_was_saved_with_an_empty_configuration(
    tmp_path: Path, name: str
) -> None:
    mine, scope = tmp_path / "mine.py", {"__name__": "training"}
    exec(textwrap.dedent(NESTED.format(default="")), scope)
    network = small(scope["Net"](5, name="net"))  # type: ignore[operator]
    path = tmp_path / name
    save(network, path)

    def empty(config: Json) -> None:
        one = next(one for one in config["config"]["layers"] if one["class_name"] == "Net")
        one["config"] = {}

    rewrite(path, empty, "2.15.0")
    with pytest.raises(ModelError, match="'Net'") as caught:
        open_network(path)
    assert caught.value.hint.startswith(("give the Python file", "if it is your own, give the"))
    mine.write_text(textwrap.dedent(NESTED.format(default="")))
    with pytest.raises(ModelError) as caught:
        open_network(path, custom_objects=mine)
    assert caught.value.message == (
        f"{path} was saved without the arguments of the class 'Net': width"
    )
    assert "def __init__(self, width=...)" in caught.value.hint
    mine.write_text(textwrap.dedent(NESTED.format(default="=5")))
    found = open_network(path, custom_objects=mine).network
    pictures = noise(2, *SIZE)
    np.testing.assert_allclose(
        np.asarray(found(pictures)), np.asarray(network(pictures)), rtol=1e-5
    )
