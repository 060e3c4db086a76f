"""What ended a command becomes two lines for people and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from contextlib import suppress

from gradcam_cli.commands import say
from gradcam_cli.commands.limits import cpu_limit, memory_limit
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.text import printable

_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DEBUG = "--debug shows where it happened"
_ALLOW = "allow more, or close other programs"
_CV_NO_MEMORY = -4


def explain_error(error: Exception, debug: bool) -> int:
    """Print an exception, with ``debug`` after its traceback, and return the exit code."""
    if hasattr(error, "format_message"):  # the command line itself was wrong
        context = getattr(error, "ctx", None)
        verb = context.command_path if context else "gradcam"
        hint = f"`{verb} --help` lists what can be given"
        return _print(GradcamError(error.format_message(), hint))
    if debug:
        traceback.print_exception(error)
    if isinstance(error, GradcamError):
        return _print(error)
    named = _surroundings(error)
    if named is not None:
        return _print(named)
    kind = type(error).__name__
    say.error(GradcamError(f"{kind}: {error}", f"this is a bug; {_DEBUG}"))
    return ExitCode.BROKEN


def explain_output(fault: OSError) -> int:
    """Print why standard output cannot be written, and return the exit code."""
    if isinstance(fault, BrokenPipeError):  # whoever read it has enough (`| head`)
        return ExitCode.INTERRUPTED
    if fault.errno == errno.EBADF:
        return _print(
            GradcamError("standard output is closed", "lead it to a file or to /dev/null")
        )
    return _print(
        GradcamError(f"cannot write standard output: {_reason(fault)}", _hint(fault.errno))
    )


def explain_death(status: int, last_lines: list[str]) -> int:
    """Print how a process ended that did not say so itself, and return the exit code.

    ``status`` is its exit code, or minus the number of the signal that ended it.
    """
    for line in last_lines:
        sys.stderr.write(printable(line) + "\n")
    above = "; its last lines are above" if last_lines else ""
    limit = memory_limit()
    if status >= 0 and limit:
        return _print(GradcamError(f"a library ended the process, and {limit}{above}", _ALLOW))
    if status >= 0:
        what = f"a library ended the process{above}"
        say.error(GradcamError(what, "environment variables, such as XLA_FLAGS, may set it so"))
        return ExitCode.BROKEN
    name = str(-status)
    with suppress(ValueError):
        name = signal.Signals(-status).name
    hint = f"a library failed, or a file that it cannot bear; {_DEBUG}"
    if -status == getattr(signal, "SIGKILL", 9):
        hint = "the system does so when memory runs out; a smaller --batch-size takes less"
    if limit:
        hint = f"{limit}; {_ALLOW}"
    if limit := cpu_limit():
        hint = f"{limit}; the same command goes on from there"
    say.error(GradcamError(f"the process was ended by {name}{above}", hint))
    return 128 - status


def _print(error: GradcamError) -> int:
    say.error(error)
    return error.exit_code


def _surroundings(error: Exception) -> GradcamError | None:
    """Return an error that this machine, and not the program, has to answer for."""
    limit = memory_limit()
    if isinstance(error, MemoryError) or _is_of_memory(error):
        what = f"there is not enough memory{': ' * bool(limit)}{limit}"
        return GradcamError(what, _ALLOW if limit else "close other programs")
    if limit and _is_of_tensorflow(error):  # it says "could not execute a primitive", and the like
        return GradcamError(f"the network failed, and {limit}", f"{_ALLOW}; {_DEBUG}")
    if isinstance(error, ModuleNotFoundError):
        return None
    if isinstance(error, ImportError):
        return GradcamError(
            f"a library cannot be loaded: {error}",
            "there may be too little memory for it (ulimit -v), or it has to be installed anew",
        )
    if not isinstance(error, OSError):
        return None
    if "temporary directory" in str(error):
        return GradcamError(
            "there is no folder for temporary files", "name one that can be written in TMPDIR"
        )
    try:
        os.getcwd()  # noqa: PTH109  Path.cwd() would do the same
    except OSError:
        return GradcamError("the working folder does not exist any more", "cd to another one")
    what = printable(str(error.filename)) if error.filename is not None else "a file"
    return GradcamError(f"cannot use {what}: {_reason(error)}", _hint(error.errno))


def _is_of_tensorflow(error: BaseException) -> bool:
    return type(error).__module__.startswith("tensorflow.")


def _is_of_memory(error: BaseException) -> bool:
    """Tell what TensorFlow and OpenCV raise when memory runs out, without importing them."""
    if _is_of_tensorflow(error):
        return type(error).__name__ == "ResourceExhaustedError"
    return type(error).__module__ == "cv2" and getattr(error, "code", 0) == _CV_NO_MEMORY


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _hint(number: int | None) -> str:
    if number in _SPACE:
        return "free some space (or raise ulimit -f)"
    if number == errno.EIO:
        return "use another disk: this one, or the network between, fails"
    if number in (errno.EMFILE, errno.ENFILE):
        return "allow more open files (ulimit -n)"
    return _DEBUG
