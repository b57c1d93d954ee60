# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings run: one test per module, and no example is passed over.

pytest's own ``--doctest-modules`` would import the files of the source tree, and hide an installed package with its
messages; here each module is imported by its name, as users do.
"""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = re.compile(r"^\s*>>> ", re.MULTILINE)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): examples
    for path in sorted((ROOT / "mono_depth_ros").rglob("*.py"))
    if (examples := len(EXAMPLE.findall(path.read_text(encoding="utf-8"))))
}
# Absent on a robot or on a training machine.
MAY_BE_ABSENT = {"torch", "lightning", "rclpy", "rosbags", "mono_depth_ros.msg"}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_promise(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in MAY_BE_ABSENT:
            raise
        pytest.skip(f"{name} needs {error.name}")
    result = doctest.testmod(module)
    assert (result.failed, result.attempted) == (0, MODULES[name])
