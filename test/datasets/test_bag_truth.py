# SPDX-License-Identifier: Apache-2.0
"""Truth of a bag's images: beside the bag, from the other camera, and class numbers."""

import dataclasses

import cv2
import numpy as np
import pytest
from bag_maker import (
    CAMERA_FRAME,
    HEIGHT_PX,
    IMAGE_TOPIC,
    INFO_TOPIC,
    PERIOD_NS,
    POINTS_TOPIC,
    START_NS,
    TRUTH_TOPIC,
    WIDTH_PX,
    drive_messages,
    header,
    image_message,
    info_message,
    write_bag,
)

from mono_depth_ros.datasets.bags.stereo_truth import TRUSTED_M, stereo_depth
from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera

K_HALF = np.array([[20.0, 0, 15.5], [0, 20.0, 7.5], [0, 0, 1]])


def samples_of(path, query):
    return list(open_dataset(f"bag:{path}?points=none&{query}"))


@pytest.fixture
def bag(tmp_path):
    return write_bag(tmp_path / "bag", drive_messages(images=3))


def write_truth(folder, name, stamp_ns, changed=None):
    depth_cm = np.full((HEIGHT_PX // 2, WIDTH_PX // 2), 1234, np.uint16)
    depth_cm[0, 0] = 0
    folder.mkdir(exist_ok=True)
    arrays = {"depth_cm": depth_cm, "K_half": K_HALF, "stamp_ns": np.int64(stamp_ns), **(changed or {})}
    path = folder / f"{name}{stamp_ns}.npz"
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("name", ["", "camera_0001_"])
def test_truth_lies_in_files_beside_the_bag(bag, tmp_path, name):
    for number in (0, 2):
        write_truth(tmp_path / "gt", name, START_NS + number * PERIOD_NS)
    samples = samples_of(bag, f"truth_npz={tmp_path / 'gt'}")
    assert [(s.stamp_ns - START_NS) // PERIOD_NS for s in samples] == [0, 2]
    sample = samples[0]
    assert sample.points_camera_m is None
    assert sample.truth_depth_m[1, 1] == np.float32(12.34) and np.isnan(sample.truth_depth_m[0, 0])
    assert sample.truth_camera == PinholeCamera(32, 16, 20.0, 20.0, 15.5, 7.5)


def test_files_of_other_cameras_are_left_alone(bag, tmp_path):
    write_truth(tmp_path / "gt", "camera_", START_NS)
    write_truth(tmp_path / "gt", "rear_", START_NS, {"depth_cm": np.full((16, 32), 99, np.uint16)})
    (sample,) = samples_of(bag, f"truth_npz={tmp_path / 'gt'}")
    assert sample.truth_depth_m[1, 1] == np.float32(12.34)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"depth_cm": np.ones((16, 32))}, "expected depth_cm uint16"),
        ({"depth_cm": np.ones((16, 20), np.uint16)}, "expected a grid with the field of view of the image"),
        ({"K_half": np.eye(2)}, "expected K_half of 3x3"),
        ({"K_half": -K_HALF}, "K_half: "),
        ({"stamp_ns": np.int64(5)}, "expected stamp_ns"),
        ({"depth_cm": np.array([None] * 4)}, "Python objects"),
    ],
)
def test_broken_truth_files_are_refused(bag, tmp_path, changed, reason):
    path = write_truth(tmp_path / "gt", "", START_NS, changed)
    with pytest.raises(DataError, match=reason) as caught:
        samples_of(bag, f"truth_npz={path.parent}")
    assert str(path) in str(caught.value)


def test_a_folder_without_truth_is_refused(bag, tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path}/gt: expected truth in files"):
        samples_of(bag, f"truth_npz={tmp_path / 'gt'}")
    write_truth(tmp_path / "gt", "a_", START_NS)
    write_truth(tmp_path / "gt", "b_", START_NS)
    with pytest.raises(DataError, match="one file per stamp for camera 'camera'"):
        samples_of(bag, f"truth_npz={tmp_path / 'gt'}")


PAIR = PinholeCamera(320, 96, 200.0, 200.0, 159.5, 47.5)
BASELINE_M, NEAR_M, FAR_M = 0.5, 5.0, 12.5  # 20 px and 8 px


def texture(seed):
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.integers(0, 255, (96, 400), dtype=np.uint8), (0, 0), 1.0)


def pair_of_walls(shift_px=0):
    """A near wall in the upper half, a far one in the lower: the right camera sees things further left."""
    near, far = texture(1), texture(2)
    left, right = np.empty((2, 96, 320), np.uint8)
    for rows, wall, disparity_px in ((slice(0, 48), near, 20 + shift_px), (slice(48, 96), far, 8 + shift_px)):
        left[rows], right[rows] = wall[rows, 40:360], wall[rows, 40 + disparity_px : 360 + disparity_px]
    return (np.repeat(image[:, :, None], 3, axis=2) for image in (left, right))


@pytest.mark.parametrize("shift_px", [0, 3])
def test_stereo_depth_is_that_of_the_walls(shift_px):
    depth_m = stereo_depth(*pair_of_walls(shift_px), PAIR, BASELINE_M, float(shift_px))
    for rows, expected_m in ((slice(4, 40), NEAR_M), (slice(56, 92), FAR_M)):
        wall_m = depth_m[rows, 60:-4]
        assert np.isfinite(wall_m).mean() > 0.9
        assert abs(np.nanmedian(wall_m) / expected_m - 1) < 0.01


