from __future__ import annotations

import os
import posixpath
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcam_cli.report.addresses import address, inside, way_to
from tests.report.made import HOSTILE

ANY_TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(HOSTILE)
LEADING_OUT = (
    *("", ".", "..", "/", "/etc/passwd", "//host/a.jpg", "../a.jpg", "a/../../b.jpg", "a/.."),
    *("javascript:alert(1)", "data:text/html,x", "http://host/a.jpg", "C:/a.jpg", "a:b.jpg"),
    *("\\\\host\\a.jpg", "..\\a.jpg", "a\\..\\..\\b.jpg", "a\0.jpg", "\ud800.jpg"),
)


@pytest.mark.parametrize("name", LEADING_OUT)
def test_what_leads_out_of_the_folder_has_no_address(name: str, tmp_path: Path) -> None:
    assert address(name) == ""
    assert inside(name, tmp_path) is None


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("in/a.jpg.top1.jpg", "in/a.jpg.top1.jpg"),
        ("@up/a b.jpg", "%40up/a%20b.jpg"),
        ("50%.jpg?#x", "50%25.jpg%3F%23x"),
        ("%2e%2e/a.jpg", "%252e%252e/a.jpg"),
        ("caf\udce9.jpg", "caf%E9.jpg"),
        ("é<\"'>.jpg", "%C3%A9%3C%22%27%3E.jpg"),
        ("..a/b..jpg", "..a/b..jpg"),
        ("./a//b.jpg", "a/b.jpg"),
    ],
)
def test_a_name_becomes_the_url_of_its_file(name: str, url: str) -> None:
    assert address(name) == url


@given(
    ANY_TEXT | st.lists(st.sampled_from(["..", ".", "a", "/", "%2e%2e", ":", "\\"])).map("".join)
)
def test_no_name_s_url_leaves_the_folder(name: str) -> None:
    url = address(name)
    if not url:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    path = os.fsdecode(unquote_to_bytes(url))
    assert path == posixpath.normpath(name)
    assert not path.startswith("/")
    assert ".." not in path.split("/")


def test_a_link_in_the_folder_does_not_lead_out(tmp_path: Path) -> None:
    folder, secret = tmp_path / "out", tmp_path / "secret.png"
    folder.mkdir()
    secret.write_bytes(b"x")
    (folder / "link.png").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    (folder / "circle").symlink_to("circle")
    (folder / "own.png").write_bytes(b"y")
    (folder / "alias.png").symlink_to("own.png")
    for name in ("link.png", "up/secret.png", "circle", "nowhere.png"):
        assert inside(name, folder) is None
    assert inside("alias.png", folder) == inside("own.png", folder) == folder / "own.png"


@pytest.mark.parametrize(
    ("page", "way"),
    [("out/report.html", "."), ("report.html", "out"), ("out/sub/r.html", "..")],
)
def test_the_way_from_the_page_to_the_folder(page: str, way: str, tmp_path: Path) -> None:
    assert way_to(tmp_path / "out", tmp_path / page) == way
