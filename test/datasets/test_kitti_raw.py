# SPDX-License-Identifier: Apache-2.0
"""KITTI raw, from a drive of three images whose geometry is simple enough for the head."""

import numpy as np
import pytest
from data_set_files import colours, write_png, write_text

from mono_depth_ros.datasets.releases.kitti_raw import KittiFrame, KittiRawReader, list_drive, read_split
from mono_depth_ros.datasets.sample import Samples
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points

DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_0005_sync"
# Camera 2 sees f = 2 px (fy = 4 px) and sits 0.5 m right of camera 0: P[0,3] = -fx * 0.5.
P_02 = "2 0 1.5 -1 0 4 1 0 0 0 1 0"
P_03 = "2 0 1.5 1 0 4 1 0 0 0 1 0"
CAM_TO_CAM = f"calib_time: 09-Jan-2012 13:57:47\nR_rect_00: 1 0 0 0 1 0 0 0 1\nP_rect_02: {P_02}\nP_rect_03: {P_03}\n"
# x right = -y left, y down = -z up, z forward = x; the camera is 0.25 m below and 0.5 m in front of the scanner.
VELO_TO_CAM = "calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0 -0.25 -0.5\ndelta_f: 0 0\n"
IMU_TO_VELO = "R: 1 0 0 0 1 0 0 0 1\nT: -1 0 0\n"
# In the velo frame: in cam0 (-y, -z - 0.25, x - 0.5), in camera 2 half a metre less in x.
SCAN = [
    [10.5, -0.5, -0.25, 0.3],  # camera 2: (0, 0, 10)       -> column 1.5 -> 2, row 1
    [4.5, 2.5, 0.75, 0.9],  # camera 2: (-3, -1, 4)         -> column 0, row 0
    [20.5, -0.5, -0.25, 0.1],  # behind the first one
    [-5.0, 0.0, 0.0, 0.1],  # behind the camera
]


def oxts(east_m=0.0, yaw=0.0, speed=3.5):
    """A record on the equator, where Mercator is to scale: longitude in degrees = metres / 6378137 * 180 / pi."""
    numbers = [0.0] * 30
    numbers[1], numbers[2], numbers[5], numbers[8] = np.degrees(east_m / 6378137.0), 100.0, yaw, speed
    return " ".join(repr(float(number)) for number in numbers)


def write_frame(root, number, east_m, camera="image_02"):
    drive = root / DRIVE
    write_png(drive / camera / "data" / f"{number:010d}.png", colours(3, 4, number))
    write_text(drive / "oxts" / "data" / f"{number:010d}.txt", oxts(east_m))
    scan = drive / "velodyne_points" / "data" / f"{number:010d}.bin"
    scan.parent.mkdir(parents=True, exist_ok=True)
    scan.write_bytes(np.array(SCAN, "<f4").tobytes())
    truth = np.zeros((3, 4), np.uint16)
    truth[1, 2], truth[2, 0] = 2560, 384  # 10 m and 1.5 m
    write_png(drive / "proj_depth" / "groundtruth" / camera / f"{number:010d}.png", truth)
    cached = np.zeros((3, 4), np.float32)
    cached[1, 1], cached[2, 2] = 7.25, -1.0
    (drive / "proj_depth" / "velodyne" / camera).mkdir(parents=True, exist_ok=True)
    np.savez_compressed(drive / "proj_depth" / "velodyne" / camera / f"{number:010d}.npz", velodyne_depth=cached)


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        write_frame(tmp_path, number, east_m=1.25 * number)
    for name, text in (("cam_to_cam", CAM_TO_CAM), ("velo_to_cam", VELO_TO_CAM), ("imu_to_velo", IMU_TO_VELO)):
        write_text(tmp_path / DATE / f"calib_{name}.txt", text)
    stamps = "".join(f"2011-09-26 13:02:2{number}.964389445\n" for number in range(3))
    write_text(tmp_path / DRIVE / "image_02" / "timestamps.txt", stamps)
    return tmp_path


