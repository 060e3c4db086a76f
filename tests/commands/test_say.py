from __future__ import annotations

import pytest

from gradcam_cli.commands import say
from gradcam_cli.errors import GradcamError


def test_names_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a :x: [b] :warning:.jpg"
    say.warn(name)
    say.note(name)
    say.error(GradcamError(name, name))
    say.table(("file",), [(name,)], title=name)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [f"warning: {name}", name, f"error: {name}", f"hint: {name}"]
    assert shown.out.count(name) == 2
