# SPDX-License-Identifier: Apache-2.0
"""The Python of README.md and docs/api.md runs as it stands."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from bag_maker import POINTS_TOPIC, TRUTH_TOPIC, drive_messages, write_bag

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def printed_by(tmp_path, monkeypatch):
    """Runs the python blocks of a document in order, in an empty folder with a drive; returns what they print."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drive = [message for message in drive_messages(images=3, speed_mps=5.0) if message[0] != TRUTH_TOPIC]
    renamed = {POINTS_TOPIC: "/lidar/points"}
    write_bag(tmp_path / "my_drive", [(renamed.get(topic, topic), *rest) for topic, *rest in drive])

    def run(document: str) -> str:
        blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
        assert blocks, document
        names: dict[str, object] = {}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            for block in blocks:
                exec(compile(block, document, "exec"), names)
        return printed.getvalue()

    return run


def test_the_python_of_the_readme_prints_what_it_says(printed_by):
    assert printed_by("README.md") == "COMPLETION points (192, 640)\n"


def test_the_python_of_the_api_document_runs(printed_by):
    first, *drive = printed_by("docs/api.md").splitlines()
    assert re.fullmatch(r"COMPLETION points_used \d+ points", first)
    assert [line.split()[1] for line in drive] == ["COMPLETION"] * 3