def drive_samples(root, truth="improved"):
    return Samples(KittiRawReader(root, list_drive(root, DRIVE), truth))


def test_a_sample_has_what_the_files_say(root):
    sample = drive_samples(root)[1]
    assert sample.name == f"{DATE}_drive_0005_sync_0000000001_image_02"
    assert sample.stamp_ns == 1_317_042_141_964_389_445  # date -u -d '2011-09-26 13:02:21' +%s
    np.testing.assert_array_equal(sample.image_rgb, colours(3, 4, 1))
    camera = sample.camera
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == (2.0, 4.0, 1.5, 1.0)
    assert sample.speed_mps == 3.5


def test_points_are_the_whole_scan_in_the_frame_of_the_camera_that_took_the_image(root):
    sample = drive_samples(root)[0]
    expected_m = [[0.0, 0.0, 10.0], [-3.0, -1.0, 4.0], [0.0, 0.0, 20.0], [-0.5, -0.25, -5.5]]
    np.testing.assert_allclose(sample.points_camera_m, expected_m, atol=1e-6)
    scan_m = transform_points(invert_rigid(sample.T_camera_lidar), sample.points_camera_m)
    np.testing.assert_allclose(scan_m, np.array(SCAN)[:, :3], atol=1e-6)
    write_frame(root, 0, 0.0, camera="image_03")
    right_m = Samples(KittiRawReader(root, [KittiFrame(DRIVE, "image_03", 0)]))[0].points_camera_m
    np.testing.assert_allclose(right_m[0], [1.0, 0.0, 10.0], atol=1e-6)


def test_each_kind_of_truth_has_its_depths(root):
    scan_m = drive_samples(root, "velodyne")[0].truth_depth_m
    assert np.isfinite(scan_m).sum() == 2 and (scan_m[1, 2], scan_m[0, 0]) == (10.0, 4.0)
    improved_m = drive_samples(root, "improved")[0].truth_depth_m
    assert np.isfinite(improved_m).sum() == 2 and (improved_m[1, 2], improved_m[2, 0]) == (10.0, 1.5)
    cached_m = drive_samples(root, "velodyne_npz")[0].truth_depth_m
    assert np.isfinite(cached_m).sum() == 1 and cached_m[1, 1] == 7.25
    assert drive_samples(root, "none")[0].truth_depth_m is None


def test_poses_are_metres_from_the_first_record(root):
    first, second, _ = drive_samples(root, "none")
    # The imu is 1 m behind the scanner; the camera 0.5 m in front of the scanner, 0.5 m right, 0.25 m below.
    expected = [[0, 0, 1, 1.5], [-1, 0, 0, -0.5], [0, -1, 0, -0.25], [0, 0, 0, 1]]
    np.testing.assert_allclose(first.T_world_camera, expected, atol=1e-9)
    # 1.25 m east is forward at yaw 0: along the optical axis.
    np.testing.assert_allclose(first.T_self_other(second)[:3, 3], [0.0, 0.0, 1.25], atol=1e-6)


def test_yaw_turns_to_the_left(root):
    write_text(root / DRIVE / "oxts" / "data" / "0000000001.txt", oxts(0.0, yaw=np.pi / 2))
    T_first_second = drive_samples(root, "none")[0].T_self_other(drive_samples(root, "none")[1])
    # What is ahead after a left turn was on the left before: -x of the first camera.
    np.testing.assert_allclose(T_first_second[:3, :3] @ [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], atol=1e-9)


def test_speed_is_never_negative(root):
    write_text(root / DRIVE / "oxts" / "data" / "0000000001.txt", oxts(speed=-0.5))
    assert drive_samples(root)[1].speed_mps == 0.5


def test_without_stamps_the_frame_number_counts(root):
    (root / DRIVE / "image_02" / "timestamps.txt").unlink()
    assert [sample.stamp_ns for sample in drive_samples(root)] == [0, 100_000_000, 200_000_000]


