"""What was gathered of a run becomes one HTML page that needs no network and trusts no record."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from gradcam_cli import __version__
from gradcam_cli.cam.empty import cause
from gradcam_cli.cam.methods import METHODS
from gradcam_cli.report.gather import Checked, Gathered, Run
from gradcam_cli.report.rows import below_common
from gradcam_cli.report.settings import command_line, differing, setting_rows
from gradcam_cli.report.summary import Summary
from gradcam_cli.store.atomic import refuse_foreign, write_bytes
from gradcam_cli.text import printable

MODULES = (
    *("text.js", "data.js", "parts.js", "heat.js", "filters.js", "address.js", "overlay.js"),
    *("histogram.js", "card.js", "gallery.js", "sheets.js", "details.js", "view.js"),
    *("classes.js", "confusion.js", "pictures.js", "main.js"),
)
"""The modules of the page's script: each imports only from those before it, by ``gradcam/NAME``."""

_OURS = b'<meta name="generator" content="gradcam">'
_HEAD = 1024  # bytes in which a page of ours says so
_RECORDS = "\0records\0"
_FEW = 3
_COUNTED = ("model", "weights", "layer", "method", "score_kind", "precision")


def check_place(path: Path) -> None:
    """Raise GradcamError when a page may not be written here: another file is in its place."""
    refuse_foreign(path, _is_ours, "report")


def write_page(found: Gathered) -> None:
    """Write the page, whole or not at all; raises GradcamError when that is not possible.

    Links lead from the page's place to the folders, so that all can be moved together.
    """
    write_bytes(found.page, _pieces(found))


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return _OURS in file.read(_HEAD)


def _pieces(found: Gathered) -> Iterator[bytes]:
    records = found.pieces()
    page = _environment().from_string(_part("page.html"))
    style, sources = _part("page.css"), {name: _part(name) for name in MODULES}
    addresses = {f"gradcam/{name}": _address(source) for name, source in sources.items()}
    imports = json.dumps({"imports": addresses})
    digests = [_digest(source) for source in sources.values()]
    policy = (
        "default-src 'none'; img-src 'self' file: data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(imports)}' "
        + " ".join(f"'{digest}'" for digest in digests)
    )
    text = page.render(
        policy=policy,
        style=Markup(style),  # noqa: S704  our own file
        imports=Markup(imports),  # noqa: S704  names and base64
        modules=list(zip(addresses.values(), digests, strict=True)),
        records=Markup(_RECORDS),  # noqa: S704  a mark that no text can hold
        version=__version__,
        **_values(found),
    )
    before, _, after = text.partition(_RECORDS)
    yield before.encode()
    yield from records
    yield after.encode()


