# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several folders share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recorded drives and reference numbers that are not part of the repository.

    Skips by name where they are absent: ``MONO_DEPTH_SHARED`` names their folder, else ``../shared`` is looked at.
    """
    root = Path(os.environ.get("MONO_DEPTH_SHARED", REPOSITORY.parent / "shared"))
    if not root.is_dir():
        pytest.skip(f"recorded data: no folder {root}; set MONO_DEPTH_SHARED to run this test")
    return root