def test_images_before_and_after_come_with_their_motion_also_outside_the_list(root):
    samples = Samples(KittiRawReader(root, [KittiFrame(DRIVE, "image_02", 1)]))
    before, after = samples.context(0, -1), samples.context(0, 1)
    np.testing.assert_array_equal(before.image_rgb, colours(3, 4, 0))
    np.testing.assert_array_equal(after.image_rgb, colours(3, 4, 2))
    assert after.stamp_ns - before.stamp_ns == 2_000_000_000
    # A point 10 m ahead is 11.25 m ahead of where the camera was, and 8.75 m of where it will be.
    np.testing.assert_allclose(before.T_context_sample @ [0, 0, 10, 1], [0, 0, 11.25, 1], atol=1e-6)
    np.testing.assert_allclose(after.T_context_sample @ [0, 0, 10, 1], [0, 0, 8.75, 1], atol=1e-6)


def test_there_is_nothing_before_the_first_and_after_the_last_image(root):
    samples = drive_samples(root)
    assert samples.context(0, -1) is None and samples.context(2, 1) is None and samples.context(0, 2) is not None
    with pytest.raises(IndexError):
        samples.context(3, -1)


def test_a_neighbour_of_another_size_is_refused(root):
    path = write_png(root / DRIVE / "image_02" / "data" / "0000000001.png", colours(2, 4))
    with pytest.raises(DataError, match=r"expected shape \(3, 4, 3\) of the sample's image") as caught:
        drive_samples(root).context(0, 1)
    assert str(path) in str(caught.value)


def test_split_files_of_both_kinds_are_read_in_their_order(root):
    lines = f"{DRIVE} 0000000002 l\n{DRIVE} 1 r\n{DRIVE}/image_02/data/0000000001.png x/y.png\n"
    write_text(root / "data_splits" / "eigen_test_files.txt", lines)
    expected = [KittiFrame(DRIVE, "image_02", 2), KittiFrame(DRIVE, "image_03", 1), KittiFrame(DRIVE, "image_02", 1)]
    assert read_split(root, "eigen_test") == expected
    own = write_text(root / "own" / "list", f"{DRIVE}/image_02/data/0000000000.jpg\n")
    assert read_split(root, str(own)) == [KittiFrame(DRIVE, "image_02", 0)]


@pytest.mark.parametrize("line", ["../../etc/passwd", "a b c", f"{DRIVE} x l", f"{DRIVE}/../image_02/data/0.png"])
def test_a_line_of_another_kind_is_refused_with_its_number(root, line):
    path = write_text(root / "eigen.txt", f"{DRIVE} 0 l\n{line}\n")
    with pytest.raises(DataError, match=r"line 2: expected") as caught:
        read_split(root, "eigen")
    assert str(path) in str(caught.value)


def test_a_missing_split_lists_where_it_was_looked_for(root):
    with pytest.raises(DataError, match=r"split 'zhou': expected one of .*data_splits/zhou_files\.txt"):
        read_split(root, "zhou")


def test_images_without_a_scan_are_left_out_and_counted(root):
    (root / DRIVE / "velodyne_points" / "data" / "0000000001.bin").unlink()
    samples = drive_samples(root)
    assert [sample.stamp_ns // 10**9 % 10 for sample in samples] == [0, 2] and samples.reader.left_out == 1
    without = Samples(KittiRawReader(root, list_drive(root, DRIVE), with_points=False))
    assert len(without) == 3 and without[1].points_camera_m is None and without[1].truth_depth_m[1, 2] == 10.0


def test_images_without_the_improved_truth_are_left_out_and_counted(root):
    truth = root / DRIVE / "proj_depth" / "groundtruth" / "image_02"
    (truth / "0000000000.png").unlink()
    samples = drive_samples(root)
    assert (len(samples), samples.reader.left_out) == (2, 1) and samples[0].name.endswith("0000000001_image_02")
    for path in truth.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"expected some images with .*groundtruth.*0000000000\.png.*got none of 3"):
        drive_samples(root)


def test_images_without_an_inertial_record_are_not_listed(root):
    (root / DRIVE / "oxts" / "data" / "0000000001.txt").unlink()
    assert [frame.number for frame in list_drive(root, DRIVE)] == [0, 2]


