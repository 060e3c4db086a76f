"""Ctrl-C, when libraries are in the way of it."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from gradcam_cli.commands.interrupts import heeding


def _interrupted(behind: list[str], swallowed: tuple[type[BaseException], ...]) -> None:
    with heeding():
        with suppress(*swallowed):
            signal.raise_signal(signal.SIGINT)
        behind.append("reached")


def test_an_interrupt_that_is_swallowed_comes_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    behind: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted(behind, swallowed=(KeyboardInterrupt,))
    assert behind
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_is_raised_at_once() -> None:
    behind: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted(behind, swallowed=(OSError,))
    assert not behind


def test_other_errors_pass_and_nothing_happens_without_any() -> None:
    with heeding():
        pass
    with pytest.raises(KeyError), heeding():
        raise KeyError
