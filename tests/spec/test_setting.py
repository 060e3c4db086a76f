"""Each setting is declared once; command line, digest and checks agree with the declaration."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.commands import bench, run, scalings
from gradcam_cli.commands.flat import flat
from gradcam_cli.commands.options import SelectOptions
from gradcam_cli.errors import GradcamError
from gradcam_cli.models.choice import deciding_settings, fingerprint
from gradcam_cli.spec.draw import DrawSpec
from gradcam_cli.spec.explain import ExplainSpec
from gradcam_cli.spec.image import ImageSpec
from gradcam_cli.spec.model import ModelSpec
from gradcam_cli.spec.run import RunSpec, digest
from gradcam_cli.spec.setting import choices, setting, settings, typed

GROUPS = (ModelSpec, ExplainSpec, ImageSpec, DrawSpec)
EVERY = [(group, field.name) for group in GROUPS for field in fields(group)]

OTHERS: dict[str, Any] = {
    "model": "mobilenet",
    "weights": "random",
    "seed": 7,
    "labels": "FILE",
    "preprocess": "unit",
    "channels": "bgr",
    "mean": (1.5,),
    "std": (2.0, 3.0, 4.0),
    "input_size": (32, 48),
    "transpose": True,
    "inputs": (("age", "FILE"),),
    "output": "classes",
    "architecture": "FILE",
    "custom_objects": "FILE",
    "unsafe_load": True,
    "classes": ("top2",),
    "layers": ("block5_conv3",),
    "fuse": "mean",
    "call": 1,
    "methods": ("cam",),
    "counterfactual": True,
    "contrast": "cat",
    "smooth": ("flips",),
    "samples": 3,
    "noise": 0.3,
    "target": "FILE",
    "like": "FILE",
    "score": "probability",
    "precision": "bfloat16",
    "top_k": 3,
    "resize": "crop",
    "interpolation": "area",
    "white": 4095,
    "batch_size": 8,
    "save": ("array",),
    "intensity": 0.5,
    "blend": "mix",
    "colormap": "viridis",
    "format": "png",
    "quality": 90,
    "max_size": 512,
    "panel_width": 200,
    "figure_format": "svg",
    "figure_colormap": "magma",
}
"""Another value than the default of every setting there is."""

INDIFFERENT = {"batch_size", "methods", "unsafe_load"}
"""Settings that decide no pixel, and of a number the last bits at most."""


def other(name: str, folder: Path) -> Any:
    """Return another value than a setting's default; files lie in a folder."""
    file = folder / "file"
    file.write_bytes(b"content")
    return file if OTHERS[name] == "FILE" else _with_file(OTHERS[name], file)


def _with_file(value: Any, file: Path) -> Any:
    if isinstance(value, tuple):
        return tuple(_with_file(each, file) for each in value)
    return file if value == "FILE" else value


def spec_with(group: Any, **values: Any) -> RunSpec:
    part = group(**values)
    name = {ModelSpec: "model", ExplainSpec: "explain", ImageSpec: "images", DrawSpec: "draw"}
    return replace(RunSpec(), **{name[group]: part})


def digest_of(spec: RunSpec) -> str:
    return digest(deciding_settings(spec))


# -- the digest


@pytest.mark.parametrize(("group", "name"), EVERY)
def test_the_digest_changes_with_what_decides_results_and_nothing_else(
    group: Any, name: str, tmp_path: Path
) -> None:
    base = {"weights": "random"} if name == "seed" else {}
    value = other(name, tmp_path)
    assert value != getattr(group(), name)
    before, after = (digest_of(spec_with(group, **each)) for each in (base, {**base, name: value}))
    assert (before == after) == (name in INDIFFERENT)
    assert settings(group)[name].decides == (name not in INDIFFERENT)


def test_a_digest_is_of_values_not_of_their_order_or_spelling() -> None:
    values = RunSpec().deciding(fingerprint(ModelSpec()))
    assert digest(dict(reversed(list(values.items())))) == digest(values)
    assert len(digest(values)) == 16
    assert int(digest(values), 16) >= 0
    assert digest_of(RunSpec(model=ModelSpec("VGG-16"))) == digest_of(RunSpec())


def test_predictions_alone_do_not_depend_on_what_is_drawn_or_explained() -> None:
    plain = RunSpec(explain=None)
    assert digest_of(replace(plain, draw=DrawSpec(intensity=0.1))) == digest_of(plain)
    assert digest_of(replace(plain, images=ImageSpec(top_k=1))) != digest_of(plain)
    assert digest_of(plain) != digest_of(RunSpec())


def test_a_model_s_files_count_by_their_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "m.keras", tmp_path / "b" / "m.keras"
    for path in (first, second):
        path.parent.mkdir()
        path.write_bytes(b"one")
    digests = [digest_of(RunSpec(model=ModelSpec(str(path)))) for path in (first, second)]
    assert digests[0] == digests[1]
    second.write_bytes(b"two!")
    assert digest_of(RunSpec(model=ModelSpec(str(second)))) != digests[0]


# -- ranges and choices


