"""gradcam.toml sets defaults; the command line goes before it, and every slip is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from gradcam_cli.cli import app
from gradcam_cli.commands.config import CONFIG, read_config
from gradcam_cli.errors import GradcamError
from tests.processes import Result, gradcam, problem

GROUP: Any = typer.main.get_command(app)
VERBS = GROUP.commands


def write(folder: Path, text: str, name: str = CONFIG) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str) -> dict[str, dict[str, Any]]:
    return read_config(write(folder, text), VERBS)


def test_keys_at_the_top_go_to_every_verb_that_has_them(tmp_path: Path) -> None:
    defaults = read(tmp_path, "model = 'resnet50'\nbatch-size = 8\n")
    assert defaults["run"] == {"model": "resnet50", "batch_size": 8}
    assert defaults["predict"] == defaults["run"]
    assert defaults["methods"] == {}


def test_a_table_is_for_its_verb_alone_and_goes_first(tmp_path: Path) -> None:
    defaults = read(tmp_path, "model = 'a'\n[run]\nmodel = 'b'\nintensity = 0.5\n[predict]\n")
    assert defaults["run"] == {"model": "b", "intensity": 0.5}
    assert defaults["predict"] == {"model": "a"}


@pytest.mark.parametrize("key", ["output-dir", "output_dir", '"--output-dir"'])
def test_keys_are_the_long_options(tmp_path: Path, key: str) -> None:
    assert read(tmp_path, f"{key} = 'x'")["run"] == {"output_dir": "x"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("'dog'", ["dog"]), ("['dog', 'top2']", ["dog", "top2"]), ("285", [285]), ("[]", [])],
)
def test_what_can_be_repeated_is_a_list_or_one(tmp_path: Path, value: str, expected: Any) -> None:
    assert read(tmp_path, f"[run]\nclass = {value}")["run"] == {"classes": expected}


def test_parts_of_one_value_may_be_a_list(tmp_path: Path) -> None:
    defaults = read(tmp_path, "[run]\nsave = ['overlay', 'array']\nmean = [1, 2.5, 3]\n")
    assert defaults["run"] == {"save": "overlay,array", "mean": "1,2.5,3"}


def test_every_option_can_be_set(tmp_path: Path) -> None:
    """By the names that --help shows."""
    for verb, command in VERBS.items():
        for option in (each for each in command.params if each.param_type_name == "option"):
            (key,) = {name[2:] for name in option.opts if name.startswith("--")}
            if key == "help":
                continue
            defaults = read(tmp_path, f"[{verb}]\n{key} = 1\n")
            assert defaults[verb] == {option.name: [1] if option.multiple else 1}, (verb, key)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("modle = 'vgg16'", "modle", "model"),
        ("batchsize = 1", "batchsize", "batch-size"),
        ("sources = ['in']", "sources", "long options"),
        ("o = 'out'", "'o'", ""),
        ("help = true", "help", ""),
        ("config = 'x.toml'", "config", ""),
        ("[run]\nintensiti = 1", "intensiti", "intensity"),
        ("[predict]\nintensity = 1", "`gradcam predict`", ""),
        ("[runn]\nintensity = 1", "[runn]", "run"),
        ("run = 5", "'run'", ""),
        ("model = ", "is not valid TOML", "e.g."),
        ("model = 'a'\nmodel = 'b'", "is not valid TOML", ""),
    ],
)
def test_slips_are_named_with_the_nearest(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(GradcamError) as caught:
        read(tmp_path, text)
    assert message in caught.value.message
    assert str(tmp_path / CONFIG) in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_editor_may_have_written_it(tmp_path: Path, codec: str, end: str) -> None:
    text = "# für mich\nmodel = 'a'\n[run]\nintensity = 0.5\n"
    (tmp_path / CONFIG).write_bytes(text.replace("\n", end).encode(codec))
    defaults = read_config(tmp_path / CONFIG, VERBS)
    assert defaults["run"] == {"model": "a", "intensity": 0.5}


def test_other_encodings_are_named(tmp_path: Path) -> None:
    for data, message in (
        ("model = 'a'\n# für".encode("latin-1"), "line 2: not UTF-8 text"),
        ("model = 'a'".encode("utf-16-le"), "line 1: UTF-16 text without a byte order mark"),
        (b"model = 'a\0'", "line 1: not text, for it holds a zero byte"),
    ):
        (tmp_path / CONFIG).write_bytes(data)
        with pytest.raises(GradcamError) as caught:
            read_config(tmp_path / CONFIG, VERBS)
        assert message in caught.value.message
        assert "UTF-8" in caught.value.hint


def test_a_file_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GradcamError, match="damaged UTF-16"):
        read_config(tmp_path / "binary.toml", VERBS)
    for name in ("missing.toml", "."):
        with pytest.raises(GradcamError, match=r"--config: (there is no file|cannot read)"):
            read_config(tmp_path / name, VERBS)


# -- through the program; all of these end before a model is loaded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"")
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    return gradcam("run", "in", *words, cwd=folder)


def test_the_working_folder_s_file_is_read(folder: Path) -> None:
    write(folder, "colormap = 'jett'")
    assert "jett" in problem(run(folder))
    assert gradcam("methods", cwd=folder).returncode == 0


def test_the_command_line_goes_before_the_file(folder: Path) -> None:
    write(folder, "colormap = 'jett'\ninclude = ['nothing']\n")
    assert run(folder, "--colormap", "jet").returncode == 4
    assert "wrong" in problem(run(folder, "--colormap", "wrong"))
    write(folder, "include = ['nothing']\nmodel = 'vgg61'\n")
    assert run(folder).returncode == 4
    assert "vgg61" in problem(run(folder, "--include", "a.jpg"))


@pytest.mark.parametrize("words", [("--config", "x.toml"), ("--config=x.toml",)])
def test_another_file_can_be_named_anywhere(folder: Path, words: tuple[str, ...]) -> None:
    write(folder, "colormap = 'jett'")
    write(folder, "save = 'overlays'", "x.toml")
    for result in (run(folder, *words), gradcam(*words, "run", "in", cwd=folder)):
        assert "overlays" in problem(result)


def test_a_named_file_must_be_there(folder: Path) -> None:
    assert "there is no file missing.toml" in problem(run(folder, "--config", "missing.toml"))
    assert "--config" in problem(run(folder, "--config"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("batch-size = 'many'", "--batch-size"),
        ("intensity = 3", "--intensity"),
        ("blend = 'multiply'", "--blend"),
        ("quality = [1, 2]", "--quality"),
        ("save = ['overlay', 'heatmaps']", "heatmaps"),
        ("json = 'perhaps'", "--json"),
        ("limit = 0", "--limit"),
        ("class = { a = 1 }", "'class' to a table"),
        ("mean = 1979-05-27", "--mean"),
    ],
)
def test_values_are_checked_like_typed_ones(folder: Path, text: str, word: str) -> None:
    write(folder, f"[run]\n{text}\n")
    assert word in problem(run(folder)).splitlines()[0]