def test_what_is_too_far_to_trust_is_unknown():
    left, right = pair_of_walls()
    depth_m = stereo_depth(left, right, PAIR, 2.0, 0.0)  # the far wall is at 50 m
    assert np.nanmax(depth_m) <= TRUSTED_M and np.isnan(depth_m[56:92]).mean() > 0.9


def pair_info(p3):
    message = info_message(START_NS)
    k = np.array([200.0, 0, 159.5, 0, 200.0, 47.5, 0, 0, 1])
    p = np.array([200.0, 0, 159.5, p3, 0, 200.0, 47.5, 0, 0, 0, 1, 0])
    return dataclasses.replace(message, width=320, height=96, k=k, p=p)


def pair_bag(tmp_path, p3=-100.0, right_stamp_ns=START_NS):
    left, right = pair_of_walls()
    messages = [entry for entry in drive_messages(1) if entry[0] not in (IMAGE_TOPIC, INFO_TOPIC)]
    messages += [
        ("/left/camera_info", START_NS, pair_info(0.0)),
        ("/right/camera_info", START_NS, pair_info(p3)),
        ("/left/image_rect", START_NS, image_message(START_NS, left)),
        ("/right/image_rect", START_NS, image_message(right_stamp_ns, right)),
    ]
    return write_bag(tmp_path / "bag", messages)


def test_truth_comes_from_the_right_camera_of_a_pair(tmp_path):
    (sample,) = samples_of(pair_bag(tmp_path), "camera=/left&truth=stereo&right=/right")
    assert abs(np.nanmedian(sample.truth_depth_m[4:40]) / NEAR_M - 1) < 0.01
    assert sample.truth_camera == sample.camera == PAIR


def test_a_right_image_of_another_time_is_no_truth(tmp_path):
    path = pair_bag(tmp_path, right_stamp_ns=START_NS - 2_000_000)
    with pytest.raises(DataError, match="truth: none at the stamp of the image in /right/image_rect"):
        samples_of(path, "camera=/left&truth=stereo&right=/right")


@pytest.mark.parametrize(
    ("p3", "right", "reason"),
    [
        (100.0, "/right", "are left and right exchanged"),
        (0.0, "/right", "of a camera on the right"),
        (-100.0, "/left", "expected the other camera of the pair"),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path, p3, right, reason):
    with pytest.raises(DataError, match=reason):
        samples_of(pair_bag(tmp_path, p3), f"camera=/left&truth=stereo&right={right}")


def labels_message(stamp_ns, number, frame=CAMERA_FRAME, encoding="mono8"):
    message = image_message(stamp_ns, np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8))
    data = np.full(HEIGHT_PX * WIDTH_PX, number, np.uint8)
    return dataclasses.replace(message, header=header(stamp_ns, frame), encoding=encoding, step=WIDTH_PX, data=data)


@pytest.mark.parametrize("topic", ["/truth/labels", "/truth/camera/labels"])
def test_labels_are_taken_where_the_bag_has_them(tmp_path, topic):
    messages = [(topic, START_NS, labels_message(START_NS, 13)), *drive_messages(2)]
    first, second = samples_of(write_bag(tmp_path / "bag", messages), f"gt_points={TRUTH_TOPIC}")
    assert first.labels.dtype == np.uint8 and (first.labels == 13).all() and first.labels.shape == (HEIGHT_PX, WIDTH_PX)
    assert second.labels is None
    assert samples_of(tmp_path / "bag", "labels=none")[0].labels is None


def test_labels_of_another_camera_are_refused_only_if_named(tmp_path):
    labels = labels_message(START_NS, 13, frame="rear_optical")
    path = write_bag(tmp_path / "bag", [("/truth/labels", START_NS, labels), *drive_messages(1)])
    assert samples_of(path, "limit=1")[0].labels is None
    with pytest.raises(DataError, match="/truth/labels: expected frame camera_optical"):
        samples_of(path, "labels=/truth/labels")


def test_labels_in_colour_are_refused(tmp_path):
    labels = image_message(START_NS, np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8))
    path = write_bag(tmp_path / "bag", [("/truth/labels", START_NS, labels), *drive_messages(1)])
    with pytest.raises(DataError, match="expected encoding mono8 or 8UC1, got 'rgb8'"):
        samples_of(path, f"points={POINTS_TOPIC}&labels=/truth/labels".replace("points=", "odom=none&gt_points="))


def test_recorded_stereo_drive_agrees_with_the_truth_of_another_program(shared_data):
    data = shared_data / "data"
    if not (data / "kitti_stereo_drive").is_dir() or not (data / "gt" / "kitti_stereo_drive").is_dir():
        pytest.skip(f"recorded stereo drive: none with its truth in {data}")
    drive = f"bag:{data / 'kitti_stereo_drive'}?camera=/camera_00&limit=2"
    theirs = list(open_dataset(f"{drive}&truth_npz={data / 'gt' / 'kitti_stereo_drive'}"))
    ours = list(open_dataset(f"{drive}&truth=stereo&right=/camera_01"))
    assert [sample.stamp_ns for sample in ours] == [sample.stamp_ns for sample in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert our.points_camera_m is None and their.speed_mps > 5.0
        half_m = our.truth_depth_m[::2, ::2]
        both = np.isfinite(half_m) & np.isfinite(their.truth_depth_m)
        assert both.mean() > 0.4
        assert np.median(np.abs(half_m - their.truth_depth_m)[both] / half_m[both]) < 0.01
