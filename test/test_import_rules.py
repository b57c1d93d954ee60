# SPDX-License-Identifier: Apache-2.0
"""Folders are layers and imports go one way: this walks every import of the package and fails on any other edge.

The core has no ROS and no torch: the robot runs without torch, the training machine without ROS.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "mono_depth_ros"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

# What everybody may import beside itself; these import nothing of ours but each other's errors.
FOR_ALL = {"errors", "placeholder", "whole_file"}
# Layer -> layers of ours that it may import.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "whole_file": set(),
    "share": set(),
    "placeholder": set(),
    "geometry": set(),
    "perception": {"geometry"},
    "messages": {"geometry", "perception"},
    "intake": {"geometry", "perception", "messages"},
    "synthetic": {"geometry", "perception"},
    "inference": {"perception", "geometry"},
    "stream": {"geometry", "perception", "inference", "messages", "intake"},
    "datasets": {"geometry", "perception", "synthetic", "messages", "intake", "share"},
    "replay": {"perception", "inference", "messages", "intake", "stream", "datasets", "geometry", "share"},
    "networks": set(),
    "objectives": set(),
    "evaluation": {
        "inference", "datasets", "replay", "stream", "geometry", "perception", "messages", "intake", "share",
    },
    "training": {"datasets", "networks", "objectives", "evaluation", "geometry", "share"},
    "ros": {"perception", "geometry", "inference", "synthetic", "messages", "intake", "stream", "msg", "share"},
    "launching": set(),
    "estimator": {"perception", "geometry", "inference", "share"},
    # What it offers, imported when it is asked for.
    "__init__": {"estimator", "perception", "geometry", "inference", "datasets"},
    "cli": {
        "share", "geometry", "perception", "messages", "synthetic", "inference", "datasets", "networks", "objectives",
        "evaluation", "training", "ros", "msg", "intake", "stream", "replay",
    },
}  # fmt: skip
# Single files that may do more than their layer.
FILES: dict[str, set[str]] = {
    "training/export.py": {"inference"},
    "training/parity.py": {"inference"},
    "training/pose_export.py": {"inference"},
}

ROS = {
    "rclpy", "rcl_interfaces", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "lifecycle_msgs", "nav_msgs",
    "rosgraph_msgs", "sensor_msgs", "std_msgs", "tf2_msgs", "cv_bridge",
}  # fmt: skip
# Layer -> third-party packages that it may import at the head of a file.
THIRD_PARTY: dict[str, set[str]] = {
    "errors": set(),
    "whole_file": set(),
    "share": set(),
    "placeholder": set(),
    "geometry": {"numpy"},
    "perception": {"numpy"},
    "messages": {"numpy", "cv2"},
    "intake": {"numpy"},
    "stream": {"numpy", "cv2"},
    "replay": {"numpy"},
    "synthetic": {"numpy", "cv2"},
    "inference": {"numpy", "cv2", "scipy"},
    "datasets": {"numpy", "cv2"},
    "networks": {"torch"},
    "objectives": {"torch"},
    "evaluation": {"numpy", "cv2"},
    "training": {"numpy", "cv2", "torch", "lightning", "yaml"},
    "ros": {"numpy", "cv2"} | (ROS - {"tf2_msgs", "cv_bridge"}),
    "cli": {"numpy", "rich"},
    "launching": {"launch", "launch_ros", "ament_index_python", "lifecycle_msgs"},
    "estimator": {"numpy"},
    "__init__": set(),
}
# Layer or file -> third-party packages that it may import only where they are used, since they may be absent.
AT_POINT_OF_USE: dict[str, set[str]] = {
    "inference/engine.py": {"onnxruntime"},
    "stream": {"yaml"},
    "replay": {"rosbags"},
    "datasets": {"rosbags", "mcap", "yaml", "PIL", "h5py"},
    "evaluation": {"matplotlib", "scipy", "rich"},
    "training": {"onnx", "onnxruntime", "rich"},
    "ros": {"tf2_msgs", "cv_bridge"},
    "cli": {"numpy", "cv2", "rich", "rosbags", "rclpy", "torch", "yaml", "matplotlib"},
}


@dataclass(frozen=True)
class Import:
    """One import statement: the file, the imported module, and whether it runs when the file is imported."""

    file: str
    line: int
    module: str
    at_head: bool

    @property
    def layer(self) -> str:
        return self.file.split("/")[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{PACKAGE}/{self.file}:{self.line} imports {self.module}"


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a file, also those inside functions; relative ones are none of ours and fail."""
    file = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        at_head = id(node) not in inside | typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, at_head)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module == PACKAGE:
                names = ", ".join(alias.name for alias in node.names)
                yield Import(file, node.lineno, f"{PACKAGE}.{names}" if not node.level else f".{names}", at_head)
            else:
                yield Import(file, node.lineno, node.module or "", at_head)