@pytest.mark.parametrize(
    ("group", "name", "bad"),
    [
        *[(ModelSpec, "seed", bad) for bad in (-1, 2**32, 0.5, "1", True)],
        *[(ExplainSpec, "call", bad) for bad in (-1, 1.0, None)],
        *[(ImageSpec, "top_k", bad) for bad in (0, -3, "5")],
        *[(ImageSpec, "white", bad) for bad in (-1, 65536)],
        *[(ImageSpec, "batch_size", bad) for bad in (0, -1, "16", "many", None, 2.0)],
        *[(DrawSpec, "intensity", bad) for bad in (-0.01, 1.01, float("nan"), "0.4", True)],
        *[(DrawSpec, "quality", bad) for bad in (0, 101, 95.5)],
        *[(DrawSpec, "max_size", bad) for bad in (-1, 1.5)],
        *[(DrawSpec, "save", bad) for bad in ("overlay", ["overlay"], (1,))],
        *[(ModelSpec, "mean", bad) for bad in ("1", [1.0], ("1",), 1.0)],
        *[(ModelSpec, "input_size", bad) for bad in ((1,), (1, 2, 3), (1.0, 2.0), 224)],
        *[(ModelSpec, "labels", bad) for bad in ("labels.txt", 1)],
        *[(ModelSpec, "transpose", bad) for bad in (1, "yes", None)],
        *[(ModelSpec, "inputs", bad) for bad in (("age",), (("age", "age.npy"),))],
        *[(ModelSpec, "model", bad) for bad in (None, Path("vgg16"))],
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_refused(
    group: Any, name: str, bad: object
) -> None:
    option = settings(group)[name].option
    with pytest.raises(GradcamError, match=option) as caught:
        group(**{name: bad})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("group", "name", "good"),
    [
        *[(ModelSpec, "seed", good) for good in (0, 2**32 - 1)],
        *[(ImageSpec, "white", good) for good in (0, 65535)],
        *[(ImageSpec, "batch_size", good) for good in (1, 4096, "auto")],
        *[(DrawSpec, "intensity", good) for good in (0, 0.0, 1, 1.0)],
        *[(DrawSpec, "quality", good) for good in (1, 100)],
        *[(ModelSpec, "mean", good) for good in ((), (1,), (1.0, 2.0, 3.0))],
        *[(ModelSpec, "input_size", good) for good in (None, (1, 8192))],
        *[(ModelSpec, "labels", good) for good in (None, Path("labels.txt"))],
    ],
)
def test_the_ends_of_a_range_are_in_it(group: Any, name: str, good: object) -> None:
    assert getattr(group(**{name: good}), name) == good


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group in GROUPS for name in choices(group)]
)
def test_few_values_are_taken_and_others_name_the_nearest(group: Any, name: str) -> None:
    allowed = choices(group)[name]
    for value in allowed:
        assert getattr(group(**{name: value}), name) == value
    with pytest.raises(GradcamError, match="is not a valid choice") as caught:
        group(**{name: f"{allowed[-1]}s"})
    assert allowed[-1] in caught.value.hint
    with pytest.raises(GradcamError, match="is not a valid choice"):
        group(**{name: None})


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RunSpec().draw.intensity = 0.5  # type: ignore[misc]


# -- the command line


def given(command: Any, groups: list[Any]) -> dict[Any, Any]:
    """What a command gets for each group when nothing is typed."""
    got: dict[Any, Any] = {}

    def take(**values: Any) -> None:
        got.update({type(value): value for value in values.values()})

    take.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(f"p{n}", inspect.Parameter.KEYWORD_ONLY, annotation=group)
            for n, group in enumerate(groups)
        ]
    )
    take.__annotations__ = {f"p{n}": group for n, group in enumerate(groups)}
    flattened = flat(take)
    parameters = inspect.signature(command).parameters
    flattened(**{name: parameters[name].default for group in groups for name in settings(group)})
    return got


@pytest.mark.parametrize(
    ("command", "groups"),
    [
        (run.run, [ModelSpec, ExplainSpec, ImageSpec, DrawSpec]),
        (run.predict, [ModelSpec, ImageSpec]),
        (scalings.scalings, [ModelSpec, ImageSpec]),
        (bench.bench, [ModelSpec, ExplainSpec, ImageSpec]),
    ],
)
def test_a_command_s_defaults_are_the_specs_own(command: Any, groups: list[Any]) -> None:
    assert given(command, groups) == {group: group() for group in groups}


def test_every_setting_is_an_option_of_run_by_its_declared_names() -> None:
    parameters = inspect.signature(run.run).parameters
    for group, name in EVERY:
        known = settings(group)[name]
        option = parameters[name].annotation.__metadata__[0]
        assert list(known.names) == [option.default, *option.param_decls][-len(known.names) :]
        assert known.option.startswith("--")
        assert (option.help or "").startswith(known.help.split("{")[0])
        assert known.help.endswith(".")


def test_no_option_is_declared_twice() -> None:
    names = [name for group, field in EVERY for name in settings(group)[field].names]
    assert len(set(names)) == len(names)


def test_a_setting_is_a_field_with_all_that_is_known_of_it() -> None:
    made = setting(3, "How many.", "-n", "--number", panel="Part", least=1, most=9)
    known = made.metadata["setting"]
    assert made.default == 3
    assert (known.option, known.least, known.most, known.decides) == ("--number", 1, 9, True)


def test_what_has_to_be_typed_for_a_group_gives_the_group_again() -> None:
    parsed = {name: known.parse for name, known in settings(SelectOptions).items()}
    group = SelectOptions(include=("*.jpg", "a b"), limit=60, shard=(2, 3), strict_types=True)
    words = typed(group)
    assert words == [
        *("--include", "*.jpg", "--include", "a b", "--limit", "60"),
        *("--shard", "2/3", "--strict-types"),
    ]
    parse = parsed["shard"]
    assert parse is not None
    assert parse(words[words.index("--shard") + 1]) == (2, 3)
    model = ModelSpec(labels=Path("my labels.txt"), mean=(1.0, 2.5, 3.0), input_size=(96, 128))
    assert sorted(typed(model)) == sorted(
        ["--labels", "my labels.txt", "--mean", "1.0,2.5,3.0", "--input-size", "96,128"]
    )
    assert typed(ModelSpec()) == typed(ExplainSpec()) == []
