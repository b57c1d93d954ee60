# SPDX-License-Identifier: Apache-2.0
"""The cameras of a rig share a scale; a clock that jumps takes it away with everything else."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import plain_messages as make
import pytest
from analytic_street import CAMERA
from scenario_drive import StreetEngine, contract, picture

from mono_depth_ros.intake.extrinsics import CameraExtrinsics
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.rig_scale import SharedScale
from mono_depth_ros.stream.cloud import Cloud
from mono_depth_ros.stream.depth_stream import DepthStream
from mono_depth_ros.stream.image_worker import ReceivedImage
from mono_depth_ros.stream.parameter_file import config_from
from mono_depth_ros.stream.rig_config import RigConfig
from mono_depth_ros.stream.rig_stream import RigStream

S = 1_000_000_000
NAMES = ("left", "right")


@pytest.fixture
def rig():
    """Two cameras of a network without metres; the right one follows the left one's points."""
    engine = StreetEngine(contract(metric=False))
    config = config_from({"completion.fill": False, "scale.order": ["points"], "cloud.max_height_m": 100.0})
    tree = TransformTree()
    tree.add("base_link", "camera", np.eye(4))
    tree.add("base_link", "lidar", np.eye(4))
    streams = {}
    for name in reversed(NAMES):
        followers = tuple(streams.values()) if name == NAMES[0] else ()
        streams[name] = DepthStream(engine, config, CameraExtrinsics({"points": tree}, tree), followers=followers)
    streams = {name: streams[name] for name in NAMES}
    published: list[tuple[str, object]] = []
    clouds: list[Cloud] = []
    made = RigStream(
        engine,
        RigConfig(NAMES),
        streams,
        dict.fromkeys(NAMES, tree),
        lambda camera, output: published.append((camera, output.outcome)),
        lambda cloud, _: clouds.append(cloud),
        lambda: True,
        lambda camera: [],
        lambda error: pytest.fail(f"crashed: {error}"),
        lambda *_: None,
    )
    return SimpleNamespace(stream=made, published=published, clouds=clouds)


def moment(rig, stamp_ns: int) -> None:
    """Both cameras' images of one moment, processed in this thread."""
    for name in NAMES:
        rig.stream.streams[name].receive("camera_info", make.camera_info(stamp_ns, CAMERA))
        rig.stream.doors[name].offer(ReceivedImage(make.image(stamp_ns, picture(0)), stamp_ns, 0.0))
    rig.stream.process(ReceivedImage(None, stamp_ns, 0.0))


def test_every_camera_is_told_what_became_of_its_image(rig):
    moment(rig, 100 * S)
    assert [camera for camera, _ in rig.published] == list(NAMES)
    assert [rig.stream.doors[name].counts().processed for name in NAMES] == [1, 1]


def set_in_prediction(rig, value: str) -> None:
    """Of both cameras, from the next moment on."""
    for stream in rig.stream.streams.values():
        stream.config = dataclasses.replace(stream.config, in_prediction=value)


def test_points_of_the_merged_cloud_are_marked_where_that_is_asked_for(rig):
    moment(rig, 100 * S)
    set_in_prediction(rig, "mark")
    moment(rig, 101 * S)
    plain, marked = rig.clouds
    assert plain.sigma_m is None and plain.mode is None
    assert marked.mode.shape == marked.sigma_m.shape == marked.points_m.shape[:2]
    assert set(marked.mode.ravel()) == {int(Mode.PREDICTION)} and np.isnan(marked.sigma_m).all()


def test_withheld_predictions_are_in_no_merged_cloud(rig):
    set_in_prediction(rig, "withhold")
    moment(rig, 100 * S)
    assert len(rig.published) == 2 and rig.clouds == []


@pytest.mark.parametrize("back_to_ns", [None, 50 * S])
def test_a_clock_that_jumps_takes_the_shared_scale_away_before_the_next_moment(rig, back_to_ns):
    moment(rig, 100 * S)
    marked = SharedScale(applied=1.0, stamp_ns=100 * S)
    rig.stream._pipeline._shared = marked
    rig.stream.time_jumped(back_to_ns)
    assert rig.stream._pipeline._shared is marked, "another thread may be at work on a moment"
    seen = []
    step = rig.stream._pipeline.step
    rig.stream._pipeline.step = lambda known: (seen.append(rig.stream._pipeline._shared), step(known))[1]
    moment(rig, 51 * S)
    assert seen == [SharedScale()]
