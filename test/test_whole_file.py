# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

import pytest

from mono_depth_ros.whole_file import whole_file, write_whole


@pytest.mark.parametrize(("content", "found"), [("Höhe\n", "Höhe\n".encode()), (b"\x00\xff", b"\x00\xff")])
def test_text_and_bytes_take_the_place_of_what_was_there(tmp_path, content, found):
    path = tmp_path / "result.json"
    path.write_text("before")
    assert write_whole(path, content) == path
    assert [(each, each.read_bytes()) for each in tmp_path.iterdir()] == [(path, found)]


def test_an_error_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    path = tmp_path / "result.png"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), whole_file(path) as beside:
        assert (beside.parent, beside.suffix) == (tmp_path, ".png")
        beside.write_text("half")
        1 / 0  # noqa: B018
    assert [(each, each.read_text()) for each in tmp_path.iterdir()] == [(path, "before")]


def test_the_file_is_not_there_before_the_block_ends(tmp_path):
    with whole_file(tmp_path / "new.txt") as beside:
        beside.write_text("all")
        assert not (tmp_path / "new.txt").exists()
    assert (tmp_path / "new.txt").read_text() == "all"
