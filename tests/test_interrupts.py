"""Signals that ask the process to stop, when libraries are in the way of it."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from gradcam_cli.commands import interrupts
from gradcam_cli.commands.interrupts import Interrupted, heeding, stopping

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals of two tests are none the other's echo."""
    monkeypatch.setattr(interrupts, "_last", {})


def _interrupted(number: int, behind: list[str], swallowed: type[BaseException]) -> None:
    with heeding():
        with suppress(swallowed):
            signal.raise_signal(number)
        behind.append("reached")


@pytest.mark.parametrize("number", NUMBERS)
def test_an_interrupt_that_is_swallowed_comes_again(number: int) -> None:
    before = signal.getsignal(number)
    behind: list[str] = []
    with pytest.raises(Interrupted) as caught:
        _interrupted(number, behind, swallowed=BaseException)
    assert caught.value.exit_code == 128 + number
    assert behind
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", NUMBERS)
def test_an_interrupt_is_raised_at_once(number: int) -> None:
    behind: list[str] = []
    with pytest.raises(Interrupted):
        _interrupted(number, behind, swallowed=Exception)
    assert not behind


def test_other_errors_pass_and_nothing_happens_without_any() -> None:
    with heeding():
        pass
    with pytest.raises(KeyError), heeding():
        raise KeyError


def _stopped(monkeypatch: pytest.MonkeyPatch, seen: list[tuple[bool, int]]) -> None:
    with stopping() as stop:
        seen.append((stop.is_set(), stop.number))
        signal.raise_signal(signal.SIGTERM)
        seen.append((stop.is_set(), stop.number))
        signal.raise_signal(signal.SIGTERM)  # an echo
        seen.append((stop.is_set(), stop.number))
        monkeypatch.setattr(interrupts, "_last", {})
        signal.raise_signal(signal.SIGTERM)
        seen.append((False, 0))


def test_the_first_signal_stops_the_second_interrupts_an_echo_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[bool, int]] = []
    with pytest.raises(Interrupted) as caught:
        _stopped(monkeypatch, seen)
    assert seen == [(False, 0), (True, signal.SIGTERM), (True, signal.SIGTERM)]
    assert caught.value.exit_code == 143


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        with heeding(), stopping() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
