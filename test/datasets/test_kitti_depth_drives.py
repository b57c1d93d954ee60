# SPDX-License-Identifier: Apache-2.0
"""KITTI depth completion's whole drives, from one drive of three images of which two have truth."""

import numpy as np
import pytest
from data_set_files import colours, write_png, write_text

from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.datasets.releases.kitti_depth_drives import KittiDrivesReader
from mono_depth_ros.datasets.sample import Samples
from mono_depth_ros.errors import ConfigError, DataError

DATE, DRIVE = "2011_09_26", "2011_09_26_drive_0005_sync"
CAM_TO_CAM = (
    "R_rect_00: 1 0 0 0 1 0 0 0 1\nP_rect_02: 2 0 1.5 0 0 4 1 0 0 0 1 0\nP_rect_03: 2 0 1.5 -1 0 4 1 0 0 0 1 0\n"
)
VELO_TO_CAM = "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n"
IMU_TO_VELO = "R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n"


def oxts(east_m):
    numbers = [0.0] * 30
    numbers[1], numbers[8] = np.degrees(east_m / 6378137.0), 8.0
    return " ".join(repr(float(number)) for number in numbers)


@pytest.fixture
def roots(tmp_path):
    """(depth, raw); image 5 has no truth, image 6 has both, image 7 has truth in camera 3."""
    depth, raw = tmp_path / "depth", tmp_path / "raw"
    for name, text in (("cam_to_cam", CAM_TO_CAM), ("velo_to_cam", VELO_TO_CAM), ("imu_to_velo", IMU_TO_VELO)):
        write_text(raw / DATE / f"calib_{name}.txt", text)
    for number in (5, 6, 7):
        write_text(raw / DATE / DRIVE / "oxts" / "data" / f"{number:010d}.txt", oxts(0.8 * (number - 5)))
        for camera in ("image_02", "image_03"):
            write_png(raw / DATE / DRIVE / camera / "data" / f"{number:010d}.png", colours(3, 4, number))
    for number, camera in ((6, "image_02"), (7, "image_03")):
        scan, truth = np.zeros((2, 3, 4), np.uint16)
        scan[1, 2], truth[1, 2], truth[0, 0] = 2560, 2600, 256 * number
        place = f"val/{DRIVE}/proj_depth"
        write_png(depth / "data_depth_annotated" / place / "groundtruth" / camera / f"{number:010d}.png", truth)
        write_png(depth / "data_depth_velodyne" / place / "velodyne_raw" / camera / f"{number:010d}.png", scan)
    return depth, raw


def test_a_sample_has_what_the_files_of_both_data_sets_say(roots):
    samples = Samples(KittiDrivesReader(*roots))
    assert (len(samples), samples.reader.left_out) == (2, 0)
    sample, other = samples
    assert sample.name == f"{DRIVE}_0000000006_image_02" and other.camera_name == "image_03"
    np.testing.assert_array_equal(sample.image_rgb, colours(3, 4, 6))
    np.testing.assert_allclose(sample.points_camera_m, [[2.5, 0.0, 10.0]])  # (2 - 1.5) / 2 * 10
    known_m = sample.truth_depth_m[np.isfinite(sample.truth_depth_m)]
    np.testing.assert_array_equal(known_m, [6.0, 10.15625])
    assert sample.speed_mps == 8.0
    np.testing.assert_allclose(sample.T_world_camera[:3, 3], [0.8, 0.0, 0.0], atol=1e-6)


def test_context_reaches_images_without_truth(roots):
    samples = Samples(KittiDrivesReader(*roots))
    before = samples.context(0, -1)
    np.testing.assert_array_equal(before.image_rgb, colours(3, 4, 5))
    np.testing.assert_allclose(before.T_context_sample[:3, 3], [0.0, 0.0, 0.8], atol=1e-6)
    assert samples.context(1, 1) is None
    with pytest.raises(IndexError):
        samples.context(2, 1)


def test_images_without_a_scan_are_left_out_and_counted(roots):
    depth, raw = roots
    next((depth / "data_depth_velodyne").rglob("0000000006.png")).unlink()
    samples = Samples(KittiDrivesReader(depth, raw))
    assert (len(samples), samples.reader.left_out) == (1, 1)


def test_the_drives_are_opened_by_url(roots):
    depth, raw = roots
    samples = open_dataset(f"kitti_depth:{depth}?drives=val&raw={raw}&single=yes&hold_out=yes")
    np.testing.assert_array_equal(samples.context(0, 1).image_rgb, colours(3, 4, 7))
    first, _ = samples
    assert len(first.points_camera_m) == 1 and np.isfinite(first.truth_depth_m).sum() == 1


def test_what_is_missing_or_broken_is_named(roots, tmp_path):
    depth, raw = roots
    with pytest.raises(ConfigError, match="drives: expected one of train, val, got 'test'"):
        Samples(KittiDrivesReader(depth, raw, "test"))
    with pytest.raises(DataError, match=r"data_depth_annotated/train"):
        Samples(KittiDrivesReader(depth, raw, "train"))
    with pytest.raises(DataError, match="raw= names the folder of KITTI raw"):
        Samples(KittiDrivesReader(depth, tmp_path / "elsewhere"))
    path = next((depth / "data_depth_annotated").rglob("0000000006.png"))
    write_png(path, np.ones((3, 5), np.uint16))
    with pytest.raises(DataError, match=r"expected shape \(3, 4\) of its image") as caught:
        Samples(KittiDrivesReader(depth, raw))[0]
    assert str(path) in str(caught.value)
