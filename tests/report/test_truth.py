from __future__ import annotations

from pathlib import Path

import pytest

from gradcam_cli.errors import GradcamError
from gradcam_cli.report.truth import Truth, Verdicts, read_truth
from gradcam_cli.store.records import Prediction, Record
from tests.report.made import done, failed


def predicted(source: str, *classes: tuple[int, str, str]) -> Record:
    rows = (Prediction(rank, *each, 0.5 / rank, 1.0) for rank, each in enumerate(classes, 1))
    return done(source, *rows)


CAT, DOG, PUG = (281, "n02123045", "tabby_cat"), (2, "n2", "dog"), (3, "n3", "Pug-dog")
RECORDS = [
    ("tabby_cat", predicted("1", CAT, DOG), True),
    ("Tabby Cat", predicted("2", DOG, CAT), False),
    ("n02123045", predicted("3", CAT), True),
    ("281", predicted("4", PUG), False),
    ("pug dog", predicted("5", PUG, CAT), True),
    ("dog", predicted("6", CAT), False),
    ("dog", predicted("7", CAT), False),
    ("never seen", predicted("8", DOG), False),
]


def test_every_number_counted_again() -> None:
    verdicts = Verdicts()
    judged = [verdicts.add(record, label) for label, record, _ in RECORDS]
    assert [each.right for each in judged if each] == [right for _, _, right in RECORDS]
    assert (verdicts.known, verdicts.right) == (8, 3)
    assert verdicts.accuracy == 3 / 8
    assert verdicts.among == 4, "the second picture has its class in second place"
    assert verdicts.labels == ["tabby_cat", "n02123045", "281", "pug dog", "dog", "never seen"]
    assert verdicts.confused() == [
        ("dog", "tabby_cat", 2),
        ("281", "Pug-dog", 1),
        ("never seen", "dog", 1),
        ("tabby_cat", "dog", 1),
    ]
    cells: dict[tuple[str, str], int] = {}
    for label, record, _ in RECORDS:
        key = ("tabby_cat" if label == "Tabby Cat" else label), record.predictions[0].name
        cells[key] = cells.get(key, 0) + 1
    named = {(verdicts.labels[one], key[2]): count for (one, key), count in verdicts.pairs.items()}
    assert named == cells
    assert verdicts.classes_of([CAT, DOG, PUG]) == [[0], [0], [0], [2], [1], []]


def test_a_name_that_two_classes_have_is_right_for_either() -> None:
    verdicts, bird, machine = Verdicts(), (134, "n02012849", "crane"), (517, "n03126707", "crane")
    for each in (bird, machine):
        judged = verdicts.add(predicted("a", each), "crane")
        assert judged is not None
        assert judged.right
    assert verdicts.classes_of([bird, machine]) == [[0, 1]]


def test_classes_named_by_numbers_are_meant_by_their_names() -> None:
    verdicts, one, ten, two = Verdicts(), (0, "", "1"), (1, "", "10"), (2, "", "2")
    for label, shown, right in (("1", one, True), ("1", ten, False), ("2", two, True)):
        judged = verdicts.add(predicted("a", shown), label)
        assert judged is not None
        assert judged.right is right
    assert verdicts.classes_of([one, ten, two]) == [[0], [2]]


def test_pictures_without_a_truth_or_a_prediction_do_not_count() -> None:
    verdicts = Verdicts()
    assert verdicts.add(predicted("a", CAT), "") is None
    assert verdicts.add(failed("b"), "dog") is not None
    assert (verdicts.known, verdicts.without, verdicts.accuracy) == (0, 1, None)
    assert verdicts.numbers()["confused"] == []


@pytest.mark.parametrize(
    ("source", "label"),
    [
        ("photos/cat/a.jpg", "cat"),
        ("/abs/my dog/x/../b.jpg", ""),
        ("a.jpg", ""),
        ("../a.jpg", ""),
        ("/a.jpg", ""),
        ("C:\\photos\\cat\\a.jpg", "cat"),
    ],
)
def test_a_folder_s_name_is_the_class(source: str, label: str) -> None:
    assert read_truth("folder").label(source) == label


