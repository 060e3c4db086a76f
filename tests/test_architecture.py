from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gradcam_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

ARROWS = {
    "cli": {"commands", "process"},
    "commands": {
        "commands",
        "batch",
        "report",
        "explain",
        "verify",
        "models",
        "network",
        "opening",
        "images",
        "cam",
    },
    "batch": {"batch", "explain", "images", "models"},
    "report": {"report", "batch", "images"},
    "verify": {"explain", "models", "network", "cam"},
    "explain": {"models", "network", "opening", "cam"},
    "models": {"models", "network", "opening"},
    "opening": {"opening"},
    "network": {"network"},
    "images": {"images"},
    "cam": {"cam"},
    "process": {"process"},
    "errors": set(),
    "isolation": set(),
    "regular": set(),
    "text": set(),
    "__main__": {"cli"},
    "__init__": set(),
}
"""Which room may import which; everything may import those below and the version."""
_EVERYWHERE = ("errors", "isolation", "regular", "text", "__version__")


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(module: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "gradcam_cli" and parts[1] not in _EVERYWHERE:
                rooms.add(parts[1])
    return rooms


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(module: Path) -> None:
    assert imported_rooms(module) <= ARROWS[room(module)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_commands_defer_imports(module: Path) -> None:
    if room(module) in ("commands", "cli"):
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
