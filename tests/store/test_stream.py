from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gradcam_cli.store.records import Record
from gradcam_cli.store.stream import ahead, count_lines


def test_records_come_back_in_order_and_are_taken_as_they_are_needed() -> None:
    taken: list[str] = []

    def records() -> Iterator[Record]:
        for number in range(1000):
            taken.append(str(number))
            yield Record(str(number), "ok")

    results = ahead(records(), lambda record: record.source + "!")
    first = [next(results) for _ in range(10)]
    assert [(record.source, made) for record, made in first] == [
        (str(number), f"{number}!") for number in range(10)
    ]
    assert len(taken) < 100
    assert len(list(results)) == 990


def test_lines_of_all_shards_are_counted(tmp_path: Path) -> None:
    assert count_lines(tmp_path / "nowhere") == 0
    assert count_lines(tmp_path) == 0
    for shard, lines in ((1, 3), (2, 40_000)):
        (tmp_path / f"manifest-{shard}-of-2.jsonl").write_text("a line of a manifest\n" * lines)
    (tmp_path / "other.jsonl").write_text("\n")
    assert count_lines(tmp_path) == 40_003
