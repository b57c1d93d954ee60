# SPDX-License-Identifier: Apache-2.0
"""Frames on disk come back as they were; broken files and other drives do not count."""

import dataclasses

import numpy as np
import pytest

from mono_depth_ros.datasets.rendered.frame_store import FrameStore
from mono_depth_ros.datasets.rendered.simulation import SENSORS, SimulationPlan, rendered_frames
from mono_depth_ros.errors import ConfigError

PLAN = SimulationPlan(1, seconds=0.2, width_px=64, height_px=48, samples=1, world="chaos", sensors=SENSORS)


def same(one, other) -> bool:
    """Whether two values are equal, arrays and nested frames included."""
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
        )
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


@pytest.fixture(scope="module")
def frames():
    return list(rendered_frames(PLAN, 1))


@pytest.fixture
def store(tmp_path):
    return FrameStore(tmp_path / "frames", PLAN.robot())


def test_a_frame_comes_back_as_it_was(store, frames):
    store.claim("a drive")
    store.write(1, frames[1])
    assert same(store.read(1), frames[1]) and not same(store.read(1), frames[0])
    assert store.read(0) is None and len(store) == 1


def test_a_broken_file_counts_as_absent_and_is_made_again(tmp_path, frames):
    folder = tmp_path / "frames"
    assert all(map(same, rendered_frames(PLAN, 1, folder), frames))
    whole = (folder / "000001.npz").read_bytes()
    (folder / "000001.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "000000.npz").write_bytes(b"")
    assert all(map(same, rendered_frames(PLAN, 1, folder), frames))
    assert (folder / "000001.npz").read_bytes() == whole


def test_claiming_for_another_drive_removes_the_frames_of_the_first(store, frames):
    assert store.claim("a drive") == 0
    store.write(0, frames[0])
    assert store.claim("a drive") == 1
    assert store.claim("another drive") == 0 and store.read(0) is None


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "000000.npz").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"expected a folder with plan\.txt"):
        FrameStore(tmp_path / "frames", PLAN.robot()).claim("a drive")
    assert (tmp_path / "frames" / "000000.npz").read_bytes() == b"mine"


def test_the_description_of_a_plan_tells_all_of_it():
    assert PLAN.description() == dataclasses.replace(PLAN).description()
    for change in ({"seed": 2}, {"rolling": False}, {"elevations_deg": (1.0,)}, {"rig": "stereo"}):
        assert dataclasses.replace(PLAN, **change).description() != PLAN.description()
