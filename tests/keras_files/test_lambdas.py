from __future__ import annotations

import base64
import marshal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.errors import ModelError
from gradcam_cli.keras_files.file import open_network
from tests.keras_files.marshalled import CODES, RESIZE
from tests.keras_files.rewriting import SIZE, Json, layer, noise, rewrite, save, small

L = keras.layers
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PIXELS = noise(1, *SIZE) * 255


def packed(function: Any) -> list[Any]:
    """Pack a function as Keras 2 does; JSON makes lists of tuples."""
    code = base64.encodebytes(marshal.dumps(function.__code__)).decode()
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [code, function.__defaults__, cells or None]


def with_lambda(path: Path, inner: Json, name: str = "scale") -> Path:
    """Save a model with a Lambda layer of this configuration behind its input."""
    save(small(L.ReLU(name=name)), path)

    def put(config: Json) -> None:
        one = layer(config, name)
        one["class_name"], one["config"] = "Lambda", {"name": name, **inner}
        for key in ("module", "registered_name", "build_config"):
            if path.suffix == ".h5":
                one.pop(key, None)

    rewrite(path, put, "2.15.0" if path.suffix == ".h5" else keras.__version__)
    return path


def of_keras_2(function: Any, **more: Any) -> Json:
    return {
        "function": function,
        "function_type": "lambda",
        "module": "__main__",
        "output_shape": None,
        "output_shape_type": "raw",
        "output_shape_module": None,
        "arguments": {},
        **more,
    }


def of_keras_3(function: Any) -> Json:
    code, defaults, closure = packed(function)
    value = {"code": code, "defaults": defaults, "closure": closure}
    return {"function": {"class_name": "__lambda__", "config": value}, "arguments": {}}


def called(name: str) -> Json:
    """Write a function by its name alone, as Keras 3 does."""
    function = {"module": "builtins", "class_name": "function", "registered_name": "function"}
    return {"function": {**function, "config": name}, "arguments": {}}


def output(network: Any, name: str = "scale") -> Any:
    return np.asarray(network.get_layer(name)(PIXELS))


def scaled(by: tuple[float, ...]) -> Callable[[Any], Any]:
    return lambda x: x * by[1]


K: Any = None  # only the names count: the code is packed and finds others where it is loaded
LAMBDAS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "tf": (lambda x: tf.image.adjust_brightness(x, 0.5), lambda x: x + 0.5),
    "keras": (lambda x: keras.backend.pow(x, 2.0), lambda x: x**2),
    "K": (lambda x: K.clip(x, 1, 9), lambda x: x.clip(1, 9)),
    "np": (
        lambda x: x - np.array([1, 2, 3], "float32"),
        lambda x: x - np.array([1, 2, 3], "float32"),
    ),
    "a tuple as default": (
        lambda x, edge=((1, 1), (2, 2)): tf.pad(x, ((0, 0), *edge, (0, 0))),
        lambda x: np.pad(x, ((0, 0), (1, 1), (2, 2), (0, 0))),
    ),
    "a closure": (scaled((2.0, 3.0)), lambda x: x * 3),
    "a lambda inside": (
        lambda x: (lambda y: K.reverse(y, axes=2))(x),
        lambda x: x[:, :, ::-1],
    ),
}


@pytest.mark.parametrize("name", LAMBDAS)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_lambdas_find_the_usual_modules(tmp_path: Path, name: str, ending: str) -> None:
    function, expected = LAMBDAS[name]
    inner = of_keras_3(function) if ending == "keras" else of_keras_2(packed(function))
    path = with_lambda(tmp_path / f"m.{ending}", inner)
    with pytest.raises(ModelError, match="carries code that would run here") as caught:
        open_network(path)
    assert "--unsafe-load" in caught.value.hint
    assert "`def scale(x)`" in caught.value.hint
    network = open_network(path, unsafe=True).network
    np.testing.assert_allclose(output(network), expected(PIXELS), rtol=1e-5)
    assert network(PIXELS).shape == (1, 3)


def test_names_that_nobody_defines_are_told_before_anything_runs(tmp_path: Path) -> None:
    function = lambda x: helpers.twice(x) + abs(x)  # type: ignore[name-defined] # noqa: E731, F821
    path = with_lambda(tmp_path / "m.h5", of_keras_2(packed(function)))
    with pytest.raises(
        ModelError, match=r"uses names that the file does not define: helpers$"
    ) as e:
        open_network(path, unsafe=True)
    assert e.value.hint == "define or import it in a Python file: --custom-objects FILE.py"
    (tmp_path / "helpers.py").write_text("def twice(x):\n    return 2 * x\n")
    mine = tmp_path / "mine.py"
    mine.write_text("import helpers\n")
    network = open_network(path, unsafe=True, custom_objects=mine).network
    np.testing.assert_allclose(output(network), PIXELS * 3, rtol=1e-6)


def test_a_lambda_that_fails_is_named(tmp_path: Path) -> None:
    path = with_lambda(tmp_path / "m.h5", of_keras_2(packed(lambda x: tf.div(x, 2))))
    with pytest.raises(ModelError) as caught:
        open_network(path, unsafe=True)
    assert caught.value.message.startswith(
        f"Lambda layer 'scale' of {path} (saved by Keras 2.15.0)"
    )
    assert "has no attribute 'div'" in caught.value.message
    assert "`def scale(x)`" in caught.value.hint


