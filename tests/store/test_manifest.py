from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.sources.find import Found
from gradcam_cli.spec.run import digest
from gradcam_cli.store import atomic
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.folder import open_manifest
from gradcam_cli.store.manifest import Manifest
from gradcam_cli.store.reading import (
    MANIFEST,
    Damaged,
    damage,
    manifest_name,
    read_folder,
    read_manifest,
)
from gradcam_cli.store.records import Done, ExplanationRecord, Failure, Record, content_digest
from gradcam_cli.store.runfile import read_run

NOW, OTHER = {"intensity": 0.4}, {"intensity": 0.5}
ONE, TWO = manifest_name((1, 2)), manifest_name((2, 2))
SHARDS = {MANIFEST: None, ONE: (1, 2), TWO: (2, 2)}


class Plain(dict[str, str]):
    """Every source's outputs lie at its own path."""

    def __missing__(self, source: str) -> str:
        return source


def opened(
    settings: Mapping[str, Any] = NOW, name: str = MANIFEST, folder: str = "out", **how: Any
) -> AbstractContextManager[Manifest]:
    return open_manifest(Path(folder), settings, Plain(), shard=SHARDS[name], **how)


def done(manifest: Manifest, found: Found) -> Done | None:
    place = manifest.place(found)
    if isinstance(place, Done):
        return place
    assert place.source == found.source
    return None


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture(name: str = "a.jpg", content: bytes = b"pixels") -> Found:
    path = Path("in") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return Found(path, str(path))


def finished(found: Found, out: Path = Path("out"), settings: Mapping[str, Any] = NOW) -> Record:
    """Write a picture's output, and return its record."""
    name = f"{found.source}.top1.jpg"
    write_bytes(out / name, b"overlay")
    content, facts = found.path.read_bytes(), found.path.stat()
    explanation = ExplanationRecord(
        0, "", "", 0.5, 1.0, False, "", (0, 0), {"overlay": name}, {"overlay": 7}
    )
    return Record(
        source=found.source,
        status="ok",
        width=20,
        height=10,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        mtime_ns=facts.st_mtime_ns,
        settings=digest(settings),
        explanations=(explanation,),
    )


def by(method: str, found: Found, settings: Mapping[str, Any] = NOW) -> Record:
    """Return the record of a run with one method, whose file is written."""
    record = finished(found, settings=settings)
    name = f"{found.source}.top1.{method}.jpg"
    write_bytes(Path("out") / name, method.encode())
    (item,) = record.explanations
    item = replace(
        item, method=method, slot="top1", files={"overlay": name}, sizes={"overlay": len(method)}
    )
    return replace(
        record,
        explanations=(item,),
        digests={name: content_digest(method.encode())},
        written_ns=time.time_ns(),
    )


def failure(found: Found, settings: Mapping[str, Any] = NOW) -> Record:
    return Record(
        source=found.source,
        status="failed",
        error=Failure("empty", "empty"),
        settings=digest(settings),
    )


def add(
    *records: Record, name: str = MANIFEST, settings: Mapping[str, Any] = NOW, folder: str = "out"
) -> None:
    with opened(settings, name, folder) as manifest:
        for record in records:
            manifest.append(record)


def is_done(found: Found, settings: Mapping[str, Any] = NOW, name: str = MANIFEST) -> Done | None:
    with opened(settings, name) as manifest:
        return done(manifest, found)


def sources(name: str = MANIFEST) -> list[str]:
    return [record.source for record in read_manifest(Path("out"), name)]


def test_records_come_back_in_order() -> None:
    pictures = [picture(name) for name in ("b.jpg", "a.jpg", "c\n\udcff.jpg")]
    written = [finished(found) for found in pictures]
    add(*written)
    assert list(read_manifest(Path("out"))) == written
    add()
    assert list(read_manifest(Path("out"))) == written


def test_a_record_is_readable_the_moment_it_is_appended() -> None:
    record = finished(picture())
    with opened() as manifest:
        manifest.append(record)
        assert list(read_manifest(Path("out"))) == [record]


def test_done_is_a_whole_record_with_the_same_settings_picture_and_files() -> None:
    found = picture()
    assert is_done(found) is None
    add(finished(found))
    assert is_done(found) == Done("in/a.jpg", False, MANIFEST, 0)
    assert is_done(found, OTHER) is None
    assert is_done(picture("b.jpg")) is None


