# SPDX-License-Identifier: Apache-2.0
"""One version and one set of files, whichever way the package is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def package_xml() -> ElementTree.Element:
    """The parsed package.xml."""
    return ElementTree.parse(ROOT / "package.xml").getroot()


def setup_answer(question: str) -> str:
    """What setup.py says of itself."""
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", question],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.strip().splitlines()[-1]


def test_every_file_tells_the_same_version():
    version = package_xml().findtext("version")
    assert version is not None
    assert setup_answer("--version") == version
    init = (ROOT / "mono_depth_ros" / "__init__.py").read_text()
    assert re.search(r'^__version__ = "(.+)"$', init, re.MULTILINE).group(1) == version
    # The newest stands first: what is not released yet (bloom looks for this word), or the version with its date.
    headings = re.findall(r"^(.+)\n-+$", (ROOT / "CHANGELOG.rst").read_text(), re.MULTILINE)
    assert headings[0] == "Forthcoming" or re.match(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", headings[0])


def test_rosdep_is_asked_for_nothing_that_pip_would_install():
    keys = {element.text or "" for element in package_xml() if element.tag.endswith("depend")}
    assert "rclpy" in keys and not [key for key in keys if key.endswith("-pip")]


def test_name_and_licence_agree():
    assert setup_answer("--name").replace("-", "_") == package_xml().findtext("name") == "mono_depth_ros"
    assert setup_answer("--license") == package_xml().findtext("license") == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_colcon_takes_the_package_for_cmake_although_setup_py_lies_beside():
    assert package_xml().findtext("export/build_type") == "ament_cmake"
    assert package_xml().findtext("member_of_group") == "rosidl_interface_packages"


def test_every_message_is_built():
    cmake = (ROOT / "CMakeLists.txt").read_text()
    messages = sorted(path.name for path in (ROOT / "msg").glob("*.msg"))
    assert messages
    assert [name for name in messages if f'"msg/{name}"' not in cmake] == []


def test_every_message_field_says_its_meaning():
    for path in (ROOT / "msg").glob("*.msg"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                assert "#" in line, f"{path.name}:{number}: expected a comment with meaning and unit, got {line!r}"


def test_python_files_name_their_licence_first():
    folders = ("mono_depth_ros", "launch", "test", "bench", "scripts")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    files += [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    missing = []
    for path in files:
        head = path.read_text(encoding="utf-8").split("\n", 2)[:2]
        if "# SPDX-License-Identifier: Apache-2.0" not in (head[:1] if not head[0].startswith("#!") else head):
            missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def test_the_shipped_graph_of_the_tests_is_the_one_that_its_command_makes():
    pytest.importorskip("onnx", reason="builds the graph")
    from dial_model import SHIPPED, build_graph

    assert SHIPPED.read_bytes() == build_graph().SerializeToString()
