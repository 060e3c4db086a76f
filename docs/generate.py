"""The program's own tables become the generated parts of the README.

``python docs/generate.py`` rewrites them; the tests fail when they are not up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer

from gradcam_cli.cli import app
from gradcam_cli.errors import ExitCode, FailureKind

ROOT = Path(__file__).parent.parent

EXIT_CODES = {
    ExitCode.DONE: "everything was done",
    ExitCode.GATE_FAILED: "a gate failed: `check` or `audit` found a difference, `--fail-on-empty` "
    "an empty map, or `doctor` a wrong gradient",
    ExitCode.USAGE: "wrong usage, configuration or model, or an output that cannot be written",
    ExitCode.SOME_FAILED: "finished, but some pictures failed; their records say why",
    ExitCode.NO_PICTURE: "no usable picture",
    ExitCode.BROKEN: "a bug in gradcam, or a library ended the process; its last lines are shown",
    ExitCode.HUNG_UP: "the terminal was closed; otherwise like 130",
    ExitCode.INTERRUPTED: "interrupted; the same command goes on from there",
    ExitCode.TERMINATED: "terminated by SIGTERM; otherwise like 130",
}


FAILURES = {
    FailureKind.CHANGED: "the file changed while it was worked on",
    FailureKind.EMPTY: "the file is empty",
    FailureKind.NOT_A_PICTURE: "something else, or a kind of picture that is not read rightly",
    FailureKind.TIMEOUT: "reading took longer than two minutes",
    FailureKind.TOO_LARGE: "more than 300 megapixels, or more than memory holds",
    FailureKind.TRUNCATED: "the file is not whole",
    FailureKind.UNREAD_TYPE: "a type that is not read (with `--strict-types`)",
    FailureKind.UNREADABLE: "no permission, not a regular file, or a fault of the disk",
    FailureKind.VANISHED: "there is no such file",
    FailureKind.WRITE: "its output cannot be written",
}


def commands() -> str:
    """Return the table of verbs."""
    rows = [
        f"| `gradcam {name}` | {_cell(command.help.splitlines()[0])} |"
        for name, command in _verbs().items()
    ]
    return "\n".join(["| command | does |", "| --- | --- |", *rows])


def options() -> str:
    """Return the table of run's options."""
    rows = []
    for parameter in _verbs()["run"].params:
        if parameter.param_type_name != "option" or parameter.name == "help":
            continue
        names = ", ".join(f"`{name}`" for name in parameter.opts)
        rows.append(f"| {names} | {_default(parameter)} | {_cell(parameter.help or '')} |")
    return "\n".join(["| option | default | meaning |", "| --- | --- | --- |", *rows])


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["| code | means |", "| --- | --- |", *rows])


def failures() -> str:
    """Return the table of the kinds of failure."""
    rows = [f"| `{kind.value}` | {meaning} |" for kind, meaning in FAILURES.items()]
    return "\n".join(["| kind | means |", "| --- | --- |", *rows])


PARTS = {"commands": commands, "options": options, "exit codes": exit_codes, "failures": failures}


def filled(text: str) -> str:
    """Return a document with its generated parts made anew."""
    for name, make in PARTS.items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        text = re.sub(
            pattern, lambda found, make=make: f"{found[1]}{make()}\n{found[2]}", text, flags=re.S
        )
    return text


def _verbs() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def _default(parameter: Any) -> str:
    value = parameter.default
    if value is None or value is False or value == "" or value == []:
        return ""
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return f"`{getattr(value, 'value', value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("docs/generate.py takes no arguments; it rewrites README.md")
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8")), encoding="utf-8")
