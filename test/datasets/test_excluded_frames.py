# SPDX-License-Identifier: Apache-2.0
"""The file of frames that are not learned from: what is written is read, and what is broken is named."""

import json
from pathlib import Path

import pytest

from mono_depth_ros.datasets.excluded_frames import read_excluded_frames, write_excluded_frames
from mono_depth_ros.errors import DataError


def test_what_is_written_is_read_whatever_topics_are_chosen(tmp_path: Path) -> None:
    frames = frozenset({("/left", 5), ("/right", 2)})
    path = write_excluded_frames(tmp_path / "e.json", {"bag:/d/a?camera=/left": frames, "bag:/d/b": frozenset()}, "me")
    found = read_excluded_frames(path)
    assert found.of("bag:/d/a?points=none") == frames
    assert found.of("bag:/d/b") == frozenset()
    assert found.of("bag:/d/c") is None


def test_rendered_drives_are_told_apart_by_their_whole_url(tmp_path: Path) -> None:
    path = write_excluded_frames(tmp_path / "e.json", {"synthetic:street?seed=1": frozenset({("camera", 1)})}, "me")
    assert read_excluded_frames(path).of("synthetic:street?seed=2") is None


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "readable"),
        ("[" * 100_000, "readable"),
        ("[]", "schema_version"),
        ({"schema_version": 2}, "schema_version"),
        ({"schema_version": 1}, "data_sets"),
        ({"schema_version": 1, "data_sets": [{"url": 3, "frames": []}]}, "url"),
        ({"schema_version": 1, "data_sets": [{"url": "bag:a", "frames": {}}]}, "frames"),
        ({"schema_version": 1, "data_sets": [{"url": "bag:a", "frames": [{"camera": "c", "stamp_ns": 1.5}]}]}, "stamp"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, content: object, named: str) -> None:
    path = tmp_path / "e.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=named):
        read_excluded_frames(path)