def test_an_empty_map_is_remembered() -> None:
    found = picture()
    record = finished(found)
    empty = replace(record.explanations[0], empty=True, empty_reason="all negative")
    add(replace(record, explanations=(empty,)))
    assert is_done(found) == Done("in/a.jpg", True, MANIFEST, 0)


def test_a_kept_picture_leads_to_its_last_record() -> None:
    pictures = [picture(name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    add(*map(finished, pictures[:2]), name=ONE)
    again = replace(finished(pictures[2]), seconds=7.0)
    add(finished(pictures[2]), finished(pictures[2]), again, name=TWO)
    with opened() as manifest:
        kept = [done(manifest, found) for found in pictures]
        lines = [manifest.line(each) for each in kept if each is not None]
    assert list(map(Record.from_json, lines)) == [*map(finished, pictures[:2]), again]


def test_a_manifest_that_another_shard_made_shorter_is_searched() -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(failure(a), finished(b), name=ONE)
    with opened(name=TWO) as manifest:
        kept = done(manifest, b)
        assert kept is not None
        add(finished(a), name=ONE)  # closing leaves one record a picture, of other lengths
        assert Record.from_json(manifest.line(kept)) == finished(b)
        (Path("out") / ONE).write_bytes(b"")
        with pytest.raises(GradcamError, match="changed by somebody else"):
            manifest.line(kept)
        (Path("out") / ONE).unlink()
        with pytest.raises(GradcamError, match="cannot read"):
            manifest.line(kept)


def test_of_several_manifests_the_last_written_one_is_believed() -> None:
    found = picture()
    old, new = finished(found), replace(finished(found), seconds=9.0)
    add(old)
    add(new, name=ONE)
    for times, believed in (((1, 2), new), ((2, 1), old)):
        for seconds, name in zip(times, (MANIFEST, ONE), strict=True):
            os.utime(Path("out") / name, (0, seconds))
        assert list(read_folder(Path("out"))) == [believed]


def test_a_folder_of_many_shards_is_read() -> None:
    count = resource.getrlimit(resource.RLIMIT_NOFILE)[0] + 10
    if count > 5000:
        count = 5000
    record = finished(picture())
    for number in range(count):
        name = manifest_name((number + 1, count))
        one = replace(record, source=f"in/{number}.jpg")
        (Path("out")).mkdir(exist_ok=True)
        (Path("out") / name).write_text(one.to_json() + "\n", encoding="ascii")
    assert len({each.source for each in read_folder(Path("out"))}) == count


def test_what_the_same_settings_led_to_is_remembered() -> None:
    with opened() as manifest:
        manifest.decided(batch_size=32)
    with opened() as manifest:
        assert manifest.batch_size == 0  # nothing came of it
        manifest.decided(batch_size=32, precision="bfloat16")
        manifest.append(finished(picture()))
    for settings, name, size in ((NOW, MANIFEST, 32), (OTHER, MANIFEST, 0), (NOW, ONE, 0)):
        with opened(settings, name) as manifest:
            assert manifest.batch_size == size
            assert manifest.precision == ("bfloat16" if size else "")
    with opened(overwrite=True) as manifest:
        assert manifest.batch_size == 0


def test_what_was_changed_is_named_and_forgotten_with_the_rest() -> None:
    add(finished(picture()))
    for settings, overwrite, changed in (
        (NOW, False, []),
        (OTHER, False, ["intensity 0.4, now 0.5"]),
        (OTHER, True, []),
    ):
        with opened(settings, overwrite=overwrite) as manifest:
            assert manifest.changed == changed


def test_a_changed_picture_is_done_again() -> None:
    found = picture()
    add(finished(found))
    facts = found.path.stat()
    os.utime(found.path, ns=(1, 1))  # only touched: the content decides
    assert is_done(found)
    found.path.write_bytes(b"PIXELS")  # as long as before
    os.utime(found.path, ns=(1, 1))
    assert is_done(found) is None
    found.path.write_bytes(b"longer pixels")
    os.utime(found.path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert is_done(found) is None
    found.path.unlink()
    assert is_done(found) is None
    found.path.mkdir()
    assert is_done(found) is None


def test_a_lost_or_cut_output_is_done_again() -> None:
    found = picture()
    add(finished(found))
    output = Path("out/in/a.jpg.top1.jpg")
    output.write_bytes(b"over")
    assert is_done(found) is None
    output.unlink()
    assert is_done(found) is None
    output.write_bytes(b"overlay")
    assert is_done(found)


def test_failed_pictures_are_tried_again() -> None:
    found = picture()
    add(failure(found))
    assert is_done(found) is None
    add(finished(found))
    assert is_done(found)
    add(failure(found))
    assert is_done(found) is None


def test_what_is_done_again_takes_its_old_place() -> None:
    a, b, c = (picture(name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    add(finished(a), failure(b), finished(c))
    add(finished(b))
    assert list(read_manifest(Path("out"))) == [finished(a), finished(b), finished(c)]
    add(failure(c), finished(a), failure(a))
    assert sources() == ["in/a.jpg", "in/b.jpg", "in/c.jpg"]
    assert [record.failed for record in read_manifest(Path("out"))] == [True, False, True]


def test_a_picture_that_now_fails_loses_its_old_files() -> None:
    found, other = picture(), picture("b.jpg")
    add(finished(found), finished(other))
    add(failure(found))
    assert not Path("out/in/a.jpg.top1.jpg").exists()
    assert Path("out/in/b.jpg.top1.jpg").exists()


@pytest.mark.parametrize(
    "name", ["../in/b.jpg", "in/b.jpg.top1.jpg", "in/a.jpg./../../../in/b.jpg"]
)
def test_no_manifest_makes_a_run_remove_what_is_not_the_picture_s(name: str) -> None:
    found, other = picture(), picture("b.jpg")
    record = finished(found)
    finished(other)
    lying = replace(record.explanations[0], files={"overlay": name})
    add(replace(record, explanations=(lying,)))
    before = sorted(path for path in Path().rglob("*.jpg"))
    add(failure(found))
    assert sorted(path for path in Path().rglob("*.jpg")) == before


def test_a_torn_last_line_is_dropped_at_every_length() -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(finished(a), finished(b))
    whole = Path("out", MANIFEST).read_bytes()
    first = whole.index(b"\n") + 1
    for length in {0, 1, first - 1, first, first + 1, first + 200, len(whole) - 2, len(whole) - 1}:
        Path("out", MANIFEST).write_bytes(whole[:length])
        expected = [a.source] if length >= first else []
        assert sources() == expected
        with opened() as manifest:
            assert (done(manifest, a) is not None) == (length >= first)
            assert done(manifest, b) is None
            manifest.append(finished(b))
        assert sources() == [*expected, b.source]


def test_a_tail_of_zeros_is_dropped() -> None:
    found = picture()
    add(finished(found))
    with Path("out", MANIFEST).open("ab") as file:
        file.write(bytes(200_000))
    assert is_done(found)
    assert Path("out", MANIFEST).read_bytes().endswith(b"}\n")


DAMAGED = {
    "half a record": b'{"schema_version": 2, "source": "in/a.j\n',
    "half a record before a whole one": b'{"schema_version": 2, "sou{"schema_version": 2}\n',
    "values missing": b'{"schema_version": 2}\n',
    "zeros": bytes(500) + b"\n",
    "bytes": bytes(range(128, 256)) + b"\n",
    "lines of somebody else": b'{"path": "x"}\n[1, 2]\nnull\n7\n\n',
    "another version": b'{"schema_version": 99, "source": "in/a.jpg"}\n',
    "a number that is none": b'{"schema_version": 2, "width": NaN}\n',
}


@pytest.mark.parametrize("lines", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("place", [0, 1, 2])
def test_damaged_lines_go_into_a_file_beside_the_manifest(lines: bytes, place: int) -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(finished(a), finished(b))
    path = Path("out", MANIFEST)
    whole = path.read_bytes()
    sound = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*sound[:place], lines, *sound[place:]]))
    with opened() as manifest:
        (warning,) = manifest.warnings
        first = f"lines {place + 1}, " if lines.count(b"\n") > 1 else f"line {place + 1} of"
        assert warning.startswith(first)
        for found in (a, b):
            kept = done(manifest, found)
            assert kept is not None
            assert Record.from_json(path.read_bytes()[kept.start :].splitlines()[0].decode())
            assert Record.from_json(manifest.line(kept)).source == found.source
    assert path.read_bytes() == whole
    assert Path("out", "manifest.jsonl.damaged").read_bytes() == lines
    with opened() as manifest:
        assert not manifest.warnings


def test_a_picture_whose_record_is_damaged_is_done_again() -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(finished(a), finished(b))
    path = Path("out", MANIFEST)
    path.write_bytes(path.read_bytes().replace(b'"width": 20', b'"width": "2"', 1))
    with opened() as manifest:
        assert "its width is '2'" in manifest.warnings[0]
        assert done(manifest, a) is None
        assert done(manifest, b) is not None
        manifest.append(finished(a))
    assert sources() == [b.source, a.source]


@pytest.mark.parametrize("step", [1, 2])
def test_a_repair_that_is_cut_short_loses_nothing(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = picture()
    add(finished(found))
    path = Path("out", MANIFEST)
    whole = path.read_bytes()
    path.write_bytes(b"[]\n" + whole + b"{}\n")
    calls = 0
    replace_really = Path.replace

    def cut_short(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KeyboardInterrupt
        return replace_really(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut_short)
        with pytest.raises(KeyboardInterrupt):
            add()
    assert path.read_bytes() == b"[]\n" + whole + b"{}\n"
    assert is_done(found)
    assert path.read_bytes() == whole
    assert Path("out", "manifest.jsonl.damaged").read_bytes() == b"[]\n{}\n"


@pytest.mark.parametrize("content", [b'{"audio": "a.wav"}\n', b"a line without an end", b"1\n2"])
def test_a_file_of_another_program_is_left_alone(content: bytes) -> None:
    Path("out").mkdir()
    path = Path("out", MANIFEST)
    path.write_bytes(content)
    with pytest.raises(GradcamError, match=r"out/manifest\.jsonl is not a manifest") as caught:
        add(finished(picture()))
    assert "--overwrite" in caught.value.hint
    assert path.read_bytes() == content
    with opened(overwrite=True) as manifest:
        manifest.append(finished(picture()))
    assert len(sources()) == 1


def test_damaged_lines_of_another_shard_are_its_own_affair() -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(finished(a), finished(b), name=ONE)
    path = Path("out", ONE)
    damaged = b"".join([b"{}\n", path.read_bytes(), b"{}\n" * 9])
    path.write_bytes(damaged)
    with opened(name=TWO) as manifest:
        assert manifest.warnings == [
            f"lines 1, 4, 5, 6, 7 and 5 more of {path} are damaged (not a whole record: "
            "'schema_version') and passed by"
        ]
        assert done(manifest, a)
        assert done(manifest, b)
    assert path.read_bytes() == damaged


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[:-9] + b"\n")
    other.replace(path)


def _add_to(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"a note\n")


@pytest.mark.parametrize("change", [_empty, Path.unlink, _replace, _add_to])
@pytest.mark.parametrize("last", [False, True])
def test_a_manifest_that_somebody_else_changes_meanwhile(
    change: Callable[[Path], None], last: bool
) -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(finished(a), failure(b))
    path = Path("out", MANIFEST)

    def work() -> None:
        with opened() as manifest:
            manifest.append(finished(b))
            change(path)
            theirs.append(path.read_bytes() if path.exists() else b"")
            if not last:
                manifest.append(finished(a))

    theirs: list[bytes] = []
    with pytest.raises(GradcamError, match=r"out/manifest\.jsonl was changed by somebody else"):
        work()
    assert (path.read_bytes() if path.exists() else b"") == theirs[0]
    with opened() as manifest:
        for found in (a, b):
            if not done(manifest, found):
                manifest.append(finished(found))
    assert sorted(sources()) == [a.source, b.source]


def test_a_manifest_that_cannot_be_closed() -> None:
    def work() -> None:
        with opened() as manifest:
            manifest.append(finished(picture()))
            for place in Path("/proc/self/fd").iterdir():
                with suppress(OSError):
                    if place.readlink().name == MANIFEST:
                        os.close(int(place.name))  # EBADF then, as a network disk says EIO

    with pytest.raises(GradcamError, match=r"cannot write out/manifest\.jsonl"):
        work()
    assert len(sources()) == 1


def test_an_output_folder_that_is_removed_meanwhile() -> None:
    a, b = picture("a.jpg"), picture("b.jpg")

    def work() -> None:
        with opened() as manifest:
            manifest.append(finished(a))
            shutil.rmtree("out")
            manifest.append(finished(b))

    with pytest.raises(GradcamError, match="changed by somebody else"):
        work()


def test_a_manifest_that_an_editor_saved_again() -> None:
    found = picture()
    with opened() as manifest:
        manifest.append(finished(found))
    path = Path("out") / MANIFEST
    text = path.read_text(encoding="utf-8")
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert [record.source for record in read_folder(Path("out"))] == [found.source]
    with opened() as manifest:
        kept = done(manifest, found)
        assert kept is not None
        assert Record.from_json(manifest.line(kept)).source == found.source
    path.write_bytes((text + text).encode("utf-16"))
    with pytest.raises(GradcamError, match=r"line 1 is UTF-16 text, not UTF-8"):
        list(read_folder(Path("out")))


def test_overwrite_forgets() -> None:
    found = picture()
    add(finished(found))
    with opened(overwrite=True) as manifest:
        assert done(manifest, found) is None
    assert Path("out", MANIFEST).exists(), "nothing is lost before something new is there"


def test_a_shard_knows_what_the_others_did() -> None:
    a, b, c = (picture(name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    add(finished(a))
    add(finished(b), name=ONE)
    add(finished(c), name=TWO)
    for name in (MANIFEST, ONE, TWO):
        with opened(name=name) as manifest:
            assert all(done(manifest, found) for found in (a, b, c))
    assert [sources(name) for name in (MANIFEST, ONE, TWO)] == [[f.source] for f in (a, b, c)]


def lines(*records: Record) -> bytes:
    return b"".join(record.to_json().encode() + b"\n" for record in records)


def test_a_folder_s_records_are_each_picture_s_last() -> None:
    a, b, c, d = (picture(name) for name in ("a.jpg", "b.jpg", "c.jpg", "d\udcff.jpg"))
    add()
    Path("out", ONE).write_bytes(lines(finished(a), failure(b), failure(a), finished(a)))
    Path("out", TWO).write_bytes(lines(finished(c), finished(d)))
    Path("out", MANIFEST).write_bytes(lines(failure(c), finished(b)) + lines(failure(d))[:-1])
    Path("out/manifest-old.jsonl").write_bytes(lines(failure(a)))
    for age, name in enumerate((MANIFEST, ONE, TWO)):
        os.utime(Path("out", name), ns=(0, 10**18 - age))
    found = list(read_folder(Path("out")))
    assert found == [failure(c), finished(b), finished(a), finished(d)]


def test_a_folder_is_read_as_it_was_when_its_run_ends_meanwhile() -> None:
    a, b, c = (picture(name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    add(failure(a), failure(b))
    with opened() as manifest:
        manifest.append(finished(a))
        reading = read_folder(Path("out"))
        assert next(reading) == finished(a)
        manifest.append(finished(c))
        manifest.append(finished(b))
    assert list(reading) == [failure(b)]  # as it was
    assert list(read_folder(Path("out"))) == [finished(a), finished(b), finished(c)]


def test_a_folder_without_a_manifest_is_said() -> None:
    Path("out").mkdir()
    for folder, message in (("out", "out has no manifest"), ("none", "cannot read none: No such")):
        with pytest.raises(GradcamError, match=message) as caught:
            list(read_folder(Path(folder)))
        assert "output folder" in caught.value.hint
    Path("out", MANIFEST).write_bytes(lines(finished(picture()))[:-1])
    assert list(read_folder(Path("out"))) == []


def test_shards_of_other_settings_are_refused() -> None:
    found = picture()
    add(finished(found), name=ONE)
    for name in (TWO, MANIFEST):
        with pytest.raises(GradcamError, match="other settings"):
            add(name=name, settings=OTHER)
    add(name=ONE, settings=OTHER)
    with opened(OTHER, overwrite=True) as manifest:
        assert done(manifest, found) is None
        manifest.append(finished(found, settings=OTHER))
    add(name=TWO, settings=OTHER)


def test_overwriting_a_shard_leaves_the_others() -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(finished(a), name=ONE)
    add(finished(b), name=TWO)
    Path("out/manifest-old.jsonl").write_text("mine", encoding="utf-8")
    with opened(name=ONE, overwrite=True) as manifest:
        assert done(manifest, a) is None
        assert done(manifest, b)
    with opened(overwrite=True) as manifest:
        manifest.append(finished(a))
    left = {path.name for path in Path("out").glob("*.jsonl")}
    assert left == {"manifest-old.jsonl", MANIFEST}


def test_files_that_are_not_made_again_are_removed() -> None:
    found = picture()
    record = finished(found)
    add(record)
    stale = Path("out", f"{found.source}.top1.jpg")
    failed = Record(source=found.source, status="failed", error=Failure("empty", "it is empty"))
    with opened(overwrite=True) as manifest:
        assert stale.exists()
        manifest.append(failed)
    assert not stale.exists()


def test_a_folder_that_stays_empty_is_left_as_it_was_found() -> None:
    with pytest.raises(KeyError), opened(made=True):
        raise KeyError
    assert not Path("out").exists()
    Path("out").mkdir()
    Path("out/.theirs.lock").touch()
    with pytest.raises(KeyError), opened(made=True):
        raise KeyError
    assert Path("out/.theirs.lock").exists()


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        (MANIFEST, MANIFEST, False),
        (MANIFEST, ONE, False),
        (ONE, MANIFEST, False),
        (ONE, ONE, False),
        (ONE, TWO, True),
    ],
)
def test_two_writers_only_as_shards(first: str, second: str, allowed: bool) -> None:
    found = picture()
    with opened(name=first) as manifest:
        if allowed:
            add(finished(found), name=second)
        else:
            with pytest.raises(GradcamError, match="another gradcam is writing to out"):
                add(name=second)
        manifest.append(finished(found))
    add(name=second)


def test_the_lock_dies_with_its_process() -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from gradcam_cli.store.folder import open_manifest\n"
        "with open_manifest(Path('out'), {}, {}):\n"
        "    print('in', flush=True)\n    time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "in\n"
    with pytest.raises(GradcamError, match="another gradcam"):
        add()
    other.kill()
    other.wait()
    other.stdout.close()
    add()


def leftover(process: int, host: str = atomic._HOST, age: float = 0) -> Path:
    path = Path(f"out/in/.gradcam-{host}-{process}-00000000.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_files_of_a_killed_run_are_removed() -> None:
    dead, own = leftover(dead_process()), leftover(os.getpid())
    alive = leftover(os.getppid())
    strange, stale = leftover(1, "abcdef"), leftover(2, "abcdef", age=2 * 86_400)
    mine = Path("out/in/.gradcam.part")
    mine.write_bytes(b"mine")
    add()
    assert dead.exists()  # nothing says that a run was killed here
    Path(f"out/.{ONE}.running").touch()
    add()
    assert [path.exists() for path in (dead, own, stale)] == [False] * 3
    assert [path.exists() for path in (alive, strange, mine)] == [True] * 3


def test_nothing_says_killed_after_an_error() -> None:
    running = Path(f"out/.{MANIFEST}.running")

    def fail() -> None:
        with opened():
            assert running.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not running.exists()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let this process write no file longer than ``size``, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_whole_lines() -> None:
    a, b = finished(picture("a.jpg")), finished(picture("b.jpg"))
    length = len(a.to_json()) + 1
    with opened() as manifest:
        manifest.append(a)
        for room in (0, 1, length - 1):
            with files_up_to(length + room), pytest.raises(GradcamError) as caught:
                manifest.append(b)
            assert "cannot write out/manifest.jsonl" in caught.value.message
            assert "space" in caught.value.hint
            assert Path("out", MANIFEST).stat().st_size == length
        manifest.append(b)
    assert list(read_manifest(Path("out"))) == [a, b]


def test_a_full_disk_cannot_hurt_when_old_lines_are_dropped() -> None:
    records = [finished(picture(name)) for name in ("a.jpg", "b.jpg", "c.jpg")]
    add(*records)

    def add_again() -> None:
        with opened() as manifest:
            manifest.append(records[0])
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

    before = Path("out", MANIFEST).read_bytes()
    with files_up_to(1 << 30), pytest.raises(GradcamError, match="cannot write"):
        add_again()
    assert Path("out", MANIFEST).read_bytes() == before + records[0].to_json().encode() + b"\n"
    assert list(Path("out").glob(".gradcam-*.part")) == []
    with opened() as manifest:
        assert all(done(manifest, Found(Path(each.source), each.source)) for each in records)
    assert list(read_manifest(Path("out"))) == records


def test_a_folder_that_cannot_be_written_is_said() -> None:
    Path("file").write_text("mine", encoding="utf-8")
    with pytest.raises(GradcamError, match="cannot write") as caught:
        add(folder="file/out")
    assert os.strerror(errno.ENOTDIR) in caught.value.message
    Path("out", MANIFEST).mkdir(parents=True)
    with pytest.raises(GradcamError, match=r"cannot write out/manifest\.jsonl"):
        add()


@pytest.mark.parametrize("later", [0, 5_000_000_000])
def test_another_file_of_the_same_length_is_not_the_one_that_was_written(later: int) -> None:
    """As a process leaves it that was killed between a picture's files and its record."""
    found = picture()
    record = finished(found)
    (made,) = (name for name, _ in record.every_file())
    path = Path("out", made)
    written = replace(
        record, written_ns=path.stat().st_mtime_ns, digests={made: content_digest(b"overlay")}
    )
    add(written)
    assert is_done(found)
    path.write_bytes(b"OVERLAY")
    os.utime(path, ns=(0, written.written_ns + 1 + later))
    assert not is_done(found)
    path.write_bytes(b"overlay")  # the folder was copied: other times, the same content
    os.utime(path, ns=(0, written.written_ns + 1 + later))
    assert is_done(found)


@pytest.mark.parametrize(
    ("kind", "stays"), [("vanished", True), ("timeout", True), ("empty", False)]
)
def test_what_is_out_of_reach_for_once_stays_done(kind: str, stays: bool) -> None:
    """A disk that is not mounted today must not cost what was made of its pictures."""
    found = picture()
    add(finished(found))
    content, facts = found.path.read_bytes(), found.path.stat()
    found.path.unlink()
    assert not is_done(found)
    add(replace(failure(found), error=Failure(kind, "no such file")))
    assert Path("out", f"{found.source}.top1.jpg").exists() == stays
    found.path.write_bytes(content)
    os.utime(found.path, ns=(0, facts.st_mtime_ns))
    assert bool(is_done(found)) == stays


# -- several methods


def test_one_more_method_does_only_what_is_missing() -> None:
    a, b = picture("a.jpg"), picture("b.jpg", b"other")
    with opened(methods=("gradcam",)) as manifest:
        for each in (a, b):
            manifest.append(by("gradcam", each))
    with opened(methods=("gradcam",)) as manifest:
        assert [done(manifest, each) is not None for each in (a, b)] == [True, True]
    with opened(methods=("gradcam", "layercam")) as manifest:
        assert manifest.missing([a, b]) == ("layercam",)
        assert done(manifest, a) is None
        joined = manifest.append(by("layercam", a))
    assert [each.method for each in joined.explanations] == ["gradcam", "layercam"]
    assert set(joined.digests) == {
        f"{a.source}.top1.{name}.jpg" for name in ("gradcam", "layercam")
    }
    assert all((Path("out") / name).is_file() for name, _ in joined.every_file())
    assert next(iter(read_manifest(Path("out")))) == joined
    with opened(methods=("gradcam", "layercam")) as manifest:
        assert [done(manifest, each) is not None for each in (a, b)] == [True, False]
    assert read_run(Path("out/run.json")).methods == ("gradcam", "layercam")  # type: ignore[union-attr]


def test_a_whole_run_after_a_shard_keeps_the_shard_s_maps() -> None:
    found = picture()
    for name, method in ((MANIFEST, "gradcam"), (ONE, "layercam"), (MANIFEST, "eigencam")):
        with opened(name=name, methods=(method,)) as manifest:
            joined = manifest.append(by(method, found))
        os.utime(Path("out") / name, ns=(0, time.time_ns()))
    assert {each.method for each in joined.explanations} == {"gradcam", "layercam", "eigencam"}
    assert list(read_folder(Path("out"))) == [joined]


def test_a_whole_run_that_takes_over_a_shard_s_files_ends_well() -> None:
    taken, found = picture("a.jpg"), picture("b.jpg")
    with opened(name=ONE) as manifest:
        manifest.append(finished(taken))
    other = replace(finished(found), explanations=finished(taken).explanations)
    with opened() as manifest:
        manifest.append(other)
        assert manifest.displaced == [taken.source]
    assert [record.source for record in read_manifest(Path("out"))] == [found.source]


def test_a_new_picture_does_not_have_the_others_done_again() -> None:
    a, b, new = picture("a.jpg"), picture("b.jpg", b"other"), picture("new.jpg", b"new")
    with opened(methods=("gradcam",)) as manifest:
        manifest.append(by("gradcam", a))
        manifest.append(failure(b))
    with opened(methods=("gradcam", "layercam")) as manifest:
        assert set(manifest.missing([a, b, new])) == {"gradcam", "layercam"}
        places = [manifest.place(each) for each in (a, b, new)]
    assert [place.done_by for place in places if isinstance(place, Found)] == [
        {"gradcam"},
        set(),
        set(),
    ]


def test_a_picture_that_lost_a_file_is_done_by_all_methods() -> None:
    a, b = picture("a.jpg"), picture("b.jpg", b"other")
    with opened(methods=("gradcam",)) as manifest:
        for each in (a, b):
            manifest.append(by("gradcam", each))
    (Path("out") / f"{b.source}.top1.gradcam.jpg").unlink()
    with opened(methods=("gradcam", "layercam")) as manifest:
        assert set(manifest.missing([a])) == {"layercam"}
        assert set(manifest.missing([a, b])) == {"gradcam", "layercam"}


def test_fewer_methods_leave_the_others_in_place() -> None:
    a = picture()
    with opened(methods=("gradcam",)) as manifest:
        manifest.append(by("gradcam", a))
    with opened(methods=("layercam",)) as manifest:
        assert done(manifest, a) is None
        manifest.append(by("layercam", a))
    with opened(methods=("gradcam",)) as manifest:
        assert done(manifest, a) is not None
    assert {each.method for each in next(read_manifest(Path("out"))).explanations} == {
        "gradcam",
        "layercam",
    }


def test_maps_of_a_changed_picture_or_of_other_settings_are_not_joined() -> None:
    a = picture()
    with opened(methods=("gradcam",)) as manifest:
        manifest.append(by("gradcam", a))
    a = picture(content=b"changed")
    with opened(methods=("layercam",)) as manifest:
        assert [each.method for each in manifest.append(by("layercam", a)).explanations] == [
            "layercam"
        ]
    assert not (Path("out") / f"{a.source}.top1.gradcam.jpg").exists()
    with opened(OTHER, methods=("gradcam",)) as manifest:
        assert len(manifest.append(by("gradcam", a, OTHER)).explanations) == 1


def test_maps_whose_files_are_others_are_not_joined() -> None:
    """A run with other settings was killed behind its files, before its record."""
    a, b = picture("a.jpg"), picture("b.jpg", b"other")
    with opened(methods=("gradcam",)) as manifest:
        for each in (a, b):
            manifest.append(by("gradcam", each))
    replaced = Path("out") / f"{a.source}.top1.gradcam.jpg"
    written = time.time_ns()
    replaced.write_bytes(b"GRADCAM")  # as long as before
    os.utime(replaced, ns=(0, written))
    (Path("out") / f"{b.source}.top1.gradcam.jpg").unlink()
    with opened(methods=("layercam",)) as manifest:
        for each in (a, b):
            joined = manifest.append(by("layercam", each))
            assert [item.method for item in joined.explanations] == ["layercam"]
            assert set(joined.digests) == {f"{each.source}.top1.layercam.jpg"}
    with opened(methods=("gradcam", "layercam")) as manifest:
        assert [done(manifest, each) for each in (a, b)] == [None, None]


def test_records_of_another_version_are_not_called_damaged() -> None:
    a, b = picture("a.jpg"), picture("b.jpg")
    add(finished(a), finished(b))
    path = Path("out", MANIFEST)
    one, two = path.read_bytes().splitlines(keepends=True)
    later = one.replace(b'"schema_version": 2', b'"schema_version": 9')
    path.write_bytes(later + two)
    lines: list[Damaged] = []
    assert [each.source for each in read_folder(Path("out"), lines.append)] == [b.source]
    assert damage(lines) == f"line 1 of {path} is of another version of gradcam"
    path.write_bytes(later + b"[]\n" + two)
    lines.clear()
    assert len(list(read_folder(Path("out"), lines.append))) == 1
    first, second = damage(lines).split("; ")
    assert first == f"line 1 of {path} is of another version of gradcam"
    assert second.startswith(f"line 2 of {path} is damaged (")
    path.write_bytes(later)
    with pytest.raises(GradcamError, match="of another version of gradcam") as caught:
        list(read_folder(Path("out")))
    assert "--overwrite" in caught.value.hint
