from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcam_cli.errors import GradcamError
from gradcam_cli.models.classes import (
    ClassChoice,
    check_count,
    describe,
    parse_classes,
    resolve,
    search,
)
from gradcam_cli.models.labels import Labels, imagenet_labels, read_labels

IMAGENET = imagenet_labels()
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def inner(content: str | bytes, name: str = "labels.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return inner


def named(*names: str) -> Labels:
    return Labels(names=names, ids=())


# ImageNet


def test_imagenet_table_is_the_one_that_keras_publishes() -> None:
    rows = zip(IMAGENET.ids, IMAGENET.names, strict=True)
    index = json.dumps({str(i): [id_, name] for i, (id_, name) in enumerate(rows)})
    digest = hashlib.md5(index.encode(), usedforsecurity=False).hexdigest()
    assert digest == "c2c37ea517e94d9795004a39431a14cb"


@pytest.mark.parametrize(
    ("term", "index"),
    [
        ("281", 281),
        (" 281 ", 281),
        ("n02504458", 386),
        ("N02504458", 386),
        ("African_elephant", 386),
        ("african elephant", 386),
        ("AFRICAN-ELEPHANT", 386),
        ("africanelephant", 386),
        ("jack o lantern", 607),
        ("jack-o\u2019-lantern", 607),
        ("carpenters kit", 477),
        ("shih tzu", 155),
        ("cardigan", 474),
        ("Cardigan", 264),
        ("index:134", 134),
        ("name: tench", 0),
    ],
)
def test_one_class_is_meant(term: str, index: int) -> None:
    assert resolve(term, IMAGENET, 1000) == index


@pytest.mark.parametrize(
    ("term", "listed"),
    [
        ("crane", ["134 n02012849", "517 n03126707"]),
        ("Crane", ["134 n02012849", "517 n03126707"]),
        ("maillot", ["638 n03710637", "639 n03710721"]),
        ("CARDIGAN", ["264 n02113186", "474 n02963159"]),
    ],
)
def test_two_classes_of_one_name_are_both_listed(term: str, listed: list[str]) -> None:
    with pytest.raises(GradcamError, match="ambiguous") as caught:
        resolve(term, IMAGENET, 1000)
    assert all(entry in caught.value.message for entry in listed)
    assert "index or the WordNet id" in caught.value.hint


@pytest.mark.parametrize(
    ("term", "hint"),
    [
        ("elefant", "African_elephant"),
        ("egiptian cat", "Egyptian_cat"),
        ("golden retreiver", "golden_retriever"),
        ("n99999999", "gradcam classes"),
        ("zzzzqqqq", "gradcam classes"),
        ("", "predicted"),
        ("--", "gradcam classes"),
    ],
)
def test_an_unknown_name_gets_the_nearest(term: str, hint: str) -> None:
    with pytest.raises(GradcamError) as caught:
        resolve(term, IMAGENET, 1000)
    assert hint in caught.value.hint


@pytest.mark.parametrize("term", ["1000", "-1", "999999999", "index:1000", "index:-1"])
def test_an_index_outside_names_the_range(term: str) -> None:
    with pytest.raises(GradcamError, match="1000 classes") as caught:
        resolve(term, IMAGENET, 1000)
    assert caught.value.hint == "indices go from 0 to 999"


# Other labels


def test_digits_in_order_read_the_same_both_ways() -> None:
    digits = named(*"0123456789")
    assert [resolve(str(i), digits, 10) for i in range(10)] == list(range(10))


def test_digits_in_another_order_are_ambiguous_until_told() -> None:
    shuffled = named("1", "0", "2")
    assert resolve("2", shuffled, 3) == 2
    with pytest.raises(GradcamError, match="ambiguous") as caught:
        resolve("0", shuffled, 3)
    assert caught.value.hint == "write index:0 or name:0"
    assert resolve("index:0", shuffled, 3) == 0
    assert resolve("name:0", shuffled, 3) == 1


def test_a_number_that_can_only_be_a_name_is_a_name() -> None:
    coins = named("10", "20", "50")
    assert resolve("20", coins, 3) == 1
    with pytest.raises(GradcamError, match="no class 30"):
        resolve("30", coins, 3)


def test_labels_twice_are_told_apart_by_index() -> None:
    twice = named("cat", "dog", "cat")
    with pytest.raises(GradcamError, match="0 cat, 2 cat"):
        resolve("cat", twice, 3)
    assert resolve("2", twice, 3) == 2


def test_names_in_other_scripts_and_with_signs() -> None:
    labels = named("Кот", "Собака/пёс", 'the "old" car', "й")
    assert resolve("кот", labels, 4) == 0
    assert resolve("Собака/пёс", labels, 4) == 1
    assert resolve("the old car", labels, 4) == 2
    assert resolve("и\u0306", labels, 4) == 3


def test_without_labels_only_indices_work() -> None:
    none = named()
    assert resolve("7", none, 10) == 7
    with pytest.raises(GradcamError, match="no class names") as caught:
        resolve("cat", none, 10)
    assert "--labels" in caught.value.hint


def test_few_labels_are_all_shown() -> None:
    with pytest.raises(GradcamError) as caught:
        resolve("fish", named("cat", "dog"), 2)
    assert caught.value.hint == "the classes are cat, dog"


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8), st.text(max_size=10))
def test_resolving_anything_gives_a_class_or_a_plain_error(names: list[str], term: str) -> None:
    labels = named(*names)
    try:
        index = resolve(term, labels, len(names))
    except GradcamError:
        return
    assert 0 <= index < len(names)


