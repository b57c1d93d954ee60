# SPDX-License-Identifier: Apache-2.0
"""NYUv2 in HDF5, from a data set of two images."""

import sys

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="NYUv2: h5py is not installed")

from mono_depth_ros.datasets.releases.nyu import NyuReader  # noqa: E402
from mono_depth_ros.datasets.sample import Samples  # noqa: E402
from mono_depth_ros.errors import ConfigError, DataError  # noqa: E402


def write_image(path, rgb=None, depth=None, **layout):
    path.parent.mkdir(parents=True, exist_ok=True)
    if rgb is None:
        rgb = np.zeros((3, 480, 640), np.uint8)
        rgb[:, 479, 639] = 1, 2, 3
    if depth is None:
        depth = np.full((480, 640), 2.5, np.float32)
        depth[0, 0], depth[1, 2], depth[3, 4] = 0.0, 9.75, np.nan
    with h5py.File(path, "w") as file:
        file.create_dataset("rgb", data=rgb, **layout)
        file.create_dataset("depth", data=depth)
    return path


@pytest.fixture
def root(tmp_path):
    write_image(tmp_path / "nyudepthv2" / "val" / "official" / "00001.h5")
    write_image(tmp_path / "nyudepthv2" / "val" / "official" / "00002.h5")
    write_image(tmp_path / "nyudepthv2" / "train" / "kitchen_0001a" / "00001.h5", compression="gzip")
    return tmp_path


def test_a_sample_has_what_the_file_says_at_full_size(root):
    samples = Samples(NyuReader(root))
    sample = samples[0]
    assert len(samples) == 2 and sample.name == "00001" and sample.points_camera_m is None
    assert sample.image_rgb.shape == (480, 640, 3) and sample.image_rgb[479, 639].tolist() == [1, 2, 3]
    assert sample.camera.fx_px == pytest.approx(518.86, abs=0.005)
    assert sample.camera.fy_px == pytest.approx(519.47, abs=0.005)
    assert (sample.camera.cx_px, sample.camera.cy_px) == pytest.approx((325.58, 253.74), abs=0.005)
    truth_m = sample.truth_depth_m
    assert truth_m.dtype == np.float32 and truth_m[1, 2] == 9.75 and truth_m[100, 100] == 2.5
    assert np.isnan(truth_m[[0, 3], [0, 4]]).all() and np.isfinite(truth_m).sum() == 480 * 640 - 2


def test_training_scenes_are_folders(root):
    samples = Samples(NyuReader(root / "nyudepthv2", "train"))
    assert [sample.name for sample in samples] == ["kitchen_0001a_00001"]


def test_half_precision_depth_is_read(root):
    path = root / "nyudepthv2" / "val" / "official" / "00001.h5"
    write_image(path, depth=np.full((480, 640), 3.5, np.float16))
    assert Samples(NyuReader(root))[0].truth_depth_m[5, 5] == 3.5


def test_a_wrong_split_and_an_empty_folder_are_refused(root):
    with pytest.raises(ConfigError, match="split: expected one of train, val, got 'test'"):
        Samples(NyuReader(root, "test"))
    with pytest.raises(DataError, match=r"train/train: expected files \*\.h5"):
        Samples(NyuReader(root / "nyudepthv2" / "train", "train"))
    with pytest.raises(IndexError):
        Samples(NyuReader(root))[2]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rgb": np.zeros((480, 640, 3), np.uint8)}, r"expected rgb of kind 'u' and shape \(3, 480, 640\)"),
        ({"rgb": np.zeros((3, 480, 640), np.uint16)}, "expected rgb of uint8, got uint16"),
        ({"depth": np.zeros((480, 640), np.uint16)}, "expected depth of kind 'f'"),
        ({"depth": np.zeros((240, 320), np.float32)}, r"got float32 \(240, 320\)"),
    ],
)
def test_another_layout_is_refused_with_its_path(root, change, reason):
    path = write_image(root / "nyudepthv2" / "val" / "official" / "00001.h5", **change)
    with pytest.raises(DataError, match=reason) as caught:
        Samples(NyuReader(root))[0]
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no HDF5", None])
def test_a_broken_file_is_refused_with_its_path(root, content):
    path = root / "nyudepthv2" / "val" / "official" / "00001.h5"
    path.write_bytes(path.read_bytes()[:100_000] if content is None else content)
    with pytest.raises(DataError, match=r"00001\.h5: expected an HDF5 file"):
        Samples(NyuReader(root))[0]


def test_arrays_of_other_files_are_not_followed(root):
    folder = root / "nyudepthv2" / "val" / "official"
    (root / "secret").write_bytes(bytes(480 * 640 * 4))
    with h5py.File(folder / "00001.h5", "w") as file:
        file["rgb"] = h5py.ExternalLink(str(folder / "00002.h5"), "rgb")
    with pytest.raises(DataError, match=r"00001\.h5: expected an array 'rgb' in the file, got none"):
        Samples(NyuReader(root))[0]
    with h5py.File(folder / "00001.h5", "w") as file:
        file["rgb"] = np.zeros((3, 480, 640), np.uint8)
        outside = [(str(root / "secret"), 0, 480 * 640 * 4)]
        file.create_dataset("depth", (480, 640), "<f4", external=outside)
    with pytest.raises(DataError, match=r"00001\.h5: expected depth stored in this file"):
        Samples(NyuReader(root))[0]


def test_a_missing_package_is_named_with_the_command_that_installs_it(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match="pip install h5py"):
        Samples(NyuReader(root))
