# SPDX-License-Identifier: Apache-2.0
"""Bags of robots with other sensors and names than the usual ones."""

import dataclasses
import struct

import cv2
import numpy as np
import pytest
from bag_maker import (
    BASE_FRAME,
    CAMERA_FRAME,
    FOCAL_PX,
    HEIGHT_PX,
    IMAGE_TOPIC,
    INFO_TOPIC,
    LIDAR_FRAME,
    LIDAR_HEIGHT_M,
    MESSAGES,
    ODOMETRY_TOPIC,
    PERIOD_NS,
    POINTS_TOPIC,
    START_NS,
    TRUTH_TOPIC,
    TYPES,
    WIDTH_PX,
    compressed_message,
    drive_messages,
    header,
    image_message,
    info_message,
    odometry_message,
    scan_message,
    static_message,
    timed_points_message,
    wall_points,
    write_bag,
)

from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense


def samples_of(path, query=""):
    return list(open_dataset(f"bag:{path}?{query}"))


def without(messages, *topics):
    return [entry for entry in messages if entry[0] not in topics]


def bag_with(tmp_path, *added, images=1, dropped=(POINTS_TOPIC, TRUTH_TOPIC), **drive):
    return write_bag(tmp_path / "bag", [*added, *without(drive_messages(images, **drive), *dropped)])


def range_message(stamp_ns, range_m):
    return MESSAGES.range(header(stamp_ns, LIDAR_FRAME), range_m, (0.1, 20.0), 0.05)


def twist_message(stamp_ns, speed_mps):
    return MESSAGES.twist(header(stamp_ns, BASE_FRAME), np.array([speed_mps, 0.0, 0.0]))


def depth_message(stamp_ns, depth_mm, frame=CAMERA_FRAME):
    height, width = depth_mm.shape
    message = image_message(stamp_ns, np.zeros((height, width, 3), np.uint8))
    data = depth_mm.astype("<u2").reshape(-1).view(np.uint8)
    return dataclasses.replace(message, header=header(stamp_ns, frame), encoding="16UC1", step=2 * width, data=data)


def small_info(stamp_ns):
    """A matrix of 4 x 2 zones over the view of the camera."""
    cx_px, cy_px, focal_px = 1.5, 0.5, FOCAL_PX / 16
    message = info_message(stamp_ns)
    k = np.array([focal_px, 0, cx_px, 0, focal_px, cy_px, 0, 0, 1])
    p = np.array([focal_px, 0, cx_px, 0, 0, focal_px, cy_px, 0, 0, 0, 1, 0])
    return dataclasses.replace(message, width=4, height=2, k=k, p=p)


def test_a_planar_scan_is_the_sparse_input(tmp_path):
    path = bag_with(tmp_path, ("/scan", START_NS, scan_message(START_NS, [np.inf, 5.0, 4.0, np.nan, 6.0])))
    (sample,) = samples_of(path)
    # The scanner looks ahead and sits half a metre above the camera: ray at -0.1 rad is 5 sin(0.1) to the right.
    expected = [[5 * np.sin(0.1), -LIDAR_HEIGHT_M, 5 * np.cos(0.1)], [0, -LIDAR_HEIGHT_M, 4.0]]
    np.testing.assert_allclose(sample.points_camera_m[:2], expected, atol=1e-5)
    assert len(sample.points_camera_m) == 3


def test_a_single_range_is_one_point(tmp_path):
    path = bag_with(tmp_path, ("/sonar", START_NS, range_message(START_NS, 3.0)))
    (sample,) = samples_of(path)
    np.testing.assert_allclose(sample.points_camera_m, [[0.0, -LIDAR_HEIGHT_M, 3.0]], atol=1e-6)


def test_a_small_depth_image_with_a_camera_info_of_its_own_is_the_sparse_input(tmp_path):
    depth_mm = np.array([[1000, 0, 3000, 4000], [5000, 6000, 0, 8000]])
    added = [
        ("/tof/camera_info", START_NS, small_info(START_NS)),
        ("/tof/depth", START_NS, depth_message(START_NS, depth_mm)),
    ]
    (sample,) = samples_of(bag_with(tmp_path, *added), "camera=/camera&points=/tof/depth")
    np.testing.assert_array_equal(sample.points_camera_m[:, 2], [1, 3, 4, 5, 6, 8])
    np.testing.assert_allclose(sample.points_camera_m[0], [-1.5 / 2.5, -0.5 / 2.5, 1.0])


