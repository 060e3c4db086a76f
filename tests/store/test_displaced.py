"""Another list's picture of the same name takes its files over."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gradcam_cli.sources.find import Found
from gradcam_cli.spec.run import digest
from gradcam_cli.store.atomic import write_bytes
from gradcam_cli.store.folder import open_manifest
from gradcam_cli.store.manifest import Manifest
from gradcam_cli.store.names import stems
from gradcam_cli.store.reading import read_folder
from gradcam_cli.store.records import Done, ExplanationRecord, Failure, Record

SETTINGS = {"intensity": 0.4}
OUT = Path("out")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def picture(source: str) -> Found:
    """A picture that is named by itself: its outputs lie directly in the output folder."""
    path = Path(source)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(source.encode())
    return Found(path, source, path.name)


def finished(manifest: Manifest, found: Found) -> Record:
    """Write a picture's file, as large for every picture, and return its record."""
    name = f"{manifest.stem(found.source)}.top1.npy"
    write_bytes(OUT / name, f"map of {found.source}".encode())
    content = found.path.read_bytes()
    size = (OUT / name).stat().st_size
    item = ExplanationRecord(
        0, "", "", 0.5, 1.0, False, "", (0, 0), {"array": name}, {"array": size}
    )
    return Record(
        source=found.source,
        status="ok",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        mtime_ns=found.path.stat().st_mtime_ns,
        settings=digest(SETTINGS),
        explanations=(item,),
    )


def run(*pictures: Found, failing: str = "") -> tuple[list[str], list[str]]:
    """Do a list; return which pictures were done before, and which were displaced."""
    with open_manifest(OUT, SETTINGS, stems(pictures)) as manifest:
        before = [each for each in pictures if isinstance(manifest.place(each), Done)]
        for each in pictures:
            if each.source == failing:
                error = Failure("empty", "the file is empty")
                manifest.append(Record(each.source, "failed", error, settings=digest(SETTINGS)))
            elif each not in before:
                manifest.append(finished(manifest, each))
        return [each.source for each in before], list(manifest.displaced)


def recorded() -> dict[str, str]:
    """Every recorded picture, with what its file says."""
    found = {}
    for record in read_folder(OUT):
        for item in record.explanations:
            found[record.source] = (OUT / item.files["array"]).read_text(encoding="utf-8")
    return found


def test_a_picture_of_the_same_name_takes_over_and_the_old_record_goes() -> None:
    one, two, apart = picture("x/a.jpg"), picture("y/a.jpg"), picture("x/b.jpg")
    assert run(one, apart) == ([], [])
    assert run(two) == ([], ["x/a.jpg"])
    assert recorded() == {"y/a.jpg": "map of y/a.jpg", "x/b.jpg": "map of x/b.jpg"}
    assert run(two) == (["y/a.jpg"], [])
    assert run(one, apart) == (["x/b.jpg"], ["y/a.jpg"])
    assert recorded() == {"x/a.jpg": "map of x/a.jpg", "x/b.jpg": "map of x/b.jpg"}


def test_a_reader_beside_the_run_sees_the_new_owner_alone() -> None:
    one, two = picture("x/a.jpg"), picture("y/a.jpg")
    run(one)
    with open_manifest(OUT, SETTINGS, stems([two])) as manifest:
        manifest.append(finished(manifest, two))
        assert recorded() == {"y/a.jpg": "map of y/a.jpg"}  # the old line is still there


def test_a_run_that_was_killed_has_displaced_as_well() -> None:
    one, two = picture("x/a.jpg"), picture("y/a.jpg")
    run(one)
    with open_manifest(OUT, SETTINGS, stems([two])) as manifest:
        manifest.append(finished(manifest, two))
        killed = (OUT / "manifest.jsonl").read_bytes()
    (OUT / "manifest.jsonl").write_bytes(killed)
    assert run(one) == ([], ["x/a.jpg", "y/a.jpg"])
    assert recorded() == {"x/a.jpg": "map of x/a.jpg"}


def test_a_picture_that_fails_displaces_none() -> None:
    one, two = picture("x/a.jpg"), picture("y/a.jpg")
    run(one)
    assert run(two, failing="y/a.jpg") == ([], [])
    assert recorded() == {"x/a.jpg": "map of x/a.jpg"}
    assert run(one) == (["x/a.jpg"], [])


def test_in_one_list_both_are_done_under_names_of_their_own() -> None:
    one, two = picture("x/a.jpg"), picture("y/a.jpg")
    run(one)
    assert run(one, two) == ([], [])
    both = {"x/a.jpg": "map of x/a.jpg", "y/a.jpg": "map of y/a.jpg"}
    assert recorded() == both
    assert not (OUT / "a.jpg.top1.npy").exists()  # the plain name is nobody's any more
    assert run(two, one) == (["y/a.jpg", "x/a.jpg"], [])
    assert run(one) == ([], [])  # alone it has its plain name again
    assert recorded() == both


def test_a_picture_that_went_elsewhere_keeps_its_record_when_its_old_place_is_taken() -> None:
    moved = picture("p/a.jpg")
    run(moved)
    elsewhere = Found(moved.path, moved.source, "p/a.jpg")  # as in the folder p, named as such
    pictures = elsewhere, picture("q/a.jpg")
    assert run(*pictures) == ([], [])
    assert [record.source for record in read_folder(OUT)] == ["p/a.jpg", "q/a.jpg"]
    assert run(*pictures)[0] == ["p/a.jpg", "q/a.jpg"]