# The choice of classes


def test_terms_become_a_choice() -> None:
    with pytest.raises(GradcamError, match="no class is named"):  # ``class = []`` in gradcam.toml
        parse_classes([], IMAGENET, 1000)
    assert parse_classes(["predicted"], IMAGENET, 1000) == ClassChoice(1, ())
    mixed = ["386", "Top3", "predicted", "tench", "african elephant", "top-2"]
    assert parse_classes(mixed, IMAGENET, 1000) == ClassChoice(3, (386, 0))


@pytest.mark.parametrize("term", ["top3", "top0", "top999999"])
def test_more_classes_than_there_are(term: str) -> None:
    with pytest.raises(GradcamError, match="the model's 2 classes") as caught:
        parse_classes([term], named("cat", "dog"), 2)
    assert caught.value.hint == "top1 to top2 can be had"


def test_a_class_called_top3_is_reached_by_index_or_name() -> None:
    labels = named("other", "top3", "predicted")
    assert parse_classes(["top3"], labels, 3) == ClassChoice(3, ())
    assert parse_classes(["1", "name:predicted"], labels, 3) == ClassChoice(0, (1, 2))


# Searching and showing


def test_search_takes_all_words_then_close_spellings() -> None:
    assert search("", IMAGENET) == list(range(1000))
    assert search("ELEPHANT", IMAGENET) == [385, 386]
    assert search("elephant african", IMAGENET) == [386]
    assert search("n02504458", IMAGENET) == [386]
    assert search("crane", IMAGENET) == [134, 517]
    assert search("281", IMAGENET)[0] == 281
    assert search("elefant", IMAGENET)[:2] == [385, 386]
    assert search("qqqq zzzz", IMAGENET) == []
    assert search("--", IMAGENET) == []


def test_describe_falls_back_on_the_index() -> None:
    assert describe(386, IMAGENET) == ("n02504458", "African_elephant")
    assert describe(1, named("cat", "dog")) == ("", "dog")
    assert describe(7, named()) == ("", "class 7")


def test_count_of_labels() -> None:
    check_count(IMAGENET, 1000)
    check_count(named("cat", "dog"), 1)
    check_count(named("cat", "dog"), 2)
    with pytest.raises(GradcamError, match="2 labels for a model with 3 classes"):
        check_count(named("cat", "dog"), 3)
    with pytest.raises(GradcamError, match="1 labels for a model with 1 output, which takes 2"):
        check_count(named("cat"), 1)