ALL = [found for path in sorted(ROOT.rglob("*.py")) for found in imports_of(path)]


def forbidden(found: Import) -> bool:
    """Whether an import breaks the rules."""
    parts = found.module.split(".")
    if found.layer == "__init__" and found.at_head:
        return True
    if parts[0] == "":
        return True
    if parts[0] == PACKAGE:
        if len(parts) == 1:
            return True
        allowed = (
            LAYERS[found.layer] | FILES.get(found.file, set()) | {"errors", "placeholder", "whole_file", found.layer}
        )
        return parts[1] not in allowed or found.layer in ("errors", "placeholder", "whole_file")
    if parts[0] in sys.stdlib_module_names:
        return False
    if parts[0] in THIRD_PARTY[found.layer]:
        return False
    late = AT_POINT_OF_USE.get(found.layer, set()) | AT_POINT_OF_USE.get(found.file, set())
    return found.at_head or parts[0] not in late


def test_every_folder_is_a_known_layer():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    files = {path.stem for path in ROOT.glob("*.py")}
    assert folders | files <= set(LAYERS)


def test_the_walk_sees_the_package():
    seen = {found.layer for found in ALL}
    assert {"geometry", "perception", "inference", "ros"} <= seen
    assert any(found.file == "inference/engine.py" and found.module == "onnxruntime" for found in ALL)


def test_imports_go_one_way():
    wrong = [str(found) for found in ALL if forbidden(found)]
    assert not wrong, "\n".join(["expected only the edges of LAYERS, THIRD_PARTY and AT_POINT_OF_USE, got:", *wrong])


@pytest.mark.parametrize(
    "wrong",
    [
        Import("geometry/camera.py", 1, "mono_depth_ros.perception.dial", True),
        Import("geometry/camera.py", 1, "cv2", True),
        Import("perception/dial.py", 1, "rclpy", False),
        Import("inference/pipeline.py", 1, "onnxruntime", False),
        Import("inference/engine.py", 1, "onnxruntime", True),
        Import("inference/engine.py", 1, "torch", False),
        Import("datasets/sample.py", 1, "mono_depth_ros.training.trainer", False),
        Import("networks/pose_net.py", 1, "mono_depth_ros.geometry.camera", True),
        Import("training/trainer.py", 1, "mono_depth_ros.inference.engine", True),
        Import("ros/depth_node.py", 1, "tf2_msgs", True),
        Import("ros/depth_node.py", 1, "mono_depth_ros.cli.main", False),
        Import("errors.py", 1, "mono_depth_ros.share", True),
        Import("perception/dial.py", 1, ".snapshot", True),
        Import("__init__.py", 1, "mono_depth_ros.errors", True),
        Import("__init__.py", 1, "typing", True),
        Import("__init__.py", 1, "numpy", False),
        Import("__init__.py", 1, "mono_depth_ros.ros.depth_node", False),
        Import("estimator.py", 1, "mono_depth_ros.ros.depth_node", False),
        Import("geometry/camera.py", 1, "mono_depth_ros.estimator", True),
    ],
    ids=str,
)
def test_a_wrong_edge_is_seen(wrong):
    assert forbidden(wrong)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        # ROS tools import the package with its messages; the command line must answer --help at once.
        ("mono_depth_ros", {"numpy", "cv2", "torch", "rclpy"}),
        ("mono_depth_ros.cli.main", {"numpy", "cv2", "torch", "rclpy", "onnxruntime", "rosbags", "matplotlib"}),
        ("mono_depth_ros.estimator", {"torch", "rclpy", "onnxruntime", "rosbags", "matplotlib"}),
        ("mono_depth_ros.inference.pipeline", {"torch", "rclpy", "rosbags", "matplotlib"}),
        ("mono_depth_ros.inference.engine", {"torch", "rclpy", "onnxruntime", "cv2"}),
    ],
)
def test_importing_a_module_does_not_load_what_it_does_not_need(module, absent):
    code = f"import sys, {module}; print(*sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
