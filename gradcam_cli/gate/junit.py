"""A result becomes JUnit XML, which every CI system reads: a test case a picture."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from gradcam_cli.gate.judge import Case, sentence
from gradcam_cli.gate.result import Result
from gradcam_cli.text import printable

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, not even as a reference."""


def junit_xml(result: Result) -> bytes:
    """Return a result as JUnit XML: a failure for what differs, an error for what is not read."""
    suite = TestSuite(f"gradcam {result.kind}")
    suite.timestamp = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    for case in result.worst_first():
        suite.add_testcase(_case(case, result.kind))
    for place in result.places:
        if place.measured is not None:
            test = TestCase(_xml(f"place of {place.name}"), f"gradcam.{result.kind}", 0.0)
            if place.measured.beyond > 1:
                test.result = [Failure(sentence(place.measured), "place")]
            suite.add_testcase(test)
    whole = JUnitXml("gradcam")
    whole.add_testsuite(suite)
    whole.update_statistics()
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + bytes(whole.tostring())


def _case(case: Case, kind: str) -> TestCase:
    test = TestCase(_xml(case.picture), f"gradcam.{kind}", round(case.seconds, 4))
    said = [_xml(reason) for reason in case.reasons]
    if case.status == "failed":
        found = [Error("; ".join(said), "picture")]
    elif case.status == "allowed":
        found = [Skipped(_xml("; ".join(case.notes)))]
    elif case.status != "same":
        found = [Failure("; ".join(said), case.status)]
        found[0].text = "\n".join(said)
    else:
        found = []
    test.result = found
    numbers = [
        f"{(pair.before or pair.now).name}: {each.name} {each.value:.4f}"  # type: ignore[union-attr]
        for pair in case.maps
        for each in pair.measured
    ]
    lines = [*numbers, *case.notes, *(f"{key}: {name}" for key, name in case.files.items())]
    if lines:
        test.system_out = "\n".join(map(_xml, lines))
    return test


def _xml(text: str) -> str:
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", printable(text))