# Files


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("cat\r\ndog\r\n\r\n\n", ("cat", "dog")),
        ("\ufeffcat\ndog", ("cat", "dog")),
        (
            "tench, Tinca tinca\n'a' \"b\"\nw/o mask\n",
            ("tench, Tinca tinca", "'a' \"b\"", "w/o mask"),
        ),
        ("0 Cat\n1 Dog\n", ("Cat", "Dog")),
        ("0 Кошка\n2 Три слова тут\n1 Собака/пёс", ("Кошка", "Собака/пёс", "Три слова тут")),
        ("1 Cat\n2 Dog\n", ("1 Cat", "2 Dog")),
        ("0 Cat\nDog\n", ("0 Cat", "Dog")),
        ("0 Cat\n0 Dog\n", ("0 Cat", "0 Dog")),
        ("0\n1\n2\n", ("0", "1", "2")),
        ("[unclear]\ncat\n", ("[unclear]", "cat")),
        ("cat\ncat\n", ("cat", "cat")),
        ("a\u2028b\nc", ("a\u2028b", "c")),
    ],
)
def test_text_files(write: Write, content: str, names: tuple[str, ...]) -> None:
    assert read_labels(write(content)) == Labels(names=names, ids=())


def test_teachable_machine_with_more_than_ten_classes(write: Write) -> None:
    content = "".join(f"{i} Class{i}\n" for i in range(12))
    assert read_labels(write(content)).names == tuple(f"Class{i}" for i in range(12))


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "Ёж\ncafé\n"),
        ("class_indices.json", '{\n"café": 1,\n"Ёж": 0\n}\n'),
        ("labels.csv", "index,name\n1,café\n0,Ёж\n"),
    ],
)
def test_labels_of_any_editor(write: Write, name: str, content: str, codec: str, end: str) -> None:
    assert read_labels(write(content.replace("\n", end).encode(codec), name)).names == (
        "Ёж",
        "café",
    )


def test_utf16_and_ids_at_the_start(write: Write) -> None:
    assert read_labels(write("Кот\nЁж\n".encode("utf-16"))).names == ("Кот", "Ёж")
    both = read_labels(write("n01440764 tench, Tinca tinca\nn01443537 goldfish\n"))
    assert both == Labels(("tench, Tinca tinca", "goldfish"), ("n01440764", "n01443537"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('["cat", "dog"]', named("cat", "dog")),
        ('{"1": "dog", "0": "cat"}', named("cat", "dog")),
        ('{"dog": 1, "cat": 0}', named("cat", "dog")),
        ('{"0": 1, "1": 0}', named("1", "0")),
        (
            '{"1": ["n01443537", "goldfish"], "0": ["n01440764", "tench"]}',
            Labels(("tench", "goldfish"), ("n01440764", "n01443537")),
        ),
    ],
)
def test_json_files(write: Write, content: str, expected: Labels) -> None:
    assert read_labels(write(content, "labels.json")) == expected
    assert read_labels(write(content, "labels.txt")) == expected


