# SPDX-License-Identifier: Apache-2.0
"""Images of a drive with older scans."""

import numpy as np
import pytest
from bag_maker import (
    HEIGHT_PX,
    IMAGE_TOPIC,
    INFO_TOPIC,
    ODOMETRY_TOPIC,
    PERIOD_NS,
    POINTS_TOPIC,
    START_NS,
    TRUTH_TOPIC,
    WIDTH_PX,
    drive_messages,
    image_message,
    info_message,
    timed_points_message,
    wall_points,
    write_bag,
)

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.scan_history import ImagesWithScans
from mono_depth_ros.datasets.bags.topics import find_topics
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.rigid import transform_points


def read(path, ages_s, odometry=None, points=TRUTH_TOPIC, **options):
    with Rosbag2Reader(path) as bag:
        topics = find_topics(bag.types, None, points, odometry)
        images = ImagesWithScans(bag, topics, ages_s, **options)
        return list(images), images.skipped


@pytest.fixture
def moving(tmp_path):
    """Towards a wall 10 m ahead of the start, 0.5 m per image."""
    return write_bag(tmp_path / "bag", drive_messages(images=6, depth_m=10.0, speed_mps=5.0))


def test_each_image_has_the_scans_of_the_ages(moving):
    found, skipped = read(moving, (0.0, 0.1, 0.3))
    assert (len(found), skipped) == (3, 3)
    for number, image in enumerate(found, start=3):
        assert image.stamp_ns == START_NS + number * PERIOD_NS
        stamps = [scan.stamp_ns - START_NS for scan in image.scans]
        assert stamps == [number * PERIOD_NS, (number - 1) * PERIOD_NS, (number - 3) * PERIOD_NS]


def test_an_old_scan_is_carried_to_the_image_by_odometry(moving):
    image = read(moving, (0.0, 0.3))[0][0]
    for scan, then_m in zip(image.scans, (8.5, 10.0), strict=True):
        as_it_was = transform_points(scan.T_camera_lidar, scan.points_lidar_m)
        np.testing.assert_allclose(as_it_was[:, 2], then_m, atol=1e-4)
        carried = transform_points(scan.T_image_scan @ scan.T_camera_lidar, scan.points_lidar_m)
        np.testing.assert_allclose(carried[:, 2], 8.5, atol=1e-4)


def test_each_point_of_a_scan_is_carried_from_its_own_time(tmp_path):
    """5 m/s towards a wall that was 10 m away; a scan lasts 0.1 s."""
    messages = [entry for entry in drive_messages(images=6, depth_m=10.0, speed_mps=5.0) if entry[0] != TRUTH_TOPIC]
    stamp_ns = START_NS + 2 * PERIOD_NS
    points_m = wall_points(9.0, 4)
    offsets_s = np.linspace(0.0, 0.1, len(points_m))
    points_m[:, 0] -= 5.0 * offsets_s
    messages.append((TRUTH_TOPIC, stamp_ns, timed_points_message(stamp_ns, points_m, (offsets_s * 1e9).astype("u4"))))
    (image,) = read(write_bag(tmp_path / "bag", messages), (0.2,))[0]
    (scan,) = image.scans
    then_m = transform_points(scan.T_camera_lidar, scan.points_lidar_m)
    np.testing.assert_allclose(then_m[:, 2], 9.0, atol=0.006)


def test_without_odometry_the_motion_is_not_known(moving):
    image = read(moving, (0.0, 0.3), odometry="none")[0][0]
    assert [scan.T_image_scan for scan in image.scans] == [None, None]
    assert not image.carried()


def test_a_gap_in_odometry_leaves_images_out(tmp_path):
    messages = drive_messages(images=9, speed_mps=5.0)
    kept = [m for m in messages if m[0] != ODOMETRY_TOPIC or not START_NS + PERIOD_NS < m[1] < START_NS + 7 * PERIOD_NS]
    found, skipped = read(write_bag(tmp_path / "bag", kept), (0.0, 0.1))
    # Odometry at 0, 1, 7 and 8: the gap is bridged for 0.15 s ahead (2), and is then too long.
    assert [(image.stamp_ns - START_NS) // PERIOD_NS for image in found] == [1, 2, 8]
    assert skipped == 6


def test_a_missing_scan_leaves_an_image_out(tmp_path):
    messages = [m for m in drive_messages(images=5) if not (m[0] == TRUTH_TOPIC and m[1] == START_NS + 2 * PERIOD_NS)]
    found, skipped = read(write_bag(tmp_path / "bag", messages), (0.0,))
    assert (len(found), skipped) == (4, 1)


def test_the_limit_counts_images_that_are_given(moving):
    found, skipped = read(moving, (0.0, 0.3), limit=1)
    assert (len(found), skipped) == (1, 3)


@pytest.mark.parametrize("ages_s", [(), (-0.1,), (11.0,)])
def test_impossible_ages_are_refused(moving, ages_s):
    with pytest.raises(ConfigError, match="ages_s: expected ages from 0 to 10 s"):
        read(moving, ages_s)


def test_a_drive_without_scans_is_refused(moving):
    with pytest.raises(DataError, match="expected a topic with the dense scan"):
        read(moving, (0.0,), points="none")


def test_an_image_before_the_first_camera_info_has_that_one_s_intrinsics(tmp_path):
    messages = [m for m in drive_messages(images=2) if not m[0].endswith("camera_info")]
    messages.append(("/camera/camera_info", START_NS + 5 * 10**9, drive_messages(images=1)[2][2]))
    messages[-1][2].header.stamp.sec += 5
    images, _ = read(write_bag(tmp_path / "bag", messages), (0.0,), points=POINTS_TOPIC)
    assert [image.camera.width_px for image in images] == [64, 64]


def test_raw_images_of_a_lens_are_rectified(tmp_path):
    messages = drive_messages(images=1)
    rows, cols = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    raw = np.repeat(((rows + cols) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    lens = {INFO_TOPIC: info_message(START_NS, distortion=-0.3), IMAGE_TOPIC: image_message(START_NS, raw)}
    messages = [(topic, stamp_ns, lens.get(topic, message)) for topic, stamp_ns, message in messages]
    (image,), _ = read(write_bag(tmp_path / "bag", messages), (0.0,))
    assert np.abs(image.image_rgb.astype(int) - raw).mean() > 20