def test_jpeg_copies_are_read(root):
    import cv2

    path = root / DRIVE / "image_02" / "data" / "0000000000.png"
    path.unlink()
    path.with_suffix(".jpg").write_bytes(cv2.imencode(".jpg", np.full((3, 4, 3), 77, np.uint8))[1].tobytes())
    assert drive_samples(root)[0].image_rgb[1, 1].tolist() == [77, 77, 77]


def test_wrong_options_are_refused(root):
    with pytest.raises(ConfigError, match="truth: expected one of velodyne, improved"):
        drive_samples(root, "lidar")
    with pytest.raises(ConfigError, match="camera: expected one of image_00"):
        list_drive(root, DRIVE, "camera_02")
    with pytest.raises(DataError, match="expected a drive"):
        list_drive(root, f"{DATE}/other_sync")
    with pytest.raises(DataError, match="expected a path inside"):
        list_drive(root, f"../{DRIVE}")
    with pytest.raises(IndexError):
        drive_samples(root)[3]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (f"{DATE}/calib_cam_to_cam.txt", "R_rect_00: 1 0 0 0 1 0 0 0 1", "expected a line 'P_rect_02', got R_rect_00"),
        (f"{DATE}/calib_cam_to_cam.txt", f"P_rect_02: {P_02}\nR_rect_00: 1 0", "R_rect_00: expected 9 numbers"),
        (f"{DATE}/calib_cam_to_cam.txt", CAM_TO_CAM.replace("P_rect_02: 2", "P_rect_02: 0"), "fx, fy > 0"),
        (f"{DATE}/calib_cam_to_cam.txt", CAM_TO_CAM.replace(P_02, P_02[:-7] + "0 0 0 0"), "expected P_rect_02 = K"),
        (f"{DATE}/calib_cam_to_cam.txt", CAM_TO_CAM.replace("R_rect_00: 1", "R_rect_00: -1"), "R_rect_00 to be a rot"),
        (f"{DATE}/calib_velo_to_cam.txt", "R: 2 0 0 0 1 0 0 0 1\nT: 0 0 0", "expected R to be a rotation"),
        (f"{DATE}/calib_imu_to_velo.txt", "R: 1 0 0 0 1 0 0 0 1", "expected a line 'T', got R"),
        (f"{DRIVE}/oxts/data/0000000000.txt", "1 2 3", "expected 30 numbers, got 3"),
        (f"{DRIVE}/oxts/data/0000000000.txt", "90 " + "0 " * 29, "latitude"),
        (f"{DRIVE}/velodyne_points/data/0000000000.bin", "123", "expected points of 16 bytes"),
        (f"{DRIVE}/image_02/data/0000000000.png", "no image", "expected JPEG or PNG"),
        (f"{DRIVE}/image_02/timestamps.txt", "soon\n", "in line 1, got 'soon'"),
        (f"{DRIVE}/image_02/timestamps.txt", "2011-13-26 13:02:25.964389445\n", "line 1: "),
        (f"{DRIVE}/proj_depth/groundtruth/image_02/0000000000.png", "no image", "expected a PNG"),
    ],
)
def test_a_broken_file_is_refused_with_its_path(root, name, text, reason):
    path = write_text(root / name, text)
    with pytest.raises(DataError, match=reason) as caught:
        drive_samples(root)[0]
    assert str(path) in str(caught.value)


def test_cached_truth_of_another_size_or_type_is_refused(root):
    path = root / DRIVE / "proj_depth" / "velodyne" / "image_02" / "0000000000.npz"
    np.savez(path, velodyne_depth=np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match=r"0000000000\.npz: expected shape \(3, 4\)"):
        drive_samples(root, "velodyne_npz")[0]
    np.savez(path, velodyne_depth=np.zeros((3, 4), np.complex64))
    with pytest.raises(DataError, match=r"0000000000\.npz: expected velodyne_depth of floats"):
        drive_samples(root, "velodyne_npz")[0]
