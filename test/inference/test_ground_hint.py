# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from free_size_model import write_free_model

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.inference.completion import NETWORK_ALONE
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.ground_hint import GroundMemory, GroundPolicy, GroundUse
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import SensorSnapshot, SensorState

CAMERA = PinholeCamera(128, 64, 100.0, 100.0, 63.5, 31.5)
HEIGHT_M = 1.5
# A base on the ground, x forward; the camera's optical frame at HEIGHT_M looks ahead.
T_BASE_CAMERA = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, HEIGHT_M], [0, 0, 0, 1.0]])


def road(height_m=HEIGHT_M):
    """Points of a level road at the heights of some beams, float32 [N, 3] in the camera's frame."""
    x, z = np.meshgrid(np.linspace(-4.0, 4.0, 40), [5.0, 8.0, 12.0, 20.0])
    return np.stack([x, np.full_like(x, height_m), z], axis=-1).reshape(-1, 3).astype(np.float32)


def snapshot(points=None, stamp_ns=0, T_base_camera=T_BASE_CAMERA):
    image = np.zeros((64, 128, 3), np.uint8)
    age_s = None if points is None else 0.0
    return SensorSnapshot(stamp_ns, "camera", image, CAMERA, points, age_s, None, None, (), T_base_camera=T_base_camera)


def depth_at(hint, row):
    return 1.0 / (hint.plane[:3] @ [63.5, row, 1.0])


def test_the_plane_of_the_points_comes_first_then_what_is_remembered_of_it_then_the_mount():
    memory, policy = GroundMemory(), GroundPolicy(GroundUse.MOUNT, memory_s=2.0)
    measured = memory.hint(snapshot(road(1.4), 0), CAMERA, 0.0, policy)
    assert (measured.source, measured.plane[3]) == ("measured", 1.0)
    assert depth_at(measured, 51.5) == pytest.approx(100.0 / 20.0 * 1.4, rel=0.01)
    remembered = memory.hint(snapshot(None, 1_500_000_000), CAMERA, 0.0, policy)
    assert (remembered.source, remembered.age_s) == ("remembered", pytest.approx(1.5))
    np.testing.assert_allclose(remembered.plane, measured.plane)
    mount = memory.hint(snapshot(None, 3_000_000_000), CAMERA, 0.0, policy)
    assert (mount.source, mount.plane[3], mount.age_s) == ("mount", pytest.approx(0.3), None)
    assert depth_at(mount, 51.5) == pytest.approx(100.0 / 20.0 * HEIGHT_M, rel=1e-6)


def test_without_the_mount_as_a_source_an_old_plane_is_no_plane():
    memory, policy = GroundMemory(), GroundPolicy(GroundUse.MEASURED, memory_s=2.0)
    assert memory.hint(snapshot(None, 0), CAMERA, 0.0, policy) is None
    assert memory.hint(snapshot(road(), 0), CAMERA, 0.0, policy).source == "measured"
    assert memory.hint(snapshot(None, 2_100_000_000), CAMERA, 0.0, policy) is None


def test_a_plane_at_a_height_that_the_mount_rules_out_is_no_ground():
    memory, policy = GroundMemory(), GroundPolicy(GroundUse.MEASURED)
    assert memory.hint(snapshot(road(0.9)), CAMERA, 0.0, policy) is None
    assert memory.hint(snapshot(road(0.9)), CAMERA, -0.6, policy).source == "measured"  # the base is 0.6 m below ground


@pytest.mark.parametrize("T_base_camera", [None, T_BASE_CAMERA - np.array([[0] * 4, [0] * 4, [0, 0, 0, 2.0], [0] * 4])])
def test_nothing_is_known_of_a_camera_without_a_mount_or_below_the_ground(T_base_camera):
    policy = GroundPolicy(GroundUse.MOUNT)
    assert GroundMemory().hint(snapshot(road(), 0, T_base_camera), CAMERA, 0.0, policy) is None


def test_off_is_off():
    assert GroundMemory().hint(snapshot(road()), CAMERA, 0.0, GroundPolicy(GroundUse.OFF)) is None


def test_the_status_says_which_ground_the_network_was_told_and_a_clock_jump_forgets_it(tmp_path):
    engine = OnnxEngine(write_free_model(tmp_path))
    pipeline = DepthPipeline(engine, completion=NETWORK_ALONE, ground=GroundPolicy(GroundUse.MEASURED, 5.0))

    def step(points, stamp_ns):
        result = pipeline.step(snapshot(points, stamp_ns))
        assert isinstance(result, DepthResult)
        return result

    first = step(road(), 0)
    assert [(r.name, r.used, r.reason, r.state) for r in first.sensors] == [
        ("ground", True, "measured", SensorState.OK)
    ]
    later = step(None, 1_000_000_000)
    assert (later.sensors[0].reason, later.sensors[0].age_s) == ("remembered", 1.0)
    # the graph adds the plane's c to its 2 m
    c = GroundMemory().hint(snapshot(road()), later.camera, 0.0, GroundPolicy()).plane[2]
    np.testing.assert_allclose(later.depth_m, 2.0 + c, rtol=1e-5)
    pipeline.reset()
    forgotten = step(None, 1_100_000_000)
    assert (forgotten.sensors[0].used, forgotten.sensors[0].reason) == (False, "unknown")
    np.testing.assert_allclose(forgotten.depth_m, 2.0)


def test_sigma_is_in_metres_and_unknown_where_the_depth_is(tmp_path):
    pipeline = DepthPipeline(OnnxEngine(write_free_model(tmp_path)))
    sky_above = snapshot()
    sky_above.image_rgb[:32, :, 1] = 255
    result = pipeline.step(replace(sky_above, T_base_camera=None))
    assert np.isnan(result.depth_m[:30]).all() and np.isnan(result.sigma_m[:30]).all()
    np.testing.assert_allclose(result.depth_m[34:], 2.0)
    np.testing.assert_allclose(result.sigma_m[34:], 0.2, rtol=1e-6)
