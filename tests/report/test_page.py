from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.report import page
from gradcam_cli.report.gather import Run, gather
from gradcam_cli.report.page import MODULES, check_place, write_page
from gradcam_cli.report.truth import Truth
from gradcam_cli.store.records import Record
from gradcam_cli.store.runfile import RunFile
from tests.report.made import HOSTILE, done, failed, guess, heatmap

STATIC = Path(page.__file__).parent / "static"


class Reader(HTMLParser):
    """A page as a browser takes it apart: tags with attributes, and the text in each."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.others: list[str] = []
        self._open = ""
        self._between = True
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        self._between = True

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  the parser's signature
        self._between = True

    def handle_data(self, data: str) -> None:
        if not self._between:
            self.texts[-1] = (self._open, self.texts[-1][1] + data)
        elif data.strip():
            self.texts.append((self._open, data))
            self._between = False

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, list(attributes)) for tag, attributes in self.tags]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def inside(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def data(self) -> Any:
        return json.loads(self.inside("script")[0])


def write(folder: Path, path: Path, *records: Record, **more: Any) -> None:
    settings = RunFile(more.pop("settings", {}), "")
    write_page(gather(Run(folder, records, settings), path, **more))


def made(tmp_path: Path, *records: Record, place: str = "out/report.html", **more: Any) -> Reader:
    path = tmp_path / place
    write(tmp_path / "out", path, *records, **more)
    return Reader(path.read_text(encoding="utf-8"))


def whole(tmp_path: Path, text: str) -> Reader:
    """A page that has ``text`` wherever somebody else decides what there is."""
    settings = {"model": {"model": text}, "classes": [text], text: text}
    truth = Truth([("a", text), (text, text), ("b", "dog")])
    other = Run(tmp_path / "other", everything(text), RunFile({text: "x"}, text))
    records = everything(text)
    return made(tmp_path, *records, settings=settings, truth=truth, other=other)


def everything(text: str) -> list[Record]:
    """Records that say ``text`` wherever a record can say anything."""
    maps = [heatmap(text, {"overlay": "a.jpg"}), heatmap(text, reason=text)]
    maps = [replace(each, slot=text, method=text, layer=text) for each in maps]
    named = replace(guess(text), id=text)
    used = dict.fromkeys(("model", "weights", "score_kind", "precision"), text)
    told = done(text, named, maps=maps, warning=text, notes=(text,), settings=text, **used)
    return [told, failed("b", text, text)]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_tag_and_no_attribute_comes_from_a_record(tmp_path: Path, text: str) -> None:
    plain, hostile = (whole(tmp_path, each) for each in ("plain", text))
    assert hostile.shape() == plain.shape()
    assert hostile.others == plain.others == []
    assert len(hostile.texts) == len(plain.texts)
    assert len(hostile.inside("script")) == 2
    assert hostile.inside("script")[1] == plain.inside("script")[1]
    read = hostile.data()
    assert [record[0] for record in read["records"]] == [text, "b"]
    assert read["records"][1][6] == [text, text]
    assert read["classes"] == [[1, text, text], [1, "n1", text]]
    assert read["makers"] == [[text, text]]
    assert text in [label for label, _ in read["truths"]]


def test_what_steers_the_reader_s_eye_is_spelt_out(tmp_path: Path) -> None:
    reader = whole(tmp_path, "\u202egpj.\x07exe\udcff")
    shown = [text for tag, text in reader.texts if "\\u202egpj.\\x07exe\\udcff" in text]
    assert len(shown) > 8
    assert not any(sign in text for _, text in reader.texts for sign in "\u202e\x07\udcff")


def test_a_hostile_folder_name_is_only_shown(tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x onerror=alert(1)> \u202e"
    write(folder, folder / "report.html", done("a"))
    reader = Reader((folder / "report.html").read_text(encoding="utf-8"))
    assert reader.attributes("img") == []
    name = "<img src=x onerror=alert(1)> \\u202e"
    assert reader.inside("title") == [f"Heatmaps in {name}"]
    assert reader.inside("h1") == [name]


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    reader = whole(tmp_path, "plain")
    for tag, attributes in reader.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        for name in ("src", "href", "action", "data", "srcset"):
            inside = ("#", "data:text/javascript;base64,")
            assert (attributes.get(name) or "#").startswith(inside), attributes
    assert {"link", "iframe", "object", "embed", "base"}.isdisjoint(tag for tag, _ in reader.tags)


def digest(data: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_the_policy_knows_exactly_this_style_and_these_modules(tmp_path: Path) -> None:
    reader = made(tmp_path, *everything("plain"))
    head = reader.attributes("meta")
    policy = next(m["content"] for m in head if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules.pop("style-src") == [f"'{digest(reader.inside('style')[0].encode())}'"]
    imports = reader.inside("script")[1]
    sources = [(STATIC / name).read_bytes() for name in MODULES]
    assert rules.pop("script-src") == [
        f"'{each}'" for each in (digest(imports.encode()), *map(digest, sources))
    ]
    assert rules == {
        "default-src": ["'none'"],
        "img-src": ["'self'", "file:", "data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    tags = reader.attributes("script")
    assert [tag["type"] for tag in tags[:2]] == ["application/json", "importmap"]
    assert [(tag["type"], tag["integrity"]) for tag in tags[2:]] == [
        ("module", digest(source)) for source in sources
    ]
    addresses = [tag["src"] or "" for tag in tags[2:]]
    for address, source in zip(addresses, sources, strict=True):
        kind, _, text = address.partition(",")
        assert kind == "data:text/javascript;base64"
        assert base64.b64decode(text, validate=True) == source
    named = {f"gradcam/{name}": each for name, each in zip(MODULES, addresses, strict=True)}
    assert json.loads(imports) == {"imports": named}


def imports_of(text: str) -> dict[str, str]:
    """The names that a module imports, and the file that each is from."""
    found = re.findall(r'^import \{([^}]+)\} from "gradcam/([^"]+)";$', text, re.M)
    assert len(found) == len(re.findall(r"\bimport\b", text))
    return {name: file for names, file in found for name in re.findall(r"[$\w]+", names)}


def test_each_module_imports_what_another_one_below_exports() -> None:
    """What a browser would refuse, or stumble over later, is found without one."""
    texts = {name: (STATIC / name).read_text(encoding="utf-8") for name in MODULES}
    declared = r"\b(?:function|const|let) ([$\w]+)"
    exported = {name: re.findall(rf"^export .*?{declared}", texts[name], re.M) for name in MODULES}
    every = [name for names in exported.values() for name in names]
    assert len(every) == len(set(every)) > 80
    for place, name in enumerate(MODULES):
        text = texts[name]
        assert len(exported[name]) == len(re.findall(r"\bexport\b", text))
        imported = imports_of(text)
        for each, other in imported.items():
            assert other in MODULES[:place], (name, other)
            assert each in exported[other], (name, other, each)
            assert len(re.findall(rf"(?<![$\w]){re.escape(each)}(?![$\w])", text)) > 1, (name, each)
        called = set(re.findall(r"(?<![.$\w])([$\w]+)\(", re.sub(r"//.*", "", text)))
        own = {*imported, *re.findall(declared, text)}
        assert called & set(every) <= own, (name, called & set(every) - own)


def test_the_script_makes_no_markup() -> None:
    assert {path.name for path in STATIC.iterdir()} == {"page.html", "page.css", *MODULES}
    words = ("innerHTML", "outerHTML", "insertAdjacent", "write(", "eval", "Function(", "://")
    for name in MODULES:
        script = (STATIC / name).read_text(encoding="utf-8")
        script = script.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert [word for word in words if word in script] == []
    for name in ("page.css", *MODULES):
        text = (STATIC / name).read_text(encoding="utf-8")
        assert "</" not in text, "it would end its own tag"
        assert len(text.splitlines()) < 400


def test_the_script_finds_what_it_looks_for() -> None:
    script = "".join((STATIC / name).read_text(encoding="utf-8") for name in MODULES)
    template = Reader((STATIC / "page.html").read_text(encoding="utf-8"))
    ids = {attributes["id"] for _, attributes in template.tags if "id" in attributes}
    wanted = set(re.findall(r'(?:\$|getElementById)\("(\w+)"\)', script))
    assert len(wanted) > 15
    assert wanted <= ids


def test_without_a_script_the_numbers_are_there(tmp_path: Path) -> None:
    records = [
        done("cat/a", guess("cat", 0.75), maps=[heatmap(), heatmap(reason="all negative")]),
        done("dog/b", guess("cat", 0.25), maps=[heatmap(), heatmap()], warning="odd"),
        done("c", guess("", None, 7), notes=("the scaling is in the model",)),
        failed("d", "truncated"),
    ]
    reader = made(tmp_path, *records, truth=Truth())
    cells = reader.inside("td")
    assert cells[:3] == ["dog", "cat", "1"]
    assert cells[3:] == ["cat", "2", "0.5000", "25.0%", "class 7", "1"]
    facts = dict(zip(reader.inside("dt"), reader.inside("dd"), strict=False))
    assert {name: facts[name] for name in ("pictures", "done", "failed: truncated")} == {
        "pictures": "4",
        "done": "3",
        "failed: truncated": "1",
    }
    assert facts["empty maps"].startswith("1: all negative (every part of the picture speaks")
    assert facts["layer"] == "block5_conv3"
    said = [text for _, text in reader.texts]
    assert "1 of 2 right, 50.0%; 50.0% have it among their predictions." in said
    assert "the scaling is in the model" in said
    assert not any("different settings" in text for text in said)
    assert len(reader.attributes("noscript")) == 2


def test_what_is_amiss_is_said(tmp_path: Path) -> None:
    records = [done("a", maps=[heatmap(files={"overlay": "gone.jpg"})]), done("b")]
    other = Run(tmp_path / "other", [done("b"), done("c")])
    reader = made(tmp_path, *records, other=other, truth=Truth())
    notices = [text for tag, text in reader.texts if tag == "p"]
    (missing,) = [text for text in notices if text.startswith("Maps without an overlay: 1.")]
    assert "could not be drawn again" in missing
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Pictures in <bdi>out</bdi> only: 1." in text
    assert "Pictures in <bdi>other</bdi> only, which are left out: 1." in text
    assert "Counts of <bdi>out</bdi></h2>" in text
    assert "Pictures whose true class is not known: 2." in notices
    assert "The folder has no run.json that can be read, so its settings are not known." in notices


def test_different_settings_are_said_plainly(tmp_path: Path) -> None:
    other = done("b", settings="1" * 16, maps=[heatmap(layer="conv1")])
    records = [done("a", maps=[heatmap()]), other, done("c", settings="", maps=[heatmap()])]
    reader = made(tmp_path, *records)
    notice = next(text for _, text in reader.texts if "different settings" in text)
    assert "3 different settings" in notice
    assert notice.endswith(f"{'0' * 16} (1), {'1' * 16} (1), unknown (1).")
    assert "block5_conv3 (2), conv1 (1)" in reader.inside("dd")


def test_a_run_without_a_record_has_a_page(tmp_path: Path) -> None:
    reader = made(tmp_path)
    read = reader.data()
    assert (read["records"], read["classes"], read["means"]) == ([], [], [])
    assert reader.inside("td") == []


@pytest.mark.parametrize(
    ("place", "base"),
    [
        ("out/report.html", ""),
        ("report.html", "out/"),
        ("out/sub/report.html", "../"),
        ("else where/deep/r.html", "../../out/"),
    ],
)
def test_links_are_relative_to_the_page(tmp_path: Path, place: str, base: str) -> None:
    overlay = {"overlay": "in/a b.jpg"}
    reader = made(tmp_path, done("a", maps=[heatmap(files=overlay)]), place=place)
    read = reader.data()
    assert read["base"] == base
    linked = (
        tmp_path
        / Path(place).parent
        / os.fsdecode(unquote_to_bytes(read["base"] + read["records"][0][4][0][5]))
    )
    assert Path(os.path.normpath(linked)) == tmp_path / "out" / "in" / "a b.jpg"


def test_a_folder_of_any_name_is_linked(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"javascript:100% #1? \xff")
    write(folder, tmp_path / "page.html", done("a"))
    base = Reader((tmp_path / "page.html").read_text(encoding="utf-8")).data()["base"]
    assert base == "javascript%3A100%25%20%231%3F%20%FF/"


def test_links_work_from_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path, base in ((Path("page.html"), "out/"), (Path("out/page.html"), "")):
        write(Path("out"), path)
        assert Reader(path.read_text(encoding="utf-8")).data()["base"] == base


def test_a_report_may_be_written_again_and_nothing_else(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    check_place(report)
    write(tmp_path, report, done("a"))
    check_place(report)
    link = tmp_path / "link.html"
    link.symlink_to(report)
    check_place(link)


def foreign(tmp_path: Path) -> dict[str, Path]:
    theirs = {name: tmp_path / name for name in ("page", "empty", "late", "folder", "dangling")}
    theirs["page"].write_text("<html><title>gradcam</title>", encoding="utf-8")
    theirs["empty"].touch()
    ours = '<meta name="generator" content="gradcam">'
    theirs["late"].write_text(" " * 2000 + ours, encoding="utf-8")
    theirs["folder"].mkdir()
    theirs["dangling"].symlink_to(tmp_path / "nowhere")
    theirs["pipe"] = tmp_path / "pipe"
    os.mkfifo(theirs["pipe"])
    return theirs


@pytest.mark.parametrize("name", ["page", "empty", "late", "folder", "dangling", "pipe"])
def test_a_file_of_somebody_else_s_is_never_replaced(tmp_path: Path, name: str) -> None:
    path = foreign(tmp_path)[name]
    with pytest.raises(GradcamError, match="is not a report of gradcam's") as caught:
        check_place(path)
    assert "-o" in caught.value.hint


def test_a_page_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    write(tmp_path, report, done("a"))
    before = report.read_bytes()

    def broken() -> Iterator[Record]:
        yield done("b")
        raise GradcamError("line 2 is not a record")

    with pytest.raises(GradcamError, match="line 2"):
        write_page(gather(Run(tmp_path, broken()), report))
    assert report.read_bytes() == before
    assert list(tmp_path.iterdir()) == [report]
