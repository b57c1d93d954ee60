# SPDX-License-Identifier: Apache-2.0
"""DGP v1, from a data set of one scene with two cameras and two samples."""

import json

import numpy as np
import pytest
from data_set_files import colours, write_png, write_text

from mono_depth_ros.datasets.releases.dgp import DgpReader
from mono_depth_ros.datasets.sample import Samples
from mono_depth_ros.errors import ConfigError, DataError

SCENE = "000150/scene_a8dc5ed1.json"
# Optical axes of a camera that looks along +x of the world: right = -y, down = -z.
FORWARD = {"qw": 0.5, "qx": -0.5, "qy": 0.5, "qz": -0.5}
UPRIGHT = {"qw": 1.0, "qx": 0.0, "qy": 0.0, "qz": 0.0}
STAMPS = ("2019-04-29T12:34:56.5Z", "2019-04-29T12:34:56.600000001Z")


def pose(rotation, x, y, z):
    return {"translation": {"x": x, "y": y, "z": z}, "rotation": rotation}


def scene_json():
    """Camera at (100, 5, 1.5), 2 m in front of the scanner at (98, 5, 1.5); in the second sample all 3 m farther."""
    data, samples = [], []
    for number, stamp in enumerate(STAMPS):
        keys = []
        for name in ("LIDAR", "CAMERA_01", "CAMERA_05"):
            kind = "point_cloud" if name == "LIDAR" else "image"
            suffix = "npz" if name == "LIDAR" else "png"
            datum = {"filename": f"{'point_cloud' if name == 'LIDAR' else 'rgb'}/{name}/155{number}.{suffix}"}
            if name == "LIDAR":
                datum |= {
                    "pose": pose(UPRIGHT, 98.0 + 3 * number, 5.0, 1.5),
                    "point_format": ["X", "Y", "Z", "INTENSITY"],
                }
            else:
                datum |= {"pose": pose(FORWARD, 100.0 + 3 * number, 5.0, 1.5), "height": 3, "width": 4, "channels": 3}
            keys.append(f"{name}{number}")
            identity = {"log": "", "name": name, "timestamp": stamp, "index": "0"}
            data.append({"key": keys[-1], "id": identity, "datum": {kind: datum}})
        samples.append({"calibration_key": "c0e1", "datum_keys": keys, "id": {"timestamp": stamp}})
    return {"name": "", "samples": samples, "data": data}


CALIBRATION = {
    "names": ["LIDAR", "CAMERA_01", "CAMERA_05"],
    "intrinsics": [
        {"fx": 0.0, "fy": 0.0, "cx": 0.0, "cy": 0.0, "skew": 0.0},
        {"fx": 2.0, "fy": 4.0, "cx": 1.5, "cy": 1.0, "skew": 0.0},
        {"fx": 8.0, "fy": 8.0, "cx": 1.0},  # protobuf leaves out zeros
    ],
    "extrinsics": [{}, {}, {}],
}
# In the scanner's frame; from the camera: right -y, down -z, forward x - 2.
SCAN = [[12.0, 0.0, 0.0, 0.5], [6.0, 3.0, 1.0, 0.5], [1.0, 0.0, 0.0, 0.5], [np.nan, 0.0, 0.0, 0.5]]


