# SPDX-License-Identifier: Apache-2.0
"""A dry run of what the build farm does first: bloom makes a Debian package's description of package.xml.

Without the network: the index knows one distribution without packages, and every dependency is the Debian package that
ROS makes of its name. Whether a key exists in the real index is not asked here.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("bloom", reason="needs bloom: pip install bloom")

ROOT = Path(__file__).resolve().parent.parent
DISTRO = "jazzy"
_INDEX = f"""%YAML 1.1
---
distributions:
  {DISTRO}:
    {{distribution: [distribution.yaml], distribution_status: active, distribution_type: ros2, python_version: 3}}
type: index
version: 4
"""
_DISTRIBUTION = """%YAML 1.1
---
release_platforms: {ubuntu: [noble]}
repositories: {}
type: distribution
version: 2
"""


def dependencies() -> list[str]:
    """Every key of package.xml."""
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    return sorted({element.text or "" for element in package if element.tag.endswith("depend")})


def debian_name(key: str) -> str:
    return key if key.startswith("python3-") else f"ros-{DISTRO}-{key.replace('_', '-')}"


@pytest.fixture
def farm(tmp_path: Path) -> dict[str, str]:
    """The environment of a build farm of its own."""
    sources = tmp_path / "sources.list.d"
    sources.mkdir()
    keys = "".join(f"{key}:\n  ubuntu: [{debian_name(key)}]\n" for key in dependencies())
    for name, text in (
        ("index-v4.yaml", _INDEX),
        ("distribution.yaml", _DISTRIBUTION),
        ("rosdep.yaml", keys),
        ("sources.list.d/10-own.list", f"yaml file://{tmp_path}/rosdep.yaml\n"),
    ):
        (tmp_path / name).write_text(text)
    return {
        **os.environ,
        "ROSDISTRO_INDEX_URL": f"file://{tmp_path}/index-v4.yaml",
        "ROSDEP_SOURCE_PATH": str(sources),
        "ROS_HOME": str(tmp_path / "home"),
        "ROS_PYTHON_VERSION": "3",
    }


def test_bloom_makes_a_debian_package_of_it(farm: dict[str, str], tmp_path: Path) -> None:
    package = tmp_path / "mono_depth_ros"
    package.mkdir()
    for name in ("package.xml", "CHANGELOG.rst", "LICENSE"):
        shutil.copy(ROOT / name, package)
    tools = Path(sys.executable).parent
    for command in (
        [str(tools / "rosdep"), "update", "--rosdistro", DISTRO],
        [
            str(tools / "bloom-generate"),
            "rosdebian",
            "--os-name",
            "ubuntu",
            "--os-version",
            "noble",
            "--ros-distro",
            DISTRO,
        ],
    ):
        done = subprocess.run(command, cwd=package, env=farm, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    control = (package / "debian" / "control").read_text()
    (depends,) = (line for line in control.splitlines() if line.startswith("Depends: "))
    assert f"ros-{DISTRO}-rclpy" in depends and "python3-opencv" in depends
    assert not [name for name in ("onnxruntime", "rviz", "-pip") if name in depends]
    assert (package / "debian" / "changelog").read_text().startswith(f"ros-{DISTRO}-mono-depth-ros (")
