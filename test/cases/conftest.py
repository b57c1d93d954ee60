# SPDX-License-Identifier: Apache-2.0
"""The drive that these tests change."""

import pytest
from street_recording import Recording, record


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A street, recorded without a fault."""
    return record(tmp_path_factory.mktemp("recording"))


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is not broken into short lines, so that words can be looked for."""
    monkeypatch.setenv("COLUMNS", "1000")