def write_data_set(root, scene=None, calibration=None, splits=None):
    write_text(
        root / "ddad.json", json.dumps({"metadata": {}, "scene_splits": splits or {"1": {"filenames": [SCENE]}}})
    )
    write_text(root / SCENE, json.dumps(scene or scene_json()))
    folder = (root / SCENE).parent
    write_text(folder / "calibration" / "c0e1.json", json.dumps(calibration or CALIBRATION))
    for name in ("point_cloud/LIDAR", "depth/lidar/CAMERA_01"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(len(STAMPS)):
        write_png(folder / "rgb" / "CAMERA_01" / f"155{number}.png", colours(3, 4, number))
        write_png(folder / "rgb" / "CAMERA_05" / f"155{number}.png", colours(3, 4, 100 + number))
        np.savez_compressed(folder / "point_cloud" / "LIDAR" / f"155{number}.npz", data=np.array(SCAN, np.float32))
        depth = np.zeros((3, 4), np.float32)
        depth[2, 3] = 33.5
        np.savez_compressed(folder / "depth" / "lidar" / "CAMERA_01" / f"155{number}.npz", depth=depth)
    return folder


def test_a_sample_has_what_the_files_say(tmp_path):
    write_data_set(tmp_path)
    samples = Samples(DgpReader(tmp_path))
    sample = samples[0]
    assert len(samples) == 2 and sample.name == "000150_CAMERA_01_1550"
    assert sample.stamp_ns == 1_556_541_296_500_000_000  # date -u -d '2019-04-29 12:34:56' +%s
    assert samples[1].stamp_ns == 1_556_541_296_600_000_001
    np.testing.assert_array_equal(sample.image_rgb, colours(3, 4))
    camera = sample.camera
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == (2.0, 4.0, 1.5, 1.0)
    np.testing.assert_allclose(sample.points_camera_m, [[0.0, 0.0, 10.0], [-3.0, -1.0, 4.0]], atol=1e-5)
    # Columns 1.5 -> 2 and 1.5 - 2 * 3 / 4 = 0; rows 1 and 1 - 4 / 4 = 0.
    assert np.isfinite(sample.truth_depth_m).sum() == 2
    assert (sample.truth_depth_m[1, 2], sample.truth_depth_m[0, 0]) == pytest.approx((10.0, 4.0), abs=1e-5)
    assert sample.speed_mps is None


def test_poses_of_cameras_and_of_consecutive_images_agree(tmp_path):
    write_data_set(tmp_path)
    first, second = Samples(DgpReader(tmp_path))
    np.testing.assert_allclose(first.T_world_camera[:3, 3], [100.0, 5.0, 1.5])
    np.testing.assert_allclose(first.T_self_other(second)[:3, 3], [0.0, 0.0, 3.0], atol=1e-9)


def test_images_before_and_after_come_with_their_motion(tmp_path):
    write_data_set(tmp_path)
    samples = Samples(DgpReader(tmp_path))
    before, after = samples.context(1, -1), samples.context(0, 1)
    np.testing.assert_array_equal(before.image_rgb, colours(3, 4, 0))
    np.testing.assert_array_equal(after.image_rgb, colours(3, 4, 1))
    assert after.stamp_ns - before.stamp_ns == 100_000_001
    # A point 10 m ahead: the camera was 3 m farther back, and will be 3 m nearer.
    np.testing.assert_allclose(before.T_context_sample @ [0, 0, 10, 1], [0, 0, 13, 1], atol=1e-9)
    np.testing.assert_allclose(after.T_context_sample @ [0, 0, 10, 1], [0, 0, 7, 1], atol=1e-9)


def test_neighbours_are_of_the_same_scene(tmp_path):
    other = "000151/scene_b.json"
    write_data_set(tmp_path, splits={"1": {"filenames": [SCENE, other]}})
    write_text(tmp_path / other, json.dumps(scene_json()))
    samples = Samples(DgpReader(tmp_path))
    assert len(samples) == 4 and samples.context(1, 1) is None and samples.context(2, -1) is None
    assert samples.context(0, -1) is None and samples.context(3, 1) is None
    with pytest.raises(IndexError):
        samples.context(4, -1)


def test_each_camera_has_its_own_intrinsics(tmp_path):
    write_data_set(tmp_path)
    sample = Samples(DgpReader(tmp_path / "ddad.json", camera="CAMERA_05"))[1]
    camera = sample.camera
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == (8.0, 8.0, 1.0, 0.0)
    np.testing.assert_array_equal(sample.image_rgb, colours(3, 4, 101))


def test_cached_depth_may_be_the_truth_and_truth_may_be_absent(tmp_path):
    write_data_set(tmp_path)
    truth_m = Samples(DgpReader(tmp_path, truth="cached"))[0].truth_depth_m
    assert np.isfinite(truth_m).sum() == 1 and truth_m[2, 3] == 33.5
    assert Samples(DgpReader(tmp_path, truth="none"))[0].truth_depth_m is None


def test_the_other_spelling_of_protobuf_is_read(tmp_path):
    text = json.dumps(scene_json())
    for name, camel in (
        ("datum_keys", "datumKeys"),
        ("calibration_key", "calibrationKey"),
        ("point_cloud", "pointCloud"),
    ):
        text = text.replace(f'"{name}"', f'"{camel}"')
    write_data_set(tmp_path, json.loads(text.replace('"point_format"', '"pointFormat"')))
    assert Samples(DgpReader(tmp_path))[0].points_camera_m.shape == (2, 3)


def test_scans_of_records_are_read(tmp_path):
    folder = write_data_set(tmp_path)
    records = np.zeros(1, [("INTENSITY", "f4"), ("Z", "f8"), ("Y", "f8"), ("X", "f8")])
    records["X"], records["Y"], records["Z"] = 7.0, -1.0, -0.5
    np.savez(folder / "point_cloud" / "LIDAR" / "1550.npz", data=records)
    np.testing.assert_allclose(Samples(DgpReader(tmp_path))[0].points_camera_m, [[1.0, 0.5, 5.0]], atol=1e-5)


def test_wrong_options_are_refused(tmp_path):
    write_data_set(tmp_path)
    with pytest.raises(ConfigError, match="split: expected one of train, val, test, got 'eval'"):
        Samples(DgpReader(tmp_path, "eval"))
    with pytest.raises(ConfigError, match="truth: expected one of lidar, cached, none"):
        Samples(DgpReader(tmp_path, truth="depth"))
    with pytest.raises(DataError, match=r"ddad\.json: expected scenes of split train \(scene_splits 0\), got none"):
        Samples(DgpReader(tmp_path, "train"))
    with pytest.raises(DataError, match=r"CAMERA_02 and LIDAR in split val, got none of 2; they have: CAMERA_01, CAM"):
        Samples(DgpReader(tmp_path, camera="CAMERA_02"))
    with pytest.raises(DataError, match=r"expected one JSON file of the data set \(ddad\.json\), got 0"):
        Samples(DgpReader(tmp_path / "000150" / "rgb"))
    with pytest.raises(IndexError):
        Samples(DgpReader(tmp_path))[2]


def test_samples_without_the_camera_are_left_out_and_counted(tmp_path):
    scene = scene_json()
    scene["samples"][0]["datum_keys"].remove("CAMERA_050")
    write_data_set(tmp_path, scene)
    samples = Samples(DgpReader(tmp_path, camera="CAMERA_05"))
    assert [sample.name for sample in samples] == ["000150_CAMERA_05_1551"] and samples.reader.left_out == 1


def change_image(key, value):
    scene = scene_json()
    scene["data"][1]["datum"]["image"][key] = value
    return scene


def without(key):
    scene = scene_json()
    del scene[key]
    return scene


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        (change_image("filename", "../../../etc/passwd"), "expected a path inside"),
        (change_image("filename", "/etc/passwd"), "expected a path inside"),
        (change_image("filename", 5), "expected a text, got int"),
        (change_image("pose", None), "expected an object, got NoneType"),
        (change_image("pose", pose({"qw": 2.0}, 0, 0, 0)), "unit quaternion"),
        (change_image("pose", pose(UPRIGHT, "far", 0, 0)), "expected a number x, got 'far'"),
        (change_image("pose", pose(UPRIGHT, 10**400, 0, 0)), "expected a number x, got '1000"),
        (change_image("pose", pose(UPRIGHT, True, 0, 0)), "expected a number x, got 'True'"),
        (without("samples"), "expected a field 'samples', got name, data"),
        ({"samples": {}, "data": []}, "expected a list, got dict"),
        (
            {"samples": [{"datum_keys": ["absent"], "calibration_key": "c0e1"}], "data": []},
            "expected data for key 'absent'",
        ),
        ([1], "expected an object, got list"),
    ],
)
def test_a_broken_scene_is_refused_with_its_path(tmp_path, scene, reason):
    write_data_set(tmp_path, scene)
    with pytest.raises(DataError, match=reason) as caught:
        Samples(DgpReader(tmp_path))
    assert str(tmp_path / SCENE) in str(caught.value)


