"""The app: verbs are gathered, libraries are quietened, errors become exit codes."""

from __future__ import annotations

import gc
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from gradcam_cli import __version__
from gradcam_cli.commands import say
from gradcam_cli.commands.bench import bench
from gradcam_cli.commands.classes import classes
from gradcam_cli.commands.config import CONFIG, Defaults, read_config
from gradcam_cli.commands.doctor import doctor
from gradcam_cli.commands.layers import layers
from gradcam_cli.commands.methods import methods
from gradcam_cli.commands.models import models
from gradcam_cli.commands.report import report
from gradcam_cli.commands.run import predict, run
from gradcam_cli.errors import ExitCode, GradcamError

__all__ = ["app", "main", "set_up"]

_NUMPY_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
"""What OpenBLAS goes by, in this order."""

app = typer.Typer(
    name="gradcam",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb in (run, predict, report, models, layers, classes, methods, doctor, bench):
    app.command()(_verb)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"gradcam {__version__}\n")
        raise typer.Exit


@app.callback()
def _app(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and what the libraries say.")
    ] = False,
) -> None:
    """See where a Keras image classifier looks: Grad-CAM heatmaps for pictures and folders."""


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    gc.disable()  # importing TensorFlow makes a million objects and no garbage: a tenth of start-up
    words, debug, config = _everywhere(sys.argv[1:])
    set_up()
    if not debug:
        _quieten()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = app(words, standalone_mode=False, default_map=_defaults(config)) or 0
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # Whoever read the output has gone (`| head`), at which typer and rich leave with 1, a
        # failed gate's code. Python must not complain when it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.INTERRUPTED
    except Exception as error:
        if debug and not hasattr(error, "format_message"):
            raise
        code = _explained(error)
    others = (each for each in threading.enumerate() if each is not threading.main_thread())
    if any(not each.daemon for each in others):
        # A reader hangs in a decoder or on a dead disk; leaving as usual would wait for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))
    sys.exit(int(code))


def _everywhere(words: list[str]) -> tuple[list[str], bool, str]:
    """Take the two options that may stand before or behind the verb out of the words."""
    rest: list[str] = []
    debug, config = False, ""
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            return [*rest, word, *waiting], debug, config
        if word == "--debug":
            debug = True
        elif word == "--config":
            config = next(waiting, "") or "--config"
        elif word.startswith("--config="):
            config = word.removeprefix("--config=")
        else:
            rest.append(word)
    return rest, debug, config


def _defaults(config: str) -> Defaults:
    path = Path(config or CONFIG)
    if not config and not path.is_file():
        return {}
    group: Any = typer.main.get_command(app)
    return read_config(path, group.commands)


def _explained(error: Exception) -> int:
    """Print an error as two lines and return its exit code."""
    if isinstance(error, GradcamError):
        say.error(error)
        return error.exit_code
    if hasattr(error, "format_message"):  # the command line itself was wrong
        context = getattr(error, "ctx", None)
        verb = context.command_path if context else "gradcam"
        say.error(GradcamError(error.format_message(), f"`{verb} --help` lists what can be given"))
        return ExitCode.USAGE
    kind = type(error).__name__
    say.error(GradcamError(f"{kind}: {error}", "this is a bug; --debug shows where it happened"))
    return 70


def set_up() -> None:
    """Choose how libraries compute, before they are imported; the user's own choice comes first."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Each picture has a thread; NumPy's own would wait for work beside the network, at full speed.
    if not any(name in os.environ for name in _NUMPY_THREADS):
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # others may use the GPU as well


def _quieten() -> None:
    """Keep what C libraries write to descriptor 2 away from the terminal.

    TensorFlow greets, libjpeg and libtiff complain, all below Python; what they say goes to a file
    that vanishes with the process. ``sys.stderr`` still reaches the terminal.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    terminal = os.dup(2)
    try:
        words = _nameless_file()
    except OSError:  # no place for temporary files: then nobody hears them
        words = os.open(os.devnull, os.O_WRONLY)
    os.dup2(words, 2)
    os.close(words)
    sys.stderr = os.fdopen(terminal, "w", buffering=1, encoding=sys.stderr.encoding)


def _nameless_file() -> int:
    """Return the descriptor of a file that nobody else can open, and that vanishes when closed."""
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # not every file system has such files
            return os.open(os.environ.get("TMPDIR") or "/tmp", os.O_TMPFILE | os.O_RDWR, 0o600)  # noqa: S108  nameless
    import tempfile  # a tenth of the time of --help

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
