# SPDX-License-Identifier: Apache-2.0
"""Files from strangers: what is read, and what is refused with its path."""

import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from mono_depth_ros.datasets.releases import data_files
from mono_depth_ros.datasets.releases.data_files import (
    path_inside,
    read_bytes,
    read_depth_png,
    read_json,
    read_lines,
    read_npz_array,
    read_numbers,
    read_rgb,
)
from mono_depth_ros.errors import DataError


def png_bytes(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def npy_bytes(header: dict, data: bytes) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def write_npz(path, name, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def test_depth_is_in_256ths_of_a_metre_and_zero_is_unknown(tmp_path):
    path = tmp_path / "depth.png"
    path.write_bytes(png_bytes(np.array([[0, 256, 2570], [1, 65535, 0]], np.uint16)))
    expected = [[np.nan, 1.0, 10.0390625], [0.00390625, 255.99609375, np.nan]]
    depth_m = read_depth_png(path)
    assert depth_m.dtype == np.float32
    np.testing.assert_array_equal(depth_m, expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png_bytes(np.zeros((2, 2), np.uint8)), "16 bits, got 8 bits"),
        (png_bytes(np.zeros((2, 2, 3), np.uint16)), "colour type 2"),
        (png_bytes(np.arange(10_000, dtype=np.uint16).reshape(100, 100))[:-200], "truncated"),
        (b"\x89PNG", "expected a PNG"),
        (b"", "expected a PNG"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\x00\x01\x00\x00" * 2 + b"\x10\0\0\0\0" + b"\0" * 20 + b"IEND",
            "65536x65536",
        ),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\x00\x00\x00\x04" * 2 + b"\x10\0\0\0\0" + b"\0" * 20 + b"IEND",
            "broken|decoded",
        ),
    ],
)
def test_a_broken_depth_image_is_refused_with_its_path(tmp_path, content, reason):
    path = tmp_path / "depth.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_depth_png(path)
    assert str(path) in str(caught.value)


def test_an_image_is_rgb(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(png_bytes(np.array([[[3, 2, 1]]], np.uint8)))  # OpenCV writes BGR
    assert read_rgb(path).tolist() == [[[1, 2, 3]]]


def test_a_broken_image_is_refused_with_its_path(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"image\.png: .*expected JPEG or PNG"):
        read_rgb(path)


@pytest.mark.parametrize(
    "relative",
    ["../secret", "/etc/passwd", "a/../../b", "", "..", "~/x", "a\0b", "..\\b", "c:/x", ".", "a\ud800", "a\nb"],
)
def test_a_path_that_leaves_the_root_is_refused(tmp_path, relative):
    with pytest.raises(DataError, match=r"scene\.json: expected a path inside"):
        path_inside(tmp_path, relative, tmp_path / "scene.json")


def test_a_path_inside_is_joined(tmp_path):
    assert path_inside(tmp_path, "rgb/./a.png", tmp_path / "s.json") == tmp_path / "rgb" / "a.png"


def test_a_missing_file_a_folder_and_a_large_file_are_told_apart(tmp_path):
    (tmp_path / "large").write_bytes(b"12345")
    with pytest.raises(DataError, match="absent: expected a file, got nothing there"):
        read_bytes(tmp_path / "absent", 10)
    with pytest.raises(DataError, match="a folder"):
        read_bytes(tmp_path, 10)
    with pytest.raises(DataError, match="large: expected at most 4 bytes"):
        read_bytes(tmp_path / "large", 4)
    assert read_bytes(tmp_path / "large", 5) == b"12345"


def test_lines_are_stripped_and_blank_ones_dropped(tmp_path):
    (tmp_path / "list.txt").write_text("a b \r\n\n  c\n")
    assert read_lines(tmp_path / "list.txt") == ["a b", "c"]


@pytest.mark.parametrize(
    ("text", "reason"), [("1 2", "expected 3 numbers, got 2"), ("1 2 x", "'x'"), ("1 nan 3", "finite")]
)
def test_wrong_numbers_are_refused_with_their_path(tmp_path, text, reason):
    (tmp_path / "K.txt").write_text(text)
    with pytest.raises(DataError, match=rf"K\.txt: .*{reason}"):
        read_numbers(tmp_path / "K.txt", (3,))


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 200_000])
def test_what_is_not_json_is_refused_with_its_path(tmp_path, content):
    (tmp_path / "scene.json").write_bytes(content)
    with pytest.raises(DataError, match=r"scene\.json: expected"):
        read_json(tmp_path / "scene.json")


def test_json_is_read(tmp_path):
    (tmp_path / "scene.json").write_text(json.dumps({"a": [1]}))
    assert read_json(tmp_path / "scene.json") == {"a": [1]}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_read_as_numpy_would(tmp_path, save, order):
    array = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32, order=order)
    save(tmp_path / "a.npz", depth=array)
    read = read_npz_array(tmp_path / "a.npz", "depth")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, array)


def test_a_missing_key_lists_what_is_there(tmp_path):
    np.savez(tmp_path / "a.npz", velodyne=np.zeros(1))
    with pytest.raises(DataError, match=r"a\.npz: expected an array 'depth', got velodyne"):
        read_npz_array(tmp_path / "a.npz", "depth")


def test_python_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", depth=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"a\.npz: depth: expected numbers, got Python objects"):
        read_npz_array(tmp_path / "a.npz", "depth")


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path):
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    path = write_npz(tmp_path / "a.npz", "depth.npy", npy_bytes(header, b"\0" * 16))
    with pytest.raises(DataError, match=r"a\.npz: depth: expected \(1099511627776,\) of float32"):
        read_npz_array(path, "depth")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\0\xff\xff", b"\x93NUMPY\x09\0", b"no array"])
def test_a_broken_array_is_refused_with_its_path(tmp_path, content):
    path = write_npz(tmp_path / "a.npz", "depth.npy", content)
    with pytest.raises(DataError, match=r"a\.npz: depth: expected"):
        read_npz_array(path, "depth")


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", depth=np.zeros(100_000))
    monkeypatch.setattr(data_files, "MAX_ARRAY_BYTES", 10_000)
    with pytest.raises(DataError, match=r"a\.npz: expected depth of at most 10000 bytes, got 800128"):
        read_npz_array(tmp_path / "a.npz", "depth")


def test_a_truncated_or_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, depth=np.random.default_rng(0).normal(size=1000))
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"a\.npz: expected an \.npz file"):
        read_npz_array(path, "depth")
    path.write_bytes(whole[:500] + b"\xff" * 400 + whole[900:])
    with pytest.raises(DataError, match=r"a\.npz: "):
        read_npz_array(path, "depth")
