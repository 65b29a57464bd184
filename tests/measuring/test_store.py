"""What was measured, as it is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seedance_lab.measuring.store import NOTHING, Entry, Store, Taken
from tests.conftest import REPO


def taken(**values: float) -> Taken:
    """Values of the file alone, but for those whose names begin with `asked_`."""
    names = frozenset(n for n in values if n.startswith("asked_"))
    return Taken(values, {}, {}, dict.fromkeys(values, "1"), names)


def test_what_is_kept_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    Store(tmp_path).add(taken(a=0.1 + 0.2), sha256="f", key="k", asked="q")
    assert Store(tmp_path).of_key("k", "f") == {"a": Entry("1", 0.1 + 0.2)}


def test_a_missing_value_comes_back_with_its_reason(tmp_path: Path) -> None:
    store = Store(tmp_path)
    versions = {"a": "1", "b": "2"}
    store.add(
        Taken({}, {"a": "too still"}, {"b": "it died"}, versions, frozenset()), sha256="f", key="k", asked=""
    )
    assert store.of_key("k", "f") == {
        "a": Entry("1", None, "too still"),
        "b": Entry("2", None, "it died", True),
    }


def test_what_follows_from_the_file_is_known_whoever_asked(tmp_path: Path) -> None:
    """And what it was held against is not."""
    store = Store(tmp_path)
    store.add(taken(a=1, asked_b=2), sha256="f", key="k", asked="q")
    assert store.of("f", "q").keys() == {"a", "asked_b"}
    assert store.of("f", "other").keys() == {"a"}
    assert store.of("g", "q") == {}


def test_the_key_leads_to_what_it_was_last_held_against(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(taken(asked_b=2), sha256="f", key="k", asked="old")
    store.add(taken(asked_b=3), sha256="f", key="k", asked="new")
    assert store.of_key("k", "f")["asked_b"].value == 3
    assert store.of_key("k", "another file") == {}


def test_a_file_that_is_no_longer_what_was_saved_is_found_by_what_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(taken(a=1, asked_b=1), sha256="now", key="k", asked="q", saved="then")
    assert store.last("k", "then") == ("now", "q")
    assert store.of_key("k", "then").keys() == {"a", "asked_b"}
    store.add(NOTHING, sha256="then", key="k", asked="q", saved="then")
    assert store.of_key("k", "then") == {}


def test_a_later_line_has_the_last_word_on_its_measures_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(Taken({}, {}, {"a": "it died", "b": "it died"}, {"a": "1", "b": "1"}, frozenset()),
              sha256="f", key=None, asked="")  # fmt: skip
    store.add(taken(a=5), sha256="f", key=None, asked="")
    assert store.of("f", "") == {"a": Entry("1", 5.0), "b": Entry("1", None, "it died", True)}


def test_one_store_sees_what_another_adds(tmp_path: Path) -> None:
    one, other = Store(tmp_path), Store(tmp_path)
    assert one.of("f", "") == {}
    other.add(taken(a=1), sha256="f", key=None, asked="")
    assert one.of("f", "")["a"].value == 1
    other.add(taken(b=2), sha256="f", key=None, asked="")
    assert one.of("f", "").keys() == {"a", "b"}


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_torn_last_line_costs_that_line_only(tmp_path: Path, cut: int) -> None:
    """And not the one that is written after it."""
    store = Store(tmp_path)
    store.add(taken(a=1), sha256="f", key=None, asked="")
    store.add(taken(a=1), sha256="torn", key=None, asked="")
    content = store.path.read_bytes()
    store.path.write_bytes(content[:-cut])
    assert Store(tmp_path).of("f", "").keys() == {"a"}
    Store(tmp_path).add(taken(a=1), sha256="g", key=None, asked="")
    again = Store(tmp_path)
    assert again.of("f", "").keys() == again.of("g", "").keys() == {"a"}


def test_a_store_that_has_read_a_torn_line_sees_the_next_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(taken(a=1), sha256="f", key=None, asked="")
    with store.path.open("ab") as file:
        file.write(b'{"sha256": "x", "val')
    assert store.of("f", "").keys() == {"a"}
    Store(tmp_path).add(taken(b=1), sha256="f", key=None, asked="")
    assert store.of("f", "").keys() == {"a", "b"}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "7",
        '{"values": {"a": 9}}',
        '{"sha256": "f", "values": {"a": "x"}}',
        '{"sha256": "f", "values": [9]}',
        '{"sha256": "f", "values": null}',
        '{"sha256": ["f"], "values": {"a": 9}}',
        "\x00",
    ],
)
def test_a_line_that_cannot_be_read_is_passed_over(tmp_path: Path, line: str) -> None:
    """It can be measured again; it must not keep anybody from the rest."""
    store = Store(tmp_path)
    store.add(taken(a=1), sha256="f", key=None, asked="")
    with store.path.open("a") as file:
        file.write(line + "\n")
    store.add(taken(b=2), sha256="f", key=None, asked="")
    assert {n: e.value for n, e in Store(tmp_path).of("f", "").items()} == {"a": 1, "b": 2}


def test_a_deleted_file_is_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(taken(a=1), sha256="f", key=None, asked="")
    assert store.of("f", "")
    store.path.unlink()
    assert store.of("f", "") == {}
    store.add(taken(b=1), sha256="f", key=None, asked="")
    assert store.of("f", "").keys() == {"b"}


def test_two_processes_may_add_at_a_time(tmp_path: Path) -> None:
    """Each line is written whole. An empty one may come between: a line half written looks torn to the other one."""
    script = """
import sys
from pathlib import Path
from seedance_lab.measuring.store import Store, Taken
store, who = Store(Path(sys.argv[1])), sys.argv[2]
for i in range(200):
    values = {f"m{n}": i + n / 7 for n in range(60)}
    store.add(Taken(values, {}, {}, dict.fromkeys(values, "1"), frozenset()), sha256=f"{who}{i}", key=None, asked="")
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen([*command, who], cwd=REPO) for who in ("a", "b")]
    assert [process.wait(60) for process in both] == [0, 0]
    lines = (tmp_path / "measures.jsonl").read_bytes().splitlines()
    assert len([json.loads(line) for line in lines if line]) == 400
    store = Store(tmp_path)
    assert all(len(store.of(f"{who}{i}", "")) == 60 for who in "ab" for i in range(200))
