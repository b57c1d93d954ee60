# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.dial import Mode, Reason
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import ScaleEstimate, ScaleSource
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.stream.output_view import colour_depth, output_view, with_caption

CAMERA = PinholeCamera(8, 4, 10.0, 10.0, 3.5, 1.5)


def result_and_snapshot() -> tuple[DepthResult, SensorSnapshot]:
    """A 4x2 depth image of an 8x4 camera, one pixel unknown."""
    image = np.arange(8 * 4 * 3, dtype=np.uint8).reshape(4, 8, 3)
    depth_m = np.array([[1, 2, 3, 4], [5, 6, 7, np.nan]], np.float32)
    scale = ScaleEstimate(1.0, float("nan"), ScaleSource.MODEL, 0.0)
    result = DepthResult(
        0,
        "optical",
        CAMERA.resized(4, 2),
        depth_m,
        image[::2, ::2],
        Mode.PREDICTION,
        Reason.NO_POINTS,
        0,
        scale,
        (),
        (),
    )
    return result, SensorSnapshot(0, "optical", image, CAMERA, None, None, None, None, ())


def test_network_size_is_the_result_as_it_is():
    result, snapshot = result_and_snapshot()
    view = output_view(result, snapshot, "network")
    assert view.camera == result.camera and view.depth_m is result.depth_m


def test_image_size_repeats_depths_and_invents_none():
    result, snapshot = result_and_snapshot()
    view = output_view(result, snapshot, "image")
    assert view.camera == CAMERA
    np.testing.assert_array_equal(view.depth_m, np.repeat(np.repeat(result.depth_m, 2, axis=0), 2, axis=1))
    assert view.image_rgb is snapshot.image_rgb


def test_near_is_warm_far_is_cold_and_unknown_is_black():
    near, middle, far, unknown = colour_depth(np.array([[4.0, 12.0, 80.0, np.nan]], np.float32), 80.0)[0].astype(int)
    assert near[0] > near[2], "near: more red than blue"
    assert far[2] >= far[0], "far: more blue than red"
    assert middle.tolist() not in (near.tolist(), far.tolist())
    assert unknown.tolist() == [0, 0, 0]


def test_a_caption_is_written_along_the_lower_edge_of_pictures_that_can_hold_it():
    picture = np.full((96, 320, 3), 90, np.uint8)
    captioned = with_caption(picture, "COMPLETION: points_used")
    assert (captioned != picture)[-12:].any() and np.array_equal(captioned[:70], picture[:70])
    assert captioned.max() > 200 and picture.max() == 90
    small = picture[:48]
    assert np.array_equal(with_caption(small, "COMPLETION"), small)
