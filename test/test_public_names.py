# SPDX-License-Identifier: Apache-2.0
"""What `mono_depth_ros` offers: names for users, imported when they are asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mono_depth_ros

OFFERED = sorted(set(mono_depth_ros.__all__) - {"__version__"})


@pytest.mark.parametrize("name", OFFERED)
def test_every_public_name_is_there(name):
    assert getattr(mono_depth_ros, name).__name__ == name
    assert name in dir(mono_depth_ros)


def test_type_checkers_see_every_public_name_where_it_is_imported_from():
    tree = ast.parse(Path(mono_depth_ros.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"mono_depth_ros.{module}" for name, module in mono_depth_ros._MODULE_OF.items()}
    assert sorted(seen) == OFFERED
    assert Path(mono_depth_ros.__file__).with_name("py.typed").is_file()


def test_a_name_that_is_not_offered_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Estimator"):
        mono_depth_ros.Estimator  # noqa: B018
    # As for the messages that are built into the package: a folder is found although __getattr__ does not know it.
    from mono_depth_ros import geometry

    assert geometry.__name__ == "mono_depth_ros.geometry"


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("import mono_depth_ros", "new - {'mono_depth_ros'}"),
        (f"from mono_depth_ros import {', '.join(OFFERED)}", "new & {'torch', 'rclpy', 'onnxruntime', 'matplotlib'}"),
    ],
)
def test_importing_the_package_imports_nothing_and_its_names_neither_ros_nor_torch(code, printed):
    code = f"import sys; before = set(sys.modules); {code}; new = set(sys.modules) - before; print(*{printed})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