def test_a_compressed_depth_image_is_the_sparse_input(tmp_path):
    depth_mm = np.full((HEIGHT_PX, WIDTH_PX), 7000, np.uint16)
    depth_mm[:, ::2] = 0
    message = compressed_message(START_NS, np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8))
    data = struct.pack("<iff", 0, 0.0, 0.0) + cv2.imencode(".png", depth_mm)[1].tobytes()
    message = dataclasses.replace(message, format="16UC1; compressedDepth png", data=np.frombuffer(data, np.uint8))
    path = bag_with(tmp_path, ("/camera/depth/compressedDepth", START_NS, message))
    (sample,) = samples_of(path, "points=/camera/depth/compressedDepth&points_info=/camera/camera_info")
    assert len(sample.points_camera_m) == HEIGHT_PX * WIDTH_PX // 2 and (sample.points_camera_m[:, 2] == 7.0).all()


def test_a_depth_image_without_intrinsics_is_refused(tmp_path):
    path = bag_with(tmp_path, ("/tof/depth", START_NS, depth_message(START_NS, np.ones((2, 4)))))
    with pytest.raises(DataError, match=r"points_info topic /tof/camera_info: expected .* got no such topic"):
        samples_of(path, "camera=/camera&points=/tof/depth")


def test_depth_images_with_the_camera_s_own_camera_info_are_aligned_to_it_at_any_size_of_its_ratio(tmp_path):
    aligned = "camera=/camera&points=/tof/depth&points_info=/camera/camera_info"
    path = bag_with(tmp_path, ("/tof/depth", START_NS, depth_message(START_NS, np.full((2, 4), 3000.0))))
    (sample,) = samples_of(path, aligned)
    sparse = project_points(sample.points_camera_m, sample.camera)
    assert len(sparse) == 8 and np.allclose(sparse.depth_m, 3.0)


def test_depth_images_of_another_ratio_than_the_camera_are_left_out_and_said(tmp_path):
    path = bag_with(tmp_path, ("/tof/depth", START_NS, depth_message(START_NS, np.ones((4, 4)))))
    with pytest.raises(DataError, match=r"/tof/depth: .*the camera's size 64x32 or that ratio of sides, got 4x4"):
        samples_of(path, "camera=/camera&points=/tof/depth&points_info=/camera/camera_info")


def test_speed_comes_from_a_twist_where_there_is_no_odometry(tmp_path):
    added = [("/twist", START_NS + n * PERIOD_NS, twist_message(START_NS + n * PERIOD_NS, 1.5 + n)) for n in range(3)]
    path = write_bag(tmp_path / "bag", [*added, *without(drive_messages(3), ODOMETRY_TOPIC)])
    samples = samples_of(path, f"points={POINTS_TOPIC}")
    assert [sample.speed_mps for sample in samples] == [1.5, 2.5, 3.5]
    assert [sample.T_world_camera for sample in samples] == [None] * 3


def test_poses_and_speeds_come_from_odometry_between_its_readings(tmp_path):
    # Odometry is 40 ms late of each image: the pose at the image lies between two readings.
    messages = without(drive_messages(images=4, speed_mps=5.0), ODOMETRY_TOPIC)
    for number in range(5):
        stamp_ns = START_NS + number * PERIOD_NS - 60_000_000
        messages.append((ODOMETRY_TOPIC, stamp_ns, odometry_message(stamp_ns, 0.5 * number, 5.0)))
    samples = samples_of(write_bag(tmp_path / "bag", messages), "points=none")
    assert [sample.speed_mps for sample in samples] == [5.0] * 4
    ahead_m = [sample.T_world_camera[0, 3] for sample in samples]
    np.testing.assert_allclose(ahead_m, [0.3, 0.8, 1.3, 1.8])
    np.testing.assert_allclose(samples[0].T_self_other(samples[1])[:3, 3], [0.0, 0.0, 0.5], atol=1e-9)


def test_a_given_place_of_the_sensor_takes_the_place_of_tf(tmp_path):
    messages = [("/tf_static", START_NS, static_message(with_lidar=False)), *without(drive_messages(1), "/tf_static")]
    path = write_bag(tmp_path / "bag", messages)
    with pytest.raises(DataError, match="no_extrinsics"):
        samples_of(path, f"points={POINTS_TOPIC}")
    place = "0,-0.5,0,0.5,-0.5,0.5,0.5"  # of the LiDAR in the optical frame
    (sample,) = samples_of(path, f"points={POINTS_TOPIC}&T_camera_lidar={place}")
    np.testing.assert_allclose(sample.points_camera_m[:, 2], 10.0, atol=1e-5)
    np.testing.assert_allclose(sparse_to_dense(project_points(sample.points_camera_m, sample.camera))[0, 0], 10.0)


def test_topics_may_have_any_name(tmp_path):
    names = {IMAGE_TOPIC: "/robot/eye/rgb", INFO_TOPIC: "/calib/eye"}
    messages = [(names.get(topic, topic), stamp, message) for topic, stamp, message in drive_messages(2)]
    path = write_bag(tmp_path / "bag", messages)
    with pytest.raises(DataError, match=r"name both: image=TOPIC and camera_info=TOPIC .*; the bag has: /calib/eye"):
        samples_of(path, f"points={POINTS_TOPIC}")
    samples = samples_of(path, f"image=/robot/eye/rgb&camera_info=/calib/eye&points={POINTS_TOPIC}")
    assert [sample.camera_name for sample in samples] == ["robot/eye"] * 2


