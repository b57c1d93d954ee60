# SPDX-License-Identifier: Apache-2.0
"""Data sets by their URL."""

import operator

import numpy as np
import pytest
from bag_maker import POINTS_TOPIC, TRUTH_TOPIC, drive_messages, write_bag
from data_set_files import colours, write_png, write_text

from mono_depth_ros.datasets.open_dataset import KEYS, open_dataset
from mono_depth_ros.errors import ConfigError, DataError


@pytest.fixture
def kitti_depth(tmp_path):
    """One image, every pixel of it measured at 5 m, truth at 5 m."""
    folder = tmp_path / "val_selection_cropped"
    drive = "2011_10_03_drive_0047_sync"
    write_png(folder / "image" / f"{drive}_image_0000000761_image_02.png", colours(8, 8))
    for kind in ("velodyne_raw", "groundtruth_depth"):
        write_png(folder / kind / f"{drive}_{kind}_0000000761_image_02.png", np.full((8, 8), 1280, np.uint16))
    write_text(folder / "intrinsics" / f"{drive}_image_0000000761_image_02.txt", "9 0 3.5 0 9 3.5 0 0 1")
    return tmp_path


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp("bags") / "bag", drive_messages(images=4))


def test_a_data_set_is_opened_by_its_url(kitti_depth):
    samples = open_dataset(f"kitti_depth:{kitti_depth}")
    assert operator.length_hint(samples) == 1
    (sample,) = samples
    assert len(sample.points_camera_m) == 64 and np.isfinite(sample.truth_depth_m).all()


def test_the_sparse_input_is_chosen_and_held_out(kitti_depth):
    (sample,) = open_dataset(f"kitti_depth:{kitti_depth}?split=val&random=10&seed=3&hold_out=yes")
    assert len(sample.points_camera_m) == 10 and np.isfinite(sample.truth_depth_m).sum() == 54
    (sample,) = open_dataset(f"kitti_depth:{kitti_depth}?grid=4")
    assert len(sample.points_camera_m) == 4 and np.isfinite(sample.truth_depth_m).all()
    (sample,) = open_dataset(f"kitti_depth:{kitti_depth}?beams=0&hold_out=yes")
    assert len(sample.points_camera_m) == 0 and np.isfinite(sample.truth_depth_m).all()


def test_a_bag_is_opened_by_its_url(bag):
    samples = open_dataset(f"bag:{bag}?camera=/camera&points={POINTS_TOPIC}&gt_points={TRUTH_TOPIC}&truth_scale=0.5")
    assert operator.length_hint(samples) == 4
    assert len(list(samples)) == 4 and len(list(samples)) == 4  # and can be read again
    first = next(iter(samples))
    assert first.truth_depth_m.shape == (16, 32)
    np.testing.assert_allclose(first.truth_depth_m, 10.0, rtol=1e-5)
    limited = open_dataset(f"bag:{bag}?points={POINTS_TOPIC}&gt_points={TRUTH_TOPIC}&limit=2")
    assert operator.length_hint(limited) == len(list(limited)) == 2
    rest = open_dataset(f"bag:{bag}?points={POINTS_TOPIC}&gt_points={TRUTH_TOPIC}&skip=3&limit=2")
    assert operator.length_hint(rest) == 1
    assert [sample.stamp_ns for sample in rest] == [sample.stamp_ns for sample in samples][3:]
    assert not list(open_dataset(f"bag:{bag}?points={POINTS_TOPIC}&gt_points={TRUTH_TOPIC}&limit=0"))


def test_topics_that_are_not_in_the_bag_are_named(bag):
    with pytest.raises(DataError, match=r"points: expected one topic to choose, got /lidar/points, /lidar/points_spar"):
        open_dataset(f"bag:{bag}?gt_points={TRUTH_TOPIC}")
    with pytest.raises(DataError, match="no such topic"):
        open_dataset(f"bag:{bag}?points=/absent&gt_points={TRUTH_TOPIC}")


def test_a_bag_without_truth_or_points_gives_images(bag):
    samples = list(open_dataset(f"bag:{bag}?points=none"))
    assert len(samples) == 4
    for sample in samples:
        assert sample.points_camera_m is None and sample.truth_depth_m is None
        assert sample.speed_mps == 0.0 and sample.T_world_camera is not None


