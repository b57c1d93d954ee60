# SPDX-License-Identifier: Apache-2.0
"""VOID, from a release of one sequence with two images."""

import numpy as np
import pytest
from data_set_files import colours, write_png, write_text

from mono_depth_ros.datasets.releases.void import VoidReader
from mono_depth_ros.datasets.sample import Samples
from mono_depth_ros.errors import ConfigError, DataError

STAMPS = ("1552097919.2371", "1552097919.3")
SEQUENCE = "birthplace_of_internet"
K = "2.0 0.0 1.5\n0.0 4.0 1.0\n0.0 0.0 1.0\n"
# A quarter turn about z and a step: x of the camera is y of the world.
POSE = "0 -1 0 1\n1 0 0 2\n0 0 1 3\n"


def write_release(root, points=150, listed="void_150"):
    """Lists with paths that start at `listed`, as in void_release."""
    folder = root / "void_release" / f"void_{points}"
    data = folder / "data" / SEQUENCE
    lists = {
        kind: [] for kind in ("image", "sparse_depth", "validity_map", "ground_truth", "absolute_pose", "intrinsics")
    }
    for number, stamp in enumerate(STAMPS):
        sparse, validity, truth = np.zeros((3, 3, 4), np.uint16)
        sparse[0, 3], sparse[2, 1], validity[0, 3] = 512, 768, 256  # 2 m; 3 m that is not valid
        truth[1, 2] = 640 + number  # 2.5 m
        write_png(data / "image" / f"{stamp}.png", colours(3, 4, number))
        write_png(data / "sparse_depth" / f"{stamp}.png", sparse)
        write_png(data / "validity_map" / f"{stamp}.png", validity)
        write_png(data / "ground_truth" / f"{stamp}.png", truth)
        write_text(data / "absolute_pose" / f"{stamp}.txt", POSE)
        write_text(data / "K.txt", K)
        for kind, lines in lists.items():
            suffix = "txt" if kind == "absolute_pose" else "png"
            name = "K.txt" if kind == "intrinsics" else f"{kind}/{stamp}.{suffix}"
            lines.append(f"{listed}/data/{SEQUENCE}/{name}")
    for kind, lines in lists.items():
        write_text(folder / f"test_{kind}.txt", "\n".join(lines) + "\n")
    return data


def test_a_sample_has_what_the_files_say(tmp_path):
    write_release(tmp_path)
    sample = Samples(VoidReader(tmp_path, points=150))[0]
    assert sample.name == f"{SEQUENCE}_1552097919.2371" and sample.stamp_ns == 1_552_097_919_237_100_000
    np.testing.assert_array_equal(sample.image_rgb, colours(3, 4))
    camera = sample.camera
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == (2.0, 4.0, 1.5, 1.0)
    # Only the valid point: (3 - 1.5) / 2 * 2, (0 - 1) / 4 * 2, 2.
    np.testing.assert_allclose(sample.points_camera_m, [[1.5, -0.5, 2.0]])
    assert np.isfinite(sample.truth_depth_m).sum() == 1 and sample.truth_depth_m[1, 2] == 2.5
    np.testing.assert_allclose(sample.T_world_camera @ [1.0, 0.0, 0.0, 1.0], [1.0, 3.0, 3.0, 1.0])


@pytest.mark.parametrize("listed", ["void_150", "void_release/void_150", "."])
def test_lists_may_start_at_any_folder_of_the_release(tmp_path, listed):
    write_release(tmp_path, listed=listed)
    for root in (tmp_path, tmp_path / "void_release", tmp_path / "void_release" / "void_150"):
        assert [sample.truth_depth_m[1, 2] for sample in Samples(VoidReader(root, 150))] == [2.5, 2.50390625]


def test_a_four_by_four_pose_is_read_too(tmp_path):
    data = write_release(tmp_path)
    write_text(data / "absolute_pose" / f"{STAMPS[1]}.txt", "1 0 0 5\n0 1 0 6\n0 0 1 7\n0 0 0 1\n")
    first, second = Samples(VoidReader(tmp_path, 150))
    np.testing.assert_allclose(second.T_world_camera[:, 3], [5.0, 6.0, 7.0, 1.0])
    # The second camera, at (5, 6, 7) of the world, is at R^T ((5, 6, 7) - (1, 2, 3)) = (4, -4, 4) of the first.
    np.testing.assert_allclose(first.T_self_other(second)[:3, 3], [4.0, -4.0, 4.0])


def test_wrong_options_are_refused(tmp_path):
    write_release(tmp_path)
    with pytest.raises(ConfigError, match="points: expected one of 150, 500, 1500, got 64"):
        Samples(VoidReader(tmp_path, points=64))
    with pytest.raises(ConfigError, match="split: expected train or test, got 'val'"):
        Samples(VoidReader(tmp_path, points=150, split="val"))
    with pytest.raises(DataError, match=r"expected a folder void_500"):
        Samples(VoidReader(tmp_path, points=500))
    with pytest.raises(DataError, match=r"train_image\.txt: expected a file, got nothing there"):
        Samples(VoidReader(tmp_path, points=150, split="train"))
    with pytest.raises(IndexError):
        Samples(VoidReader(tmp_path, points=150))[2]