def test_a_wrong_time_is_refused(tmp_path):
    scene = scene_json()
    for wrong in ("today", "2019-13-29T12:34:56Z"):
        scene["data"][1]["id"]["timestamp"] = wrong
        write_data_set(tmp_path, scene)
        with pytest.raises(DataError, match=rf"scene_a8dc5ed1\.json: expected a timestamp.*{wrong}"):
            Samples(DgpReader(tmp_path))


def test_scenes_and_calibrations_elsewhere_are_refused(tmp_path):
    write_data_set(tmp_path, splits={"1": {"filenames": ["../other/scene.json"]}})
    with pytest.raises(DataError, match=r"ddad\.json: expected a path inside"):
        Samples(DgpReader(tmp_path))
    scene = scene_json()
    scene["samples"][0]["calibration_key"] = "../../../home/calibration"
    write_data_set(tmp_path, scene)
    with pytest.raises(DataError, match=r"scene_a8dc5ed1\.json: expected a path inside"):
        Samples(DgpReader(tmp_path))


@pytest.mark.parametrize(
    ("calibration", "reason"),
    [
        (CALIBRATION | {"names": ["LIDAR", "CAMERA_05", "CAMERA_06"]}, "expected CAMERA_01 among"),
        (CALIBRATION | {"intrinsics": CALIBRATION["intrinsics"][:2]}, "as many names as intrinsics"),
        (CALIBRATION | {"intrinsics": [CALIBRATION["intrinsics"][0]] * 3}, "fx, fy > 0"),
        (CALIBRATION | {"intrinsics": [{"fx": 1, "fy": 1, "skew": 3}] * 3}, "without skew, got 3"),
    ],
)
def test_a_broken_calibration_is_refused_with_its_path(tmp_path, calibration, reason):
    folder = write_data_set(tmp_path, calibration=calibration)
    with pytest.raises(DataError, match=reason) as caught:
        Samples(DgpReader(tmp_path))[0]
    assert str(folder / "calibration" / "c0e1.json") in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"points": np.zeros((2, 4), np.float32)}, "expected an array 'data', got points"),
        ({"data": np.zeros((2, 3), np.float32)}, r"expected floats \[N,4\]"),
        ({"data": np.zeros((2, 4), np.int32)}, r"expected floats \[N,4\]"),
        ({"data": np.zeros(2, [("X", "f4"), ("Y", "f4")])}, "expected records with X, Y, Z"),
        ({"data": np.zeros(2, [("X", "f4"), ("Y", "f4"), ("Z", "S4")])}, "expected one float each"),
    ],
)
def test_a_broken_scan_is_refused_with_its_path(tmp_path, arrays, reason):
    path = write_data_set(tmp_path) / "point_cloud" / "LIDAR" / "1550.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=reason) as caught:
        Samples(DgpReader(tmp_path))[0]
    assert str(path) in str(caught.value)


def test_a_missing_image_and_cached_depth_of_another_size_are_refused(tmp_path):
    folder = write_data_set(tmp_path)
    path = folder / "depth" / "lidar" / "CAMERA_01" / "1550.npz"
    np.savez(path, depth=np.zeros((4, 3), np.float32))
    with pytest.raises(DataError, match=r"1550\.npz: expected shape \(3, 4\) of its image, got \(4, 3\)"):
        Samples(DgpReader(tmp_path, truth="cached"))[0]
    (folder / "rgb" / "CAMERA_01" / "1550.png").unlink()
    with pytest.raises(DataError, match=r"rgb/CAMERA_01/1550\.png: expected a file"):
        Samples(DgpReader(tmp_path))[0]
