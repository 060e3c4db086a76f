from __future__ import annotations

import base64
import inspect
import marshal
import sys
import types
from collections.abc import Iterator

import keras

from gradcam_cli.keras_files import bytecode
from gradcam_cli.keras_files.bytecode import read_bytecode
from tests.keras_files.marshalled import CLOSURE, CODES, RESIZE, TIMES_TWO

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# Where the instructions are the same in two versions, both are named: each may run it.
ALIKE = {
    "3.6": ("3.6", "3.7"),
    "3.8": ("3.8", "3.9"),
    "3.9": ("3.8", "3.9"),
}


def test_the_python_that_wrote_a_lambda() -> None:
    for python, codes in CODES.items():
        found = read_bytecode(base64.b64decode(codes[RESIZE]))
        assert found is not None
        assert found.name == "<lambda>"
        assert found.pythons == ALIKE.get(python, (python,))
        assert found.names == ("tf", "image", "resize")
        assert found.runs_here == (python == HERE)


def test_code_that_several_would_write_runs_only_where_it_is_valid() -> None:
    for python, codes in CODES.items():
        for kind, cells in ((TIMES_TWO, None), (CLOSURE, (types.CellType(2),))):
            data = base64.b64decode(codes[kind])
            found = read_bytecode(data)
            assert found is not None
            assert python in found.pythons
            assert len(found.pythons) <= 2
            assert found.runs_here == (HERE in found.pythons)
            if found.runs_here:
                assert types.FunctionType(marshal.loads(data), {}, "f", None, cells)(21) == 42


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def test_all_that_this_python_writes_is_known_as_its_own() -> None:
    modules = [module for module in (inspect, keras.Layer, bytecode, types) if module]
    sources = [inspect.getsource(inspect.getmodule(module) or module) for module in modules]
    whole = [compile(source, "a.py", "exec") for source in sources]
    codes = [one for module in whole for one in _codes(module) if one.co_name != "<module>"]
    assert len(codes) > 300
    for code in codes:
        found = read_bytecode(marshal.dumps(code))
        assert found is not None
        assert found.runs_here, (code.co_name, found.pythons)
        assert found.name == code.co_name
        assert set(code.co_names) <= set(found.names)


def test_what_is_no_code_at_all() -> None:
    for data in (b"", b"c", b"\xe3", b"\xe3" + bytes(200), marshal.dumps("text"), b"\xa9" * 5000):
        assert read_bytecode(data) is None
    whole = base64.b64decode(CODES["3.11"][RESIZE])
    assert read_bytecode(whole + b"N") is None
    for size in range(len(whole)):
        assert read_bytecode(whole[:size]) is None
