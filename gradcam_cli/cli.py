"""The app: verbs are gathered, libraries are quietened, errors become exit codes."""

from __future__ import annotations

import faulthandler
import gc
import inspect
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from gradcam_cli import __version__
from gradcam_cli.commands.audit import audit
from gradcam_cli.commands.baseline import baseline
from gradcam_cli.commands.bench import bench
from gradcam_cli.commands.check import check
from gradcam_cli.commands.classes import classes
from gradcam_cli.commands.completion import is_asked, is_completing, quoted
from gradcam_cli.commands.config import CONFIG, Defaults, read_config
from gradcam_cli.commands.doctor import doctor
from gradcam_cli.commands.export import export
from gradcam_cli.commands.faults import explain_death, explain_error, explain_output
from gradcam_cli.commands.interrupts import Interrupted, heed_signals
from gradcam_cli.commands.layers import layers
from gradcam_cli.commands.methods import methods
from gradcam_cli.commands.models import models
from gradcam_cli.commands.report import report
from gradcam_cli.commands.run import predict, run
from gradcam_cli.commands.scalings import scalings
from gradcam_cli.commands.sheet import sheet
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.process.streams import output_fault, prepare_streams, silence_output
from gradcam_cli.process.supervisor import supervised

_NUMPY_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
"""What OpenBLAS goes by, in this order."""

_PICTURE_BOUNDS = (
    "OPENCV_IO_MAX_IMAGE_PIXELS",
    "OPENCV_IO_MAX_IMAGE_WIDTH",
    "OPENCV_IO_MAX_IMAGE_HEIGHT",
    "JPEGMEM",
)

app = typer.Typer(
    name="gradcam",
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_VERBS = (
    *(run, predict, baseline, check, audit, scalings, report, sheet, export),
    *(models, layers, classes, methods, doctor, bench),
)
_EXAMPLES = {
    run: """[bold]Examples[/]

    The five likeliest classes of one picture, side by side:

    [cyan]gradcam run cat.jpg --model efficientnet-lite0 --class top5 --save panel[/]

    A folder, every picture seen for one class, and a page to look through:

    [cyan]gradcam run photos --model efficientnet-lite0 --class "Egyptian cat" --report[/]

    Your own classifier, with its class names one a line:

    [cyan]gradcam run photos --model my_model.keras --labels classes.txt --preprocess unit[/]"""
}
"""What stands at the end of a verb's help."""


def _paragraphs(verb: Callable[..., None]) -> str:
    """Return a verb's docstring, a line a paragraph: a terminal has its own width."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(verb) or "")


class _Verb(TyperCommand):
    """A verb whose help has an option's range below its type: beside it, names were cut."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        from typer import rich_utils

        rich_utils.RANGE_STRING = "\n[{}]"
        super().format_help(ctx, formatter)


for _verb in _VERBS:
    app.command(cls=_Verb, help=_paragraphs(_verb), epilog=_EXAMPLES.get(_verb))(_verb)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"gradcam {__version__}\n")
        raise typer.Exit


@app.callback()
def _app(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  its callback reads it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[  # noqa: ARG001  read before, by main
        bool, typer.Option("--debug", help="Show tracebacks and what the libraries say.")
    ] = False,
) -> None:
    """See where a Keras image classifier looks: Grad-CAM heatmaps for pictures and folders."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help())  # typer has printed it already, with colours
        raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    gc.disable()  # importing TensorFlow makes a million objects and no garbage: a tenth of start-up
    arguments, debug, config = _everywhere(sys.argv[1:])
    set_up()
    captured = prepare_streams(capture=not debug)
    _quieten(debug)
    if is_asked(arguments):
        sys.exit(quoted(lambda: _run(arguments, config, debug)))
    heed_signals()
    report_end = supervised(captured, explain_death)
    code = _run(arguments, config, debug)
    if fault := output_fault():
        silence_output()
        code = explain_output(fault)
    report_end(code)
    others = (each for each in threading.enumerate() if each is not threading.main_thread())
    if any(not each.daemon for each in others):
        # A reader hangs in a decoder or on a dead disk; leaving as usual would wait for it.
        os._exit(code)
    sys.exit(code)


def _run(arguments: list[str], config: str, debug: bool) -> int:
    try:
        defaults = {} if is_completing() else _defaults(config)
        return int(app(arguments, "gradcam", standalone_mode=False, default_map=defaults) or 0)
    except Interrupted as signal:
        return signal.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except SystemExit as left:
        if is_asked(arguments):
            return int(left.code or 0)
        # Of rich, when whoever read the output has gone; of --custom-objects else.
        hint = "sys.exit() must not be reached while the file is imported"
        error = GradcamError("the code in --custom-objects ended the program", hint)
        return ExitCode.INTERRUPTED if output_fault() else explain_error(error, debug)
    except Exception as error:  # noqa: BLE001  nothing may end without a sentence
        return ExitCode.INTERRUPTED if output_fault() else explain_error(error, debug)


def _everywhere(arguments: list[str]) -> tuple[list[str], bool, str]:
    """Take the two options that may stand before or behind the verb out of the arguments."""
    rest: list[str] = []
    debug, config = False, ""
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*rest, argument, *waiting], debug, config
        if argument == "--debug":
            debug = True
        elif argument == "--config":
            config = next(waiting, "") or "--config"
        elif argument.startswith("--config="):
            config = argument.removeprefix("--config=")
        else:
            rest.append(argument)
    return rest, debug, config


def _defaults(config: str) -> Defaults:
    path = Path(config or CONFIG)
    if not config and not os.path.lexists(path):
        return {}
    group: Any = typer.main.get_command(app)
    return read_config(path, group.commands)


def set_up() -> None:
    """Choose how libraries compute, before they are imported; the user's own choice comes first.

    What bounds the images that OpenCV and libjpeg read is not the user's choice but ours.
    """
    for name in _PICTURE_BOUNDS:
        os.environ.pop(name, None)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Each image has a thread; NumPy's own would wait for work beside the network, at full speed.
    if not any(name in os.environ for name in _NUMPY_THREADS):
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # others may use the GPU as well


def _quieten(debug: bool) -> None:
    """Keep what libraries say to people who program with them from those who do not."""
    if debug:
        faulthandler.enable(sys.stderr)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    warnings.simplefilter("ignore")
    logging.disable()