def test_the_sparse_input_of_a_bag_is_chosen_and_held_out(bag):
    samples = open_dataset(f"bag:{bag}?points={TRUTH_TOPIC}&gt_points={TRUTH_TOPIC}&random=7&hold_out=yes")
    assert operator.length_hint(samples) == 4
    for sample in samples:
        assert len(sample.points_camera_m) == 7
        assert np.isnan(sample.truth_depth_m).sum() == 7


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kiti_raw:/data", "did you mean 'kitti_raw'"),
        ("/data/kitti", "expected a format"),
        ("", "expected a format"),
        ("nyu:", "expected a path after nyu:"),
        ("ddad:/data?cameras=CAMERA_01", "did you mean 'camera'"),
        ("ddad:/data?split", "expected key=value"),
        ("ddad:/data?split=val&split=train", "each key once"),
        ("kitti_depth:/data?camera=a", "expected keys split, drives.*got 'camera'"),
        ("kitti_depth:/data?drives=val", r"expected drives=train\|val and raw=DIR together"),
        ("kitti_raw:/data", "expected split=NAME or drive=DATE/DRIVE, got neither"),
        ("kitti_raw:/data?split=a&drive=b", "got both"),
        ("kitti_raw:/data?split=a&camera=image_03", "camera: expected it with drive= only"),
        ("void:/data?points=many", "points: expected a whole number"),
        ("void:/data?points=151", "points: expected one of 150, 500, 1500, got 151"),
        ("bag:/data?points=/a&gt_points=/b&truth_scale=half", "truth_scale: expected a number"),
        ("bag:/data?points=/a&gt_points=/b&limit=-1", "limit: expected a whole number"),
        ("bag:/data?cloud=/a", "expected keys camera, image"),
        ("bag:/data?truth=stereo", "expected truth=stereo and right=CAMERA together"),
        ("bag:/data?truth=lidar", "expected truth=stereo and right=CAMERA together"),
        ("bag:/data?right=/b&gt_points=/a", "expected one of gt_points, truth_npz and truth=stereo, got several"),
        ("bag:/data?truth_npz=/a&truth_scale=0.5", "truth_scale: expected it with the topic of a cloud only"),
        ("bag:/data?T_camera_lidar=1,2,3", "T_camera_lidar: expected x,y,z,qx,qy,qz,qw"),
        ("bag:/data?T_base_camera=0,0,0,0,0,0,0", "T_base_camera: .*unit quaternion"),
        ("bag:/data?rectified=1", "rectified: expected yes or no"),
    ],
)
def test_a_wrong_url_is_refused_with_what_would_be_right(url, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(url)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("beams=4&random=5", "one of beams, random, grid, tof, single, got beams and random"),
        ("beams=5", "beams: expected one of 0, 1, 2, 4"),
        ("tof=5", "tof: expected 4 or 8 zones"),
        ("single=1", "single: expected yes or no"),
        ("grid=0", "sparse pattern grid: expected at least 1"),
        ("seed=1", "seed: expected it with random="),
        ("hold_out=maybe", "hold_out: expected yes or no"),
        ("split=train", "split: expected one of val, test"),
    ],
)
def test_a_wrong_value_is_refused(kitti_depth, query, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(f"kitti_depth:{kitti_depth}?{query}")


@pytest.mark.parametrize("name", sorted(set(KEYS) - {"bag", "kitti_raw", "synthetic"}))
def test_a_folder_without_the_format_is_an_error_with_the_folder(tmp_path, name):
    if name == "nyu":
        pytest.importorskip("h5py", reason="NYUv2: h5py is not installed")
    with pytest.raises(DataError) as caught:
        open_dataset(f"{name}:{tmp_path}")
    assert str(tmp_path) in str(caught.value)


def test_kitti_raw_by_split_and_by_drive_of_a_missing_data_set(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path}/data_splits/eigen_test_files.txt"):
        open_dataset(f"kitti_raw:{tmp_path}?split=eigen_test")
    with pytest.raises(DataError, match="expected a drive"):
        open_dataset(f"kitti_raw:{tmp_path}?drive=2011_09_26/2011_09_26_drive_0005_sync&points=none")


def test_every_format_and_key_is_documented(repository):
    text = (repository / "docs" / "datasets.md").read_text()
    for name, keys in KEYS.items():
        assert f"`{name}:" in text
        for key in keys:
            assert f"`{key}=" in text, f"{name}: {key}"
