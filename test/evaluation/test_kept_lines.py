# SPDX-License-Identifier: Apache-2.0
"""What is kept of an interrupted measurement."""

import json
import os

from mono_depth_ros.evaluation.dropout.kept_lines import KeptLines, begins_with, fingerprint

KEY = {"data": "a", "limit": None}


def kept(path, *results, key=KEY):
    lines = KeptLines(path, key)
    for result in results:
        lines.add(result)
    lines.close()
    return lines


def test_results_are_there_for_the_same_key_only(tmp_path):
    path = tmp_path / "new" / "kept.jsonl"
    kept(path, {"a": 1}, {"a": 2})
    assert kept(path).done == ({"a": 1}, {"a": 2})
    assert begins_with(path, KEY) and not begins_with(path, {**KEY, "limit": 3})
    assert kept(path, key={**KEY, "limit": 3}).done == ()
    assert not path.exists()  # begun anew, and nothing was added


def test_further_results_are_added_behind(tmp_path):
    path = tmp_path / "kept.jsonl"
    kept(path, {"a": 1})
    kept(path, {"a": 2})
    assert kept(path).done == ({"a": 1}, {"a": 2})


def test_a_line_that_is_not_whole_and_all_behind_it_are_forgotten(tmp_path):
    path = tmp_path / "kept.jsonl"
    for tail in ('{"a": 2', '{"a": 2}', '[1]\n{"a": 3}\n', '\x00\x00\n{"a": 3}\n'):
        path.unlink(missing_ok=True)
        kept(path, {"a": 1})
        with path.open("a") as file:
            file.write(tail)
        assert kept(path, {"a": 9}).done == ({"a": 1},)
        assert [json.loads(line) for line in path.read_text().splitlines()[1:]] == [{"a": 1}, {"a": 9}]


def test_nothing_is_left_when_nothing_was_found_or_all_is_done(tmp_path):
    kept(tmp_path / "kept.jsonl")
    lines = KeptLines(tmp_path / "kept.jsonl", KEY)
    lines.add({"a": 1})
    lines.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_changes_with_the_files(tmp_path):
    assert fingerprint(tmp_path / "missing") == "none"
    file = tmp_path / "a"
    file.write_text("1")
    first = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == first
    os.utime(file, ns=(1, 1))
    assert fingerprint(tmp_path) != first
