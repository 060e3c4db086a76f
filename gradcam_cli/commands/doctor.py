"""``gradcam doctor``: this machine, or what was found in a model, on one screen."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradcam_cli import __version__
from gradcam_cli.commands import say
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.layers import inspected
from gradcam_cli.commands.options import Json
from gradcam_cli.errors import ExitCode, GradcamError
from gradcam_cli.spec.model import ModelSpec

if TYPE_CHECKING:
    from gradcam_cli.models.load import Model
    from gradcam_cli.network.survey import Survey
    from gradcam_cli.verify import Check

_PACKAGES = ("tensorflow", "keras", "opencv-python-headless", "numpy", "typer", "rich", "tqdm")


@flat
def doctor(
    spec: ModelSpec,
    model: Annotated[
        str, typer.Argument(help="A model's name or file; none for this machine.")
    ] = "",
    save_repaired: Annotated[
        Path | None,
        typer.Option(
            "--save-repaired",
            help="Write the model, repaired, as a new file.",
            metavar="FILE.keras",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show this machine, or what was found in a model, and test the model's gradient."""
    if not model:
        if save_repaired is not None:
            raise GradcamError("--save-repaired needs a model", "name its .keras or .h5 file")
        _print(_machine(), json)
        return
    if save_repaired is not None:
        _check_file(model)
    loaded, found = inspected(spec)
    if save_repaired is not None:
        _save(loaded, Path(model), save_repaired)
    checks = _checks(loaded, loaded.layer or found.default)
    _print(_model(loaded, found, checks), json)
    if not json:
        for sentence in loaded.warnings:
            say.warn(sentence)
    if not all(check.passed for check in checks):
        raise typer.Exit(ExitCode.GATE_FAILED)


def _check_file(model: str) -> None:
    from gradcam_cli.models.choice import is_file

    if not is_file(model):
        raise GradcamError(
            f"{model} is a named model, there is nothing to repair",
            "--save-repaired goes with a model file",
        )


def _save(model: Model, source: Path, path: Path) -> None:
    from gradcam_cli.keras_files.file import save_repaired

    save_repaired(model.network, path, source)
    say.note(f"the model, as it was opened, is in {path}")


def _checks(model: Model, layer: str) -> list[Check]:
    from gradcam_cli.verify import self_test

    return self_test(model, layer) if layer else []


def _machine() -> dict[str, object]:
    from gradcam_cli.isolation import tf
    from gradcam_cli.models.weights import cache_folder

    cache = cache_folder()
    rows: dict[str, object] = {
        "gradcam": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    for package in _PACKAGES:
        try:
            rows[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            rows[package] = "not installed under this name"
    rows["processors"] = os.cpu_count()
    rows["devices"] = ", ".join(device.name for device in tf.config.list_physical_devices())
    rows["oneDNN"] = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "TensorFlow's default")
    rows["cache folder"] = str(cache)
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    rows["free disk there"] = f"{shutil.disk_usage(existing).free / 1e9:.1f} GB"
    rows["free disk here"] = f"{shutil.disk_usage('.').free / 1e9:.1f} GB"
    return rows


def _model(model: Model, found: Survey, checks: list[Check]) -> dict[str, object]:
    ports = model.ports
    layer = model.layer or found.default
    grid = next((row.grid for row in found.layers if row.path == layer), None)
    rows: dict[str, object] = {
        "model": model.name,
        "weights": model.weights,
        "parameters": model.network.count_params(),
        "input": "{}x{}".format(*ports.size)
        + f"x{ports.channels}"
        + (", transposed" if ports.transposed else "")
        + (f", batches of {ports.batch}" if ports.batch else ""),
        "scaling before the model": model.scaling.says,
        "scaling inside the model": found.inside or "no plain scaling",
        "head": f"{found.head}, {found.classes} class{'es' * (found.classes != 1)}",
        "score": _score(found),
        "repaired": "; ".join(n.removeprefix("repaired: ") for n in model.notes if "repaired" in n)
        or "nothing",
        "labels": f"{len(model.labels.names)}" if model.labels.names else "none",
        "default layer": f"{layer}, {grid[0]}x{grid[1]}" if grid else layer or "none",
        "because it is": found.reason,
        "layers to choose": len(found.layers),
        "CAM": "possible" if found.pooled else "no: no global average pooling into a dense layer",
    }
    for check in checks:
        if not check.clear:
            rows[check.name] = f"cannot be tested here: {check.detail}"
            continue
        verdict = "pass" if check.passed else "FAIL"
        rows[check.name] = f"{verdict}, relative error {check.error:.1e} ({check.detail})"
    return rows


def _score(found: Survey) -> str:
    if found.behind_softmax:
        return "the output itself: no logits were found behind it"
    return "the logit" if found.has_logits else "the output itself: no softmax or sigmoid"


def _print(rows: dict[str, object], json: bool) -> None:
    if json:
        say.json_line(rows)
    else:
        say.table(("", "~"), rows.items())