def test_bytecode_of_another_python_is_never_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[bytes] = []
    monkeypatch.setattr(marshal, "loads", loaded.append)
    path = with_lambda(tmp_path / "m.h5", of_keras_2(["", None, None]), "lambda")
    for python in CODES.keys() - {HERE}:
        code = [CODES[python][RESIZE], None, None]

        def put(config: Json, code: list[Any] = code) -> None:
            layer(config, "lambda")["config"]["function"] = code

        rewrite(path, put)
        with pytest.raises(ModelError) as caught:
            open_network(path, unsafe=True)
        said, hint = caught.value.message, caught.value.hint
        assert said.startswith(
            f"the code of Lambda layer 'lambda' in {path} was written by Python "
        )
        assert python in said.split("Python ")[1]
        assert said.endswith(f"which Python {HERE} cannot run")
        assert "`def lambda_(x)`" in hint
        assert "the code names tf, image, resize" in hint
    assert not loaded


@pytest.mark.parametrize("name", ["lambda", "tf.half"])
def test_a_function_of_the_user_takes_the_place_of_code(tmp_path: Path, name: str) -> None:
    """The hint of the test before: no code of the file is needed then, so none is allowed."""
    inner = of_keras_2([CODES["3.6"][RESIZE], None, None], arguments={"by": 4})
    path = with_lambda(tmp_path / "m.h5", inner, name)
    mine = tmp_path / "mine.py"
    called = name.replace(".", "_") + "_" * (name == "lambda")
    mine.write_text(f"def {called}(x, by):\n    return x / by\n")
    found = open_network(path, custom_objects=mine)
    np.testing.assert_allclose(output(found.network, name), PIXELS / 4, rtol=1e-6)
    assert found.repaired[0] == f"took `{called}` of the custom objects for Lambda layer {name!r}"


def test_a_function_called_like_the_packed_one_takes_its_place(tmp_path: Path) -> None:
    def halve(x: Any) -> Any:
        raise AssertionError(x)

    path = with_lambda(tmp_path / "m.h5", of_keras_2(packed(halve)))
    mine = tmp_path / "mine.py"
    mine.write_text("def halve(x):\n    return x / 2\n")
    network = open_network(path, custom_objects=mine).network
    np.testing.assert_allclose(output(network), PIXELS / 2, rtol=1e-6)


def caffe(x: Any) -> Any:
    return x[..., ::-1] - np.array([103.939, 116.779, 123.68], "float32")


def wrapper(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError(args, kwargs)


def test_functions_of_keras_need_no_trust(tmp_path: Path) -> None:
    """Keras 2 packs the code even of its own functions; it is thrown away."""
    cases: list[tuple[Json, Callable[[Any], Any]]] = [
        (called("relu6"), lambda x: x.clip(0, 6)),
        (called("square"), lambda x: x**2),
        (
            of_keras_2(packed(wrapper), module="keras.applications.resnet50"),
            caffe,
        ),
        (
            of_keras_2("preprocess_input", function_type="function")
            | {"module": "tensorflow.python.keras.applications.mobilenet_v2"},
            lambda x: x / 127.5 - 1,
        ),
    ]
    for number, (inner, expected) in enumerate(cases):
        path = with_lambda(tmp_path / f"{number}.{'keras' if number < 2 else 'h5'}", inner)
        found = open_network(path)
        np.testing.assert_allclose(output(found.network), expected(PIXELS), rtol=1e-5, atol=1e-4)
        assert found.repaired[0].endswith("for Lambda layer 'scale'")


def test_which_preprocess_input_is_meant(tmp_path: Path) -> None:
    """Keras 3 saves its name alone, whichever application it belongs to."""
    path = with_lambda(tmp_path / "m.keras", called("preprocess_input"))
    for unsafe in (False, True):
        with pytest.raises(ModelError, match="function 'preprocess_input' of Lambda") as caught:
            open_network(path, unsafe=unsafe)
    mine = tmp_path / "mine.py"
    mine.write_text(caught.value.hint.split("`")[1] + "\n")
    network = open_network(path, custom_objects=mine).network
    np.testing.assert_allclose(output(network), caffe(PIXELS), rtol=1e-5)

    def xception(names: Iterable[str]) -> str:
        assert "conv" in set(names)
        return "xception"

    network = open_network(path, application=xception).network
    np.testing.assert_allclose(output(network), PIXELS / 127.5 - 1, atol=1e-5)


def test_a_function_that_is_only_named_cannot_be_trusted_into_being(tmp_path: Path) -> None:
    path = with_lambda(tmp_path / "m.keras", called("crush"))
    for unsafe in (False, True):
        with pytest.raises(ModelError, match="needs code of its author that is not in") as caught:
            open_network(path, unsafe=unsafe)
        assert caught.value.hint == "give the Python file that defines it: --custom-objects FILE.py"


def test_a_packed_activation(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "m.keras")

    def hide(config: Json) -> None:
        value = packed(lambda x: K.relu(x, max_value=0.5))
        activation = {"class_name": "__lambda__", "config": {"value": value}}
        layer(config, "conv")["config"]["activation"] = activation

    rewrite(path, hide, keras.__version__)
    network = open_network(path, unsafe=True).network
    assert network.get_layer("conv").activation(np.float32(3)) == 0.5