def test_the_only_image_is_found_under_any_name_beside_its_camera_info(tmp_path):
    names = {IMAGE_TOPIC: "/eye/rgb", INFO_TOPIC: "/eye/camera_info"}
    messages = [(names.get(topic, topic), stamp, message) for topic, stamp, message in drive_messages(1)]
    (sample,) = samples_of(write_bag(tmp_path / "bag", messages), f"points={POINTS_TOPIC}")
    assert sample.camera_name == "eye"


def test_each_point_is_carried_from_its_own_time(tmp_path):
    """A scan of 100 ms while driving at 10 m/s: the wall comes a metre nearer from the first point to the last."""
    messages = without(drive_messages(images=3, depth_m=10.0, speed_mps=10.0), POINTS_TOPIC, TRUTH_TOPIC)
    start_ns = START_NS + PERIOD_NS  # the scan begins at the second image and ends at the third
    points_m = wall_points(9.0, 4)
    offsets_s = np.linspace(0.0, 0.1, len(points_m))
    points_m[:, 0] -= 10.0 * offsets_s
    cloud = timed_points_message(start_ns, points_m, (offsets_s * 1e9).astype(np.uint32))
    messages.append((POINTS_TOPIC, start_ns + PERIOD_NS, cloud))
    path = write_bag(tmp_path / "bag", messages)
    # By its stamp the scan belongs to the second image.
    (sample,) = samples_of(path)
    assert sample.stamp_ns == start_ns
    np.testing.assert_allclose(sample.points_camera_m[:, 2], 9.0, atol=0.006)
    (smeared,) = samples_of(path, "point_time=none")
    assert np.ptp(smeared.points_camera_m[:, 2]) > 0.9


def lens_messages(model="plumb_bob", d=(-0.3, 0.1, 0.0, 0.0, 0.0)):
    info = dataclasses.replace(info_message(START_NS), distortion_model=model, d=np.array(d, np.float64))
    rng = np.random.default_rng(1)
    raw = cv2.resize(rng.integers(0, 255, (8, 16, 3), dtype=np.uint8), (WIDTH_PX, HEIGHT_PX))
    return raw, [(INFO_TOPIC, START_NS, info), (IMAGE_TOPIC, START_NS, image_message(START_NS, raw))]


def test_raw_images_of_a_lens_are_rectified(tmp_path):
    raw, added = lens_messages()
    path = bag_with(tmp_path, *added, dropped=(INFO_TOPIC, IMAGE_TOPIC))
    (sample,) = samples_of(path, f"points={POINTS_TOPIC}")
    K = np.array([[FOCAL_PX, 0, 31.5], [0, FOCAL_PX, 15.5], [0, 0, 1]])
    expected = cv2.undistort(raw, K, np.array([-0.3, 0.1, 0, 0, 0]))
    assert np.abs(sample.image_rgb.astype(int) - expected).max() <= 1  # the other function rounds its maps
    assert np.abs(sample.image_rgb.astype(int) - raw).max() > 20
    assert sample.camera.fx_px == FOCAL_PX
    (same,) = samples_of(path, f"points={POINTS_TOPIC}&rectified=yes")
    np.testing.assert_array_equal(same.image_rgb, raw)


def test_a_lens_of_an_unknown_model_is_refused(tmp_path):
    _, added = lens_messages("omni")
    path = bag_with(tmp_path, *added, dropped=(INFO_TOPIC, IMAGE_TOPIC))
    with pytest.raises(DataError, match=r"expected a distortion model of plumb_bob.*got 'omni'"):
        samples_of(path, f"points={POINTS_TOPIC}")


def test_a_clock_that_jumps_back_neither_loses_nor_hoards_images(tmp_path):
    later = drive_messages(images=2)
    shift_ns = 100_000_000_000
    first = [m for m in drive_messages(images=40) if m[0] == "/tf_static" or m[0] == INFO_TOPIC or m[0] == IMAGE_TOPIC]
    moved = []
    for topic, stamp_ns, message in first:
        if topic != "/tf_static":
            time = TYPES["builtin_interfaces/msg/Time"](sec=(stamp_ns + shift_ns) // 10**9, nanosec=stamp_ns % 10**9)
            message = dataclasses.replace(message, header=dataclasses.replace(message.header, stamp=time))
        moved.append((topic, stamp_ns, message))
    again = [(topic, stamp_ns + shift_ns, message) for topic, stamp_ns, message in later if topic != "/tf_static"]
    samples = samples_of(write_bag(tmp_path / "bag", [*moved, *again]), "points=none")
    assert len(samples) == 42
