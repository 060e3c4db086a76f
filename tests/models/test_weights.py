from __future__ import annotations

import dataclasses
import hashlib
import io
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models.catalog import EMBEDDED, Entry, find
from gradcam_cli.models.fetch import fetch, is_whole
from gradcam_cli.models.weights import (
    cache_folder,
    cached_file,
    file_hash,
    is_installed,
)

CONTENT = np.random.default_rng(3).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DAMAGED = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


class Handler(BaseHTTPRequestHandler):
    """The paths say what goes wrong."""

    both_are_here = threading.Barrier(2, timeout=60)
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = DAMAGED if self.path == "/damaged" else CONTENT
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/together":
            self.both_are_here.wait()
        self.send_response(200)
        if self.path != "/unsized-short":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), 50_000):
            if start >= 150_000 and self.path.endswith("short"):
                return
            self.wfile.write(body[start : start + 50_000])

    def log_message(self, *_words: object) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return Keras's folder of weights, not made yet."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


def served(url: str, hashed: str = MD5) -> Entry:
    return dataclasses.replace(find("vgg16"), weights_url=url, weights_hash=hashed)


def put(cache: Path, content: bytes) -> Path:
    cache.mkdir(parents=True)
    path = cache / find("vgg16").weights_file
    path.write_bytes(content)
    return path


def refusal(entry: Entry) -> ModelError:
    with pytest.raises(ModelError) as error:
        fetch(entry)
    cause: BaseException | None = error.value
    while cause is not None:
        if isinstance(cause, HTTPError):
            cause.close()  # Keras leaves the connection open
        cause = cause.__cause__ or cause.__context__
    return error.value


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_cache_is_where_keras_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert cache_folder() == tmp_path / ".keras"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere"
    monkeypatch.setenv("KERAS_HOME", "~/mine")
    assert cache_folder() == tmp_path / "mine"


def test_a_home_that_is_not_there_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "nowhere"))
    assert cache_folder().name == ".keras"
    assert cache_folder().parent.is_dir()
    assert not cache_folder().is_relative_to(tmp_path)


def test_a_cached_file_is_a_file_with_something_in_it(cache: Path) -> None:
    entry = find("vgg16")
    assert cached_file(entry) is None
    path = put(cache, b"")
    assert cached_file(entry) is None
    path.write_bytes(b"x")
    assert cached_file(entry) == path
    assert cached_file(find("vgg19")) is None
    path.unlink()
    path.mkdir()
    assert cached_file(entry) is None


@pytest.mark.parametrize(
    "expected",
    [
        "900150983cd24fb0d6963f7d28e17f72",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ],
)
def test_a_hash_is_the_one_that_its_length_says(tmp_path: Path, expected: str) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    entry = served("", expected)
    assert file_hash(path, entry) == expected
    assert is_whole(path, entry)
    path.write_bytes(b"abcd")
    assert not is_whole(path, entry)


def test_the_embedded_weights_are_here(cache: Path) -> None:
    entry = find(EMBEDDED)
    path = fetch(entry)
    assert is_installed(entry)
    assert not is_installed(find("vgg16"))
    assert path == cached_file(entry)
    assert path.stat().st_size > 10_000_000
    assert not cache.exists()


@pytest.mark.parametrize("hashed", [MD5, SHA256])
def test_weights_are_downloaded_once(server: str, cache: Path, hashed: str) -> None:
    entry = served(server + "/whole", hashed)
    path = fetch(entry)
    assert path == cache / entry.weights_file
    assert path.read_bytes() == CONTENT
    assert contents(cache) == [entry.weights_file]
    assert fetch(entry) == path
    assert Handler.asked == ["/whole"]


def test_nothing_is_printed_where_nobody_looks(
    server: str, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch(served(server + "/whole"))
    assert capfd.readouterr() == ("", "")
    assert cache.is_dir()


@pytest.mark.usefixtures("cache")
def test_a_terminal_sees_the_bar_on_standard_error(
    server: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    fetch(served(server + "/whole"))
    assert f"{len(CONTENT)}/{len(CONTENT)}" in terminal.getvalue()
    assert capfd.readouterr().out == ""


def test_a_damaged_file_is_replaced(server: str, cache: Path) -> None:
    path = put(cache, DAMAGED)
    assert fetch(served(server + "/whole")) == path
    assert path.read_bytes() == CONTENT
    assert contents(cache) == [path.name]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "404"),
        ("/damaged", "Incomplete or corrupted file"),
        ("/short", "retrieval incomplete"),
        ("/unsized-short", "Incomplete or corrupted file"),
    ],
)
@pytest.mark.parametrize("before", [None, DAMAGED])
def test_a_failed_download_leaves_what_was_there(
    server: str, cache: Path, path: str, reason: str, before: bytes | None
) -> None:
    there = put(cache, before) if before else None
    error = refusal(served(server + path))
    assert error.message.startswith("cannot download the ImageNet weights of VGG16: ")
    assert reason in error.message
    if there is None:
        assert contents(cache) == []
        return
    assert contents(cache) == [there.name]
    assert there.read_bytes() == before
    assert "damaged" in error.message
    assert hashlib.md5(DAMAGED).hexdigest() in error.message


def test_an_unreachable_server_brings_all_ways_out(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    entry = served(f"http://127.0.0.1:{closed_port()}/whole")
    error = refusal(entry)
    assert "refused" in error.message
    for word in (
        entry.weights_file,
        entry.weights_url,
        str(cache / entry.weights_file),
        "--weights FILE",
        f"--model {EMBEDDED}",
    ):
        assert word in error.hint
    assert "\n" not in error.message + error.hint


def test_a_whole_file_needs_no_server(cache: Path) -> None:
    path = put(cache, CONTENT)
    assert fetch(served(f"http://127.0.0.1:{closed_port()}/whole")) == path


def test_a_cache_that_cannot_be_made_is_named(server: str, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_bytes(b"a file where the folder should be")
    error = refusal(served(server + "/whole"))
    assert str(cache) in error.message
    assert "KERAS_HOME" in error.hint
    assert "--weights FILE" in error.hint
    assert Handler.asked == []
    assert cache.read_bytes() == b"a file where the folder should be"


def test_two_processes_may_fetch_at_once(server: str, cache: Path) -> None:
    code = (
        "import sys; from dataclasses import replace\n"
        "from gradcam_cli.models.catalog import find\n"
        "from gradcam_cli.models.fetch import fetch\n"
        "entry = replace(find('vgg16'), weights_url=sys.argv[1], weights_hash=sys.argv[2])\n"
        "print(fetch(entry))"
    )
    command = [sys.executable, "-c", code, server + "/together", MD5]
    pair = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=120) for process in pair]
    place = cache / find("vgg16").weights_file
    assert [out for out, _ in ends] == [f"{place}\n"] * 2, ends
    assert Handler.asked == ["/together"] * 2
    assert place.read_bytes() == CONTENT
    assert contents(cache) == [place.name]
