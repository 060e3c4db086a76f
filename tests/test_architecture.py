from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gradcam_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

HOUSE = {
    "cli": {"commands", "process"},
    "commands": {
        *("commands", "report", "verify", "engine", "store", "render", "explainer", "explaining"),
        *("sheet", "export", "gate", "cam"),
        *("network", "keras_files", "models", "images", "sources", "process", "spec"),
    },
    "api": {"engine", "render", "cam", "models", "images", "sources", "spec"},
    "testing": {"gate", "models", "sources", "spec"},
    "gate": {
        *("gate", "report", "engine", "store", "render", "explainer", "cam", "network", "models"),
        *("images", "sources", "spec"),
    },
    "report": {"report", "store", "render", "cam", "images", "spec"},
    "sheet": {"sheet", "store", "render", "cam", "models", "images"},
    "export": {"export", "store", "cam", "models", "images"},
    "engine": {
        *("engine", "store", "render", "explainer", "explaining", "cam", "models", "images"),
        *("sources", "spec"),
    },
    "store": {"store", "sources", "spec"},
    "render": {"render", "cam", "images", "spec"},
    "verify": {"explainer", "models", "network", "spec"},
    "explainer": {"explaining", "cam", "network", "keras_files", "models", "spec"},
    "explaining": {"explaining", "cam", "network", "models", "images", "spec"},
    "cam": {"cam", "images"},
    "models": {"models", "network", "keras_files", "spec"},
    "network": {"network"},
    "keras_files": {"keras_files"},
    "images": {"images", "sources"},
    "sources": {"sources"},
    "process": {"process"},
    "spec": {"spec"},
}
"""Which package may import which, top to bottom: none imports one above it."""
_BELOW_ALL = ("errors", "isolation", "regular", "spelling", "text", "__version__")
"""What everything may import."""

ARROWS = {
    **HOUSE,
    **{name: set[str]() for name in _BELOW_ALL},
    "__main__": {"cli"},
    "__init__": {"api", "cam", "engine", "models", "spec"},
}


def package(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_packages(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "gradcam_cli" and parts[1] not in _BELOW_ALL:
                found.add(parts[1])
    return found


def test_the_house_has_an_up_and_a_down() -> None:
    order = list(HOUSE)
    for number, (upper, lower) in enumerate(HOUSE.items()):
        assert lower <= set(order[number:]), f"{upper} imports from above"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(module: Path) -> None:
    assert imported_packages(module) <= ARROWS[package(module)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_commands_defer_imports(module: Path) -> None:
    if package(module) in ("commands", "cli"):
        return
    tree = ast.parse(module.read_text(encoding="utf-8"))
    inner = [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not inner, f"{module} imports inside functions at lines {inner}"


def test_a_module_opens_with_what_it_is() -> None:
    for module in MODULES:
        text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
        assert text, f"{module} has no docstring"


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = ("tensorflow", "keras", "cv2", "h5py", "matplotlib", "numpy")
    code = f"import sys, gradcam_cli.cli; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