def test_labels_that_are_no_class_of_the_model_are_not_known() -> None:
    truth = Truth(
        [("a", "Tabby Cat"), ("b", "nonsense"), ("c", "nonsense"), ("d", "7"), ("e", "2")]
    )
    truth.among([CAT, DOG, PUG])
    assert [truth.label(each) for each in "abcde"] == ["Tabby Cat", "", "", "", "2"]
    assert truth.foreign == {"nonsense": 2, "7": 1}
    folders = Truth()
    folders.among([CAT])
    assert [folders.label(f"{each}/1.jpg") for each in ("tabby-cat", "labelled")] == [
        "tabby-cat",
        "",
    ]


def table(tmp_path: Path, text: str, *sources: str) -> Truth:
    path = tmp_path / "truth.csv"
    path.write_text(text, encoding="utf-8")
    truth = read_truth(str(path))
    truth.meet(sources)
    return truth


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg,cat\nsub/b.jpg,dog\n",
        "file,class\na.jpg,cat\nsub/b.jpg,dog\n",
        "label;x;filename\ncat;1;a.jpg\ndog;2;sub/b.jpg\n",
        "path\ttarget\na.jpg\tcat\n\nsub\\b.jpg\tdog\n",
        '\ufefffile,class\r\n"a.jpg","cat"\r\nsub/b.jpg, dog\r\n',
    ],
)
def test_files_of_many_kinds(text: str, tmp_path: Path) -> None:
    sources = ("/x/a.jpg", "photos/sub/b.jpg", "other/b.jpg", "c.jpg")
    truth = table(tmp_path, text, *sources)
    assert [truth.label(each) for each in sources] == ["cat", "dog", "", ""]
    assert truth.unused() == []
    assert table(tmp_path, text, "b.jpg").label("b.jpg") == "dog"


def test_the_longest_path_wins_and_a_tie_is_not_decided(tmp_path: Path) -> None:
    text = "x/a.jpg,cat\ny/a.jpg,dog\nb.jpg,cat\nz/b.jpg,dog\n"
    sources = ("photos/x/a.jpg", "photos/y/a.jpg", "q/z/b.jpg")
    truth = table(tmp_path, text, *sources)
    assert [truth.label(each) for each in sources] == ["cat", "dog", "dog"]
    assert truth.unused() == ["b.jpg"]
    truth = table(tmp_path, text, "a.jpg")
    assert truth.label("a.jpg") == ""
    assert truth.disputed() == ["x/a.jpg", "y/a.jpg"]


def test_a_row_counts_for_one_picture_and_for_none_where_it_fits_several(tmp_path: Path) -> None:
    sources = ("dup/a/1.jpg", "dup/b/1.jpg", "2.jpg", "dup/2.jpg", "c/3.jpg", "dup/c/3.jpg")
    truth = table(tmp_path, "1.jpg,cat\n2.jpg,cat\n/all/dup/c/3.jpg,dog\n", *sources)
    assert [truth.label(each) for each in sources] == ["", "", "cat", "", "", "dog"]
    assert (truth.shared(), truth.unused(), truth.disputed()) == (["1.jpg"], [], [])
    truth = table(tmp_path, "1.jpg,cat\nb/1.jpg,dog\n", *sources)
    assert [truth.label(each) for each in sources[:2]] == ["cat", "dog"], "each fits one best"
    assert truth.shared() == []


def test_rows_that_contradict_each_other_are_not_taken_for_missing(tmp_path: Path) -> None:
    rows = "a/1.jpg,cat\na/1.jpg,dog\na/1.jpg,dog\n/x/none.jpg,cat\nb.jpg,cat\nb.jpg,cat\n"
    truth = table(tmp_path, rows, "a/1.jpg", "b.jpg")
    assert [truth.label(each) for each in ("a/1.jpg", "b.jpg")] == ["", "cat"]
    assert truth.disputed() == ["a/1.jpg"]
    assert truth.unused() == ["/x/none.jpg"], "as it was written"


@pytest.mark.parametrize("text", ["", "file,class\n", "a.jpg\n", "a.jpg,cat\n,dog\n", "\n\n"])
def test_a_file_without_a_truth_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(GradcamError) as caught:
        table(tmp_path, text)
    assert "a comma" in caught.value.hint


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GradcamError, match="cannot read") as caught:
        read_truth(str(tmp_path / "nowhere.csv"))
    assert "--truth folder" in caught.value.hint
    (tmp_path / "t.csv").write_bytes(b"a.jpg,caf\xe9\n")
    with pytest.raises(GradcamError, match="not UTF-8"):
        read_truth(str(tmp_path / "t.csv"))