def _environment() -> Environment:
    """Return what fills templates: every text is escaped, and printable."""
    return Environment(
        autoescape=True,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def _fit(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _part(name: str) -> str:
    return files("gradcam_cli.report").joinpath(f"static/{name}").read_text(encoding="utf-8")


def _address(source: str) -> str:
    """Return a module as an address: a page on a disk may not load files that lie beside it."""
    return "data:text/javascript;base64," + base64.b64encode(source.encode()).decode()


def _digest(text: str) -> str:
    """Return what the page's policy knows a style or script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _values(found: Gathered) -> Mapping[str, object]:
    """Return what the page says without a script."""
    runs = [run for run in (found.run, found.other) if run]
    known = [run.settings for run in runs if run.settings]
    verdicts = found.verdicts
    sources = below_common(found.sources) if found.embed else found.sources
    changes = differing(*known) if len(known) > 1 else []
    checked = found.checked
    compared = len(runs) > 1 and not checked
    if checked:
        made_by = [checked.sentence]
    else:
        made_by = _made_by(found.summary) if len(runs) < 2 else _against(changes)
    return {
        "title": checked.title if checked else f"Heatmaps in {' and '.join(found.names)}",
        "names": found.names,
        "own": _naming(" All numbers here are of {}.", found.names[0]) if compared else "",
        "of_first": _naming(" of {}", found.names[0]) if compared else "",
        "made_by": made_by,
        "checked": checked,
        "sources": list(zip(sources, checked.verdicts, strict=False)) if checked else [],
        "notices": list(_notices(found)),
        "summary": found.summary,
        "verdicts": verdicts,
        "confused": verdicts.confused() if verdicts else [],
        "accuracy": _accuracy(found),
        "runs": [
            _run(run, name, sources, found.embed)
            for run, name in zip(runs, found.names, strict=True)
            if not checked
        ],
        "changes": changes,
        "counts": list(_counts(found)),
    }


def _run(run: Run, name: str, sources: list[str], embed: bool) -> Mapping[str, object]:
    settings = run.settings
    words = {word for each in settings.commands for word in each} if settings else set()
    if settings and embed and any(map(os.path.isabs, words)):  # they say where images lie
        settings = replace(settings, commands=())
    return {
        "name": name,
        "command": command_line(settings, sources) if settings else "",
        "rows": setting_rows(settings) if settings else [],
    }


def _made_by(summary: Summary) -> list[str]:
    """Return the model, the method and the layer, where all pictures have the same."""
    only = {name: next(iter(values)) for name, values in summary.used.items() if len(values) == 1}
    method = only.get("method", "")
    title = METHODS[method].title if method in METHODS else method
    layer = f"layer {only['layer']}" if only.get("layer") else ""
    return [part for part in (only.get("model", ""), title, layer) if part]


def _against(changes: list[tuple[str, str, str]]) -> list[str]:
    """Return what differs between two runs, or that nothing does."""
    if not changes:
        return ["the same settings"]
    shown = [f"{name} {one or 'none'} / {two or 'none'}" for name, one, two in changes[:_FEW]]
    return [*shown, *([f"{len(changes) - _FEW} more"] if len(changes) > _FEW else [])]


def _notices(found: Gathered) -> Iterator[str]:
    if found.checked:
        yield from _notices_of_check(found, found.checked)
        return
    settings = found.summary.settings
    if len(settings) > 1:
        digests = ", ".join(f"{each or 'unknown'} ({count:,})" for each, count in settings.items())
        yield (
            f"The records were made with {len(settings)} different settings, so their numbers and "
            f"maps cannot be compared: {digests}."
        )
    if found.missing:
        yield (
            f"Maps without an overlay: {found.missing:,}. Their files are not in the folder, and "
            "they could not be drawn again, because the picture is not where it was, or the record "
            "does not have the map. The same run again makes them, with overlay in its --save."
        )
    if found.alone:
        yield _naming("Pictures in {} only: {:,}.", found.names[0], found.alone)
    if found.left:
        sentence = "Pictures in {} only, which are left out: {:,}."
        yield _naming(sentence, found.names[-1], found.left)
    if found.verdicts is not None and found.verdicts.without:
        yield f"Pictures whose true class is not known: {found.verdicts.without:,}."


def _naming(sentence: str, name: str, *values: object) -> Markup:
    """Return a sentence with a name of somebody's in it, in its own direction of writing."""
    safe = Markup(sentence.replace("{}", "<bdi>{}</bdi>", 1))  # noqa: S704  our own words
    return safe.format(printable(name), *values)


def _notices_of_check(found: Gathered, checked: Checked) -> Iterator[str]:
    if checked.said:
        more = f"; and {len(checked.said) - _FEW} more, under About" * (len(checked.said) > _FEW)
        yield f"{'; '.join(checked.said[:_FEW])}{more}."
    grey = found.summary.done - found.originals
    if grey:
        yield (
            f"Pictures that are not where they were, or not the same any more, and so are grey: "
            f"{grey:,}."
        )


def _accuracy(found: Gathered) -> str:
    verdicts = found.verdicts
    if verdicts is None or verdicts.accuracy is None:
        return "No picture has both a true class and a prediction."
    among = f"; {verdicts.among / verdicts.known:.1%} have it among their predictions"
    return f"{verdicts.right:,} of {verdicts.known:,} right, {verdicts.accuracy:.1%}{among}."


def _counts(found: Gathered) -> Iterator[tuple[str, str]]:
    summary = found.summary
    yield "pictures", f"{summary.pictures:,}"
    yield "done", f"{summary.done:,}"
    for kind, count in summary.failed.items():
        yield f"failed: {kind or 'unknown'}", f"{count:,}"
    yield "with a warning", f"{summary.with_warning:,}"
    yield "maps", f"{summary.maps:,}"
    for reason, count in summary.empty.items():
        yield "empty maps", f"{count:,}: {cause(reason) or 'unknown'}"
    if found.redrawn:
        guessed = f", {found.guessed:,} as if the cells tiled the whole input" * bool(found.guessed)
        yield "overlays drawn again", f"{found.redrawn:,}, from their maps{guessed}"
    for name in _COUNTED:
        values = summary.used[name]
        several = len(values) > 1
        shown = (f"{value} ({count:,})" if several else value for value, count in values.items())
        if values:
            yield name.replace("_kind", ""), ", ".join(shown)