def test_keras_class_index_is_the_imagenet_table(write: Write) -> None:
    rows = zip(IMAGENET.ids, IMAGENET.names, strict=True)
    index = {str(i): [id_, name] for i, (id_, name) in enumerate(rows)}
    assert read_labels(write(json.dumps(index), "imagenet_class_index.json")) == IMAGENET


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("cat\ndog\n", named("cat", "dog")),
        ("name\ncat\ndog\n", named("cat", "dog")),
        ("0,cat\n1,dog\n", named("cat", "dog")),
        ("1;dog\n0;cat\n", named("cat", "dog")),
        ("index\tlabel\n1\tdog\n0\tcat\n", named("cat", "dog")),
        ("nummer,klasse\n0,cat\n1,dog\n", named("cat", "dog")),
        ("class,class_id\ncat,1\ndog,0\n", named("dog", "cat")),
        ("id,name\n1,dog\n0,cat\n", named("cat", "dog")),
        ("id,name\nA1,dog\nB2,cat\n", Labels(("dog", "cat"), ("A1", "B2"))),
        (
            "n01440764,tench\nn01443537,gold\n",
            Labels(("tench", "gold"), ("n01440764", "n01443537")),
        ),
        ('0,"tench, Tinca"\n1,"a ""b"""\n', named("tench, Tinca", 'a "b"')),
        ('"cat; small"\n"dog"\n', named("cat; small", "dog")),
        ('"0";"Кот/кошка"\n"1";"Пёс"\n\n', named("Кот/кошка", "Пёс")),
        ("index,name,comment\n0,cat,nice\n1,dog,loud\n", named("cat", "dog")),
        (
            "1\tn01443537\tgoldfish\n0\tn01440764\ttench\n",
            Labels(("tench", "goldfish"), ("n01440764", "n01443537")),
        ),
        ("0,5\n1,7\n", named("5", "7")),
    ],
)
def test_csv_files(write: Write, content: str, expected: Labels) -> None:
    assert read_labels(write(content, "labels.csv")) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.txt", "", "no labels"),
        ("labels.txt", "\n \n", "no labels"),
        ("labels.txt", "cat\n\ndog\n", "line 2: blank"),
        ("labels.txt", "\ncat\n", "line 1: blank"),
        ("labels.txt", "cat\nd\0g\n", "line 2: not text"),
        ("labels.txt", b"cat\ncaf\xe9\n", "line 2: not UTF-8"),
        ("labels.txt", b"cat\rcaf\xe9\r", "line 2: not UTF-8"),
        ("labels.txt", b"\xff\xfec", "line 1: damaged UTF-16"),
        ("labels.txt", "cat\ndog\n".encode("utf-16-le"), "line 1: UTF-16 text without a byte"),
        ("labels.txt", b"\x89HDF\r\n\x1a\n\0\0", "line 1: not UTF-8"),
        ("labels.json", '["cat",\n"dog"', "line 2: Expecting"),
        ("labels.json", '"cat"', "neither a list nor an object"),
        ("labels.json", "[]", "no labels"),
        ("labels.json", "{}", "no labels"),
        ("labels.json", '["cat", 3]', "label of class 1 is not text: 3"),
        ("labels.json", '["cat", " "]', "label of class 1 is not text"),
        ("labels.json", '{"0": "cat", "2": "dog"}', "no label for class 1 of 2"),
        ("labels.json", '{"cat": 1, "dog": 2}', "no label for class 0 of 2"),
        ("labels.json", '{"cat": 0, "dog": 0}', "class 0 is there twice"),
        ("labels.json", '{"0": "cat", "0": "dog"}', "key '0' is there twice"),
        ("labels.json", '{"0": "cat", "00": "dog"}', "class 0 is there twice"),
        ("labels.json", '{"cat": true}', "key 'cat' is not a class index"),
        ("labels.json", '{"0": {"a": 1}}', "label of class 0 is not text"),
        ("labels.json", '[["n01", "cat"], "dog"]', "only 1 of 2 labels have an id"),
        ("labels.json", "[" * 100_000, "not a JSON file of labels"),
        ("labels.csv", "0,cat\n1,dog,brown\n", "line 2: 3 columns where the first line has 2"),
        ("labels.csv", "cat\ndog, brown\n", "line 2: 2 columns where the first line has 1"),
        ("labels.csv", "0,cat\n\n1,dog\n", "line 2: blank"),
        ("labels.csv", "0,cat\n1,\n", "line 2: no name"),
        ("labels.csv", "index,name\n1,cat\n2,dog\n", "line 3: '2' is not a class index"),
        ("labels.csv", "0,cat\n0,dog\n", "line 2: '0' is there twice"),
        ("labels.csv", "index,name\n0,cat\nx,dog\n", "line 3: 'x' is not a class index"),
        ("labels.csv", "index,name\n", "line 1: a header, but no labels"),
        ("labels.csv", 'cat\n"dog\n', "line 2: unexpected end of data"),
        ("labels.csv", "a,b,c\nd,e,f\n", "which of the 3 columns"),
    ],
)
def test_a_bad_file_is_one_plain_error(
    write: Write, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(GradcamError) as caught:
        read_labels(write(content, name))
    assert message in caught.value.message
    assert name in caught.value.message
    assert caught.value.hint


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(GradcamError, match=r"--labels: (there is no file|cannot read)"):
            read_labels(path)


@given(st.binary(max_size=60), st.sampled_from(["txt", "csv", "json", "tsv"]))
def test_any_bytes_give_labels_or_a_plain_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"labels.{ending}"
    path.write_bytes(content)
    try:
        labels = read_labels(path)
    except GradcamError:
        return
    assert labels.names
    assert all(name.strip() for name in labels.names)
    assert len(labels.ids) in (0, len(labels.names))


def test_classes_need_no_tensorflow() -> None:
    code = (
        "import sys, gradcam_cli.models.classes, gradcam_cli.models.torchfile as t;"
        "t.weights_file(); sys.exit('tensorflow' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