@pytest.mark.parametrize("line", ["../../../etc/passwd", "/etc/passwd"])
def test_a_list_that_names_a_file_elsewhere_is_refused(tmp_path, line):
    write_release(tmp_path)
    path = tmp_path / "void_release" / "void_150" / "test_ground_truth.txt"
    path.write_text(f"{line}\n" * 2)
    with pytest.raises(DataError, match=r"test_ground_truth\.txt: expected a path inside"):
        Samples(VoidReader(tmp_path, 150))


@pytest.mark.parametrize(("name", "text"), [("test_ground_truth.txt", "a\n"), ("test_image.txt", "")])
def test_lists_of_different_lengths_are_refused(tmp_path, name, text):
    write_release(tmp_path)
    (tmp_path / "void_release" / "void_150" / name).write_text(text)
    with pytest.raises(DataError, match=r"test_image\.txt: expected some lines, as many in each list"):
        Samples(VoidReader(tmp_path, 150))


def test_a_list_whose_files_are_not_there_is_refused(tmp_path):
    write_release(tmp_path, listed="elsewhere")
    with pytest.raises(DataError, match=r"test_image\.txt: expected its first path 'elsewhere/data"):
        Samples(VoidReader(tmp_path, 150))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("K.txt", "1 2 3", "expected 9 numbers"),
        ("K.txt", "0 0 0 0 0 0 0 0 1", "fx, fy > 0"),
        (f"absolute_pose/{STAMPS[0]}.txt", "1 0 0", "expected 12 or 16 numbers"),
        (f"absolute_pose/{STAMPS[0]}.txt", "2 0 0 0 0 1 0 0 0 0 1 0", "expected a rotation"),
        (f"absolute_pose/{STAMPS[0]}.txt", "-1 0 0 0 0 1 0 0 0 0 1 0", "expected a rotation"),
        (f"absolute_pose/{STAMPS[0]}.txt", "1 0 0 0 0 1 0 0 0 0 1 0 0 0 1 1", "expected a rotation"),
        (f"ground_truth/{STAMPS[0]}.png", "no image", "expected a PNG"),
    ],
)
def test_a_broken_file_is_refused_with_its_path(tmp_path, name, text, reason):
    path = write_text(write_release(tmp_path) / name, text)
    with pytest.raises(DataError, match=reason) as caught:
        Samples(VoidReader(tmp_path, 150))[0]
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["sparse_depth", "validity_map", "ground_truth"])
def test_an_image_of_another_size_is_refused_with_its_path(tmp_path, kind):
    path = write_png(write_release(tmp_path) / kind / f"{STAMPS[0]}.png", np.ones((2, 4), np.uint16))
    with pytest.raises(DataError, match=r"expected shape \(3, 4\) of its image, got \(2, 4\)") as caught:
        Samples(VoidReader(tmp_path, 150))[0]
    assert str(path) in str(caught.value)


def test_a_name_that_is_no_time_is_refused(tmp_path):
    data = write_release(tmp_path)
    (data / "image" / f"{STAMPS[0]}.png").rename(data / "image" / "first.png")
    path = tmp_path / "void_release" / "void_150" / "test_image.txt"
    path.write_text(path.read_text().replace(STAMPS[0], "first"))
    with pytest.raises(DataError, match=r"first\.png: expected a name of seconds"):
        Samples(VoidReader(tmp_path, 150))[0]


def test_context_is_the_neighbour_in_the_sequence_whether_listed_or_not(tmp_path):
    data = write_release(tmp_path)
    later = "1552097919.4"  # not in any list
    write_png(data / "image" / f"{later}.png", colours(3, 4, 9))
    write_text(data / "absolute_pose" / f"{later}.txt", POSE.replace("0 0 1 3", "0 0 1 3.5"))
    samples = Samples(VoidReader(tmp_path, 150))
    after = samples.context(1, 1)
    np.testing.assert_array_equal(after.image_rgb, colours(3, 4, 9))
    assert after.stamp_ns == 1_552_097_919_400_000_000
    np.testing.assert_allclose(after.T_context_sample[:3, 3], [0.0, 0.0, -0.5])
    assert samples.context(0, -1) is None and samples.context(0, 3) is None
    np.testing.assert_array_equal(samples.context(0, 2).image_rgb, colours(3, 4, 9))
    (data / "absolute_pose" / f"{later}.txt").unlink()
    assert samples.context(1, 1) is None
    with pytest.raises(IndexError):
        samples.context(2, 1)
