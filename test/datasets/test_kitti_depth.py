# SPDX-License-Identifier: Apache-2.0
"""KITTI depth completion, from a data set of two images."""

import numpy as np
import pytest
from data_set_files import colours, write_png, write_text

from mono_depth_ros.datasets.releases.kitti_depth import KittiDepthReader
from mono_depth_ros.datasets.sample import Samples
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.sparse_depth import project_points

DRIVE = "2011_10_03_drive_0047_sync"
INTRINSICS = "2.0 0.0 1.5 0.0 4.0 1.0 0.0 0.0 1.0\n"


def write_image(folder, number=761, camera="image_02", first=0):
    stem = f"{number:010d}_{camera}"
    raw, truth = np.zeros((2, 3, 4), np.uint16)
    raw[0, 3], raw[2, 1] = 2560, 640  # 10 m and 2.5 m
    truth[0, 3], truth[1, 0], truth[2, 2] = 2561, 20480, 1  # 10.00390625 m, 80 m, 1/256 m
    image = write_png(folder / "image" / f"{DRIVE}_image_{stem}.png", colours(3, 4, first))
    points = write_png(folder / "velodyne_raw" / f"{DRIVE}_velodyne_raw_{stem}.png", raw)
    depth = write_png(folder / "groundtruth_depth" / f"{DRIVE}_groundtruth_depth_{stem}.png", truth)
    intrinsics = write_text(folder / "intrinsics" / f"{DRIVE}_image_{stem}.txt", INTRINSICS)
    return image, points, depth, intrinsics


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "data_depth_selection" / "depth_selection" / "val_selection_cropped"
    write_image(found)
    write_image(found, 762, "image_03", first=50)
    return found


def test_a_sample_has_what_the_files_say(folder, tmp_path):
    sample = Samples(KittiDepthReader(tmp_path))[0]
    assert (sample.name, sample.camera_name) == (f"{DRIVE}_image_0000000761_image_02", "image_02")
    assert sample.stamp_ns == 76_100_000_000
    np.testing.assert_array_equal(sample.image_rgb, colours(3, 4))
    camera = sample.camera
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == (2.0, 4.0, 1.5, 1.0)
    # (3 - 1.5) / 2 * 10, (0 - 1) / 4 * 10, 10 and (1 - 1.5) / 2 * 2.5, (2 - 1) / 4 * 2.5, 2.5
    np.testing.assert_allclose(sample.points_camera_m, [[7.5, -2.5, 10.0], [-0.625, 0.625, 2.5]])
    expected = [[np.nan] * 3 + [10.00390625], [80.0, np.nan, np.nan, np.nan], [np.nan, np.nan, 0.00390625, np.nan]]
    np.testing.assert_array_equal(sample.truth_depth_m, expected)
    assert sample.truth_camera == camera


def test_points_project_back_into_their_pixels(folder):
    sample = Samples(KittiDepthReader(folder))[0]
    sparse = project_points(sample.points_camera_m, sample.camera)
    assert (sparse.rows.tolist(), sparse.cols.tolist(), sparse.depth_m.tolist()) == ([0, 2], [3, 1], [10.0, 2.5])


def test_images_come_in_the_order_of_their_names_and_end(folder):
    samples = Samples(KittiDepthReader(folder))
    assert len(samples) == 2
    assert [sample.camera_name for sample in samples] == ["image_02", "image_03"]
    assert samples[1].image_rgb[0, 0, 0] == 50
    with pytest.raises(IndexError):
        samples[2]


def test_the_test_split_has_no_truth(tmp_path):
    folder = tmp_path / "test_depth_completion_anonymous"
    write_png(folder / "image" / "0000000007.png", colours(3, 4))
    write_png(folder / "velodyne_raw" / "0000000007.png", np.full((3, 4), 512, np.uint16))
    write_text(folder / "intrinsics" / "0000000007.txt", INTRINSICS)
    sample = Samples(KittiDepthReader(tmp_path, "test"))[0]
    assert sample.truth_depth_m is None and sample.stamp_ns == 700_000_000
    np.testing.assert_array_equal(sample.points_camera_m[:, 2], np.full(12, 2.0))


def test_an_unknown_split_and_an_empty_folder_are_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="split: expected one of val, test, got 'train'"):
        Samples(KittiDepthReader(folder, "train"))
    with pytest.raises(DataError, match=f"{tmp_path}: expected a folder test_depth_completion_anonymous"):
        Samples(KittiDepthReader(tmp_path, "test"))
    for path in (folder / "image").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"image: expected images"):
        Samples(KittiDepthReader(folder))


@pytest.mark.parametrize(
    ("which", "reason"),
    [(1, "expected a file, got nothing"), (2, "expected a file, got nothing"), (3, "expected a file, got nothing")],
)
def test_a_missing_file_is_named(folder, which, reason):
    path = write_image(folder)[which]
    path.unlink()
    with pytest.raises(DataError, match=reason) as caught:
        Samples(KittiDepthReader(folder))[0]
    assert str(path) in str(caught.value)


def test_a_depth_image_of_another_size_is_refused(folder):
    path = write_image(folder)[2]
    write_png(path, np.ones((3, 5), np.uint16))
    with pytest.raises(DataError, match=r"expected shape \(3, 4\) of its image, got \(3, 5\)") as caught:
        Samples(KittiDepthReader(folder))[0]
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("text", "reason"), [("1 2 3", "expected 9 numbers"), ("0 0 0 0 0 0 0 0 1", "fx, fy > 0")])
def test_broken_intrinsics_are_refused(folder, text, reason):
    path = write_image(folder)[3]
    path.write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        Samples(KittiDepthReader(folder))[0]
    assert str(path) in str(caught.value)


def test_a_name_without_a_frame_number_is_refused(folder):
    names = {"image": "aaa.png", "velodyne_raw": "aaa.png", "groundtruth_depth": "aaa.png"}
    write_png(folder / "image" / names["image"], colours(3, 4))
    for kind in ("velodyne_raw", "groundtruth_depth"):
        write_png(folder / kind / names[kind], np.ones((3, 4), np.uint16))
    write_text(folder / "intrinsics" / "aaa.txt", INTRINSICS)
    with pytest.raises(DataError, match=r"aaa\.png: expected a name with one frame number"):
        Samples(KittiDepthReader(folder))[2]
