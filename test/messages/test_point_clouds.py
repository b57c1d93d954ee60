# SPDX-License-Identifier: Apache-2.0
"""Point cloud messages: any layout in, one organized layout out."""

from types import SimpleNamespace

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.point_clouds import (
    FLOAT32,
    decode_timed_points,
    decode_xyz,
    organized_cloud_fields,
    xyz_cloud_fields,
)

POINTS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [-1, -2, -3], [0, 0.5, 0.25], [10, 20, 30]], np.float32)
DATATYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8, "i8": 9, "u8": 10}


def cloud(layout, point_step, height=1, row_padding=0, order="<", points=POINTS):
    """A stand-in for sensor_msgs/PointCloud2; layout is [(name, element, offset)]."""
    dtype = np.dtype(
        {
            "names": [name for name, _, _ in layout],
            "formats": [order + element for _, element, _ in layout],
            "offsets": [offset for _, _, offset in layout],
            "itemsize": point_step,
        }
    )
    values = np.zeros(len(points), dtype)
    for name in dtype.names:
        values[name] = points[:, "xyz".index(name)] if name in "xyz" else 77
    rows = np.frombuffer(values.tobytes(), np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, row_padding), 0xCD, np.uint8)])
    return SimpleNamespace(
        height=height,
        width=len(points) // height,
        fields=[SimpleNamespace(name=n, offset=o, datatype=DATATYPES[e], count=1) for n, e, o in layout],
        is_bigendian=order == ">",
        point_step=point_step,
        row_step=rows.shape[1],
        data=rows.tobytes(),
    )


XYZ = [("x", "f4", 0), ("y", "f4", 4), ("z", "f4", 8)]


def test_packed_floats_are_read():
    assert np.array_equal(decode_xyz(cloud(XYZ, 12)), POINTS)


def test_any_order_mixed_types_and_padding_are_read():
    layout = [("intensity", "u1", 1), ("z", "f8", 4), ("x", "f4", 20), ("ring", "u2", 14), ("y", "f8", 28)]
    assert np.array_equal(decode_xyz(cloud(layout, 41)), POINTS)


def test_row_padding_of_an_organized_cloud_is_skipped():
    assert np.array_equal(decode_xyz(cloud(XYZ, 16, height=2, row_padding=5)), POINTS)


def test_big_endian_clouds_are_read():
    assert np.array_equal(decode_xyz(cloud(XYZ, 12, order=">")), POINTS)


def test_integer_coordinates_are_read():
    layout = [("x", "i2", 0), ("y", "i4", 2), ("z", "i1", 6)]
    assert np.array_equal(decode_xyz(cloud(layout, 8, points=np.rint(POINTS))), np.rint(POINTS))


def test_points_with_nan_or_infinity_are_dropped():
    points = POINTS.copy()
    points[1, 0], points[2, 1], points[3, 2] = np.nan, np.inf, -np.inf
    assert np.array_equal(decode_xyz(cloud(XYZ, 12, points=points)), POINTS[[0, 4, 5]])


def test_doubles_beyond_float32_are_dropped():
    points = POINTS.astype(np.float64)
    points[0, 0] = 1e300
    layout = [("x", "f8", 0), ("y", "f8", 8), ("z", "f8", 16)]
    assert np.array_equal(decode_xyz(cloud(layout, 24, points=points)), POINTS[1:])


def test_an_empty_cloud_has_no_points():
    assert decode_xyz(cloud(XYZ, 12, points=POINTS[:0])).shape == (0, 3)


def test_missing_field_lists_the_fields_there_are():
    with pytest.raises(DataError, match="got intensity, z; missing x, y"):
        decode_xyz(cloud([("intensity", "f4", 0), ("z", "f4", 4)], 8))


def test_truncated_cloud_says_expected_and_got():
    message = cloud(XYZ, 12)
    message.data = message.data[:-1]
    with pytest.raises(DataError, match=r"expected 72 bytes .* got 71; the message is truncated"):
        decode_xyz(message)


def test_field_outside_of_its_point_is_refused():
    message = cloud(XYZ, 12)
    message.point_step = 10
    with pytest.raises(DataError, match="ends at byte 12 of a point, but point_step is 10"):
        decode_xyz(message)


def test_row_step_shorter_than_its_points_is_refused():
    message = cloud(XYZ, 12, height=2)
    message.row_step = 35
    with pytest.raises(DataError, match="row_step of at least 36"):
        decode_xyz(message)


def test_unknown_datatype_is_refused():
    message = cloud(XYZ, 12)
    message.fields[1].datatype = 11
    with pytest.raises(DataError, match=r"field y: expected a datatype from 1 .* got 11"):
        decode_xyz(message)


def test_absurd_size_is_refused_before_anything_is_allocated():
    message = cloud(XYZ, 12)
    message.width = message.height = 2**31
    with pytest.raises(DataError, match="expected at most"):
        decode_xyz(message)


def test_organized_cloud_has_the_layout_that_viewers_expect():
    points_m = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    rgb = np.zeros((2, 4, 3), np.uint8)
    rgb[1, 2] = (1, 2, 3)
    fields = organized_cloud_fields(points_m, rgb)
    layout = [(f.name, f.offset, f.datatype, f.count) for f in fields.fields]
    assert layout == [("x", 0, FLOAT32, 1), ("y", 4, FLOAT32, 1), ("z", 8, FLOAT32, 1), ("rgb", 12, FLOAT32, 1)]
    assert (fields.height, fields.width, fields.point_step, fields.row_step) == (2, 4, 16, 64)
    assert fields.is_dense and not fields.is_bigendian
    assert fields.data.view("<u4").reshape(2, 4, 4)[1, 2, 3] == 0x00010203
    assert np.array_equal(decode_xyz(fields), points_m.reshape(-1, 3))


def test_organized_cloud_with_an_unknown_point_is_not_dense():
    points_m = np.ones((1, 2, 3), np.float32)
    points_m[0, 1, 2] = np.nan
    fields = organized_cloud_fields(points_m, np.zeros((1, 2, 3), np.uint8))
    assert not fields.is_dense
    assert np.isnan(fields.data.view("<f4").reshape(2, 4)[1, :3]).all()


def test_a_marked_cloud_has_sigma_and_mode_behind_its_colours():
    sigma_m = np.array([[0.5, np.nan]], np.float32)
    fields = organized_cloud_fields(
        np.ones((1, 2, 3), np.float32), np.zeros((1, 2, 3), np.uint8), sigma_m, np.array([[1, 2]], np.uint8)
    )
    assert [(f.name, f.offset, f.datatype) for f in fields.fields[4:]] == [("sigma", 16, FLOAT32), ("mode", 20, 2)]
    assert (fields.point_step, fields.row_step, fields.data.size) == (24, 48, 48)
    assert fields.data[20::24].tolist() == [1, 2]
    np.testing.assert_array_equal(fields.data.view("<f4").reshape(2, 6)[:, 4], sigma_m[0])


def test_organized_cloud_needs_a_colour_per_point():
    with pytest.raises(DataError, match="image_rgb: expected uint8"):
        organized_cloud_fields(np.ones((2, 2, 3), np.float32), np.zeros((2, 3, 3), np.uint8))


def test_a_list_of_positions_reads_back_as_written():
    fields = xyz_cloud_fields(POINTS)
    assert (fields.height, fields.width, fields.point_step, fields.row_step) == (1, 6, 12, 72)
    np.testing.assert_array_equal(decode_xyz(fields), POINTS)
    assert len(decode_xyz(xyz_cloud_fields(POINTS[:0]))) == 0


def test_a_grid_of_positions_stays_one_with_what_was_not_measured():
    points_m = POINTS.reshape(2, 3, 3).copy()
    points_m[0, 1] = np.nan
    fields = xyz_cloud_fields(points_m)
    assert (fields.height, fields.width, fields.row_step, fields.is_dense) == (2, 3, 36, False)
    np.testing.assert_array_equal(decode_xyz(fields), np.delete(POINTS, 1, axis=0))


def test_positions_of_two_numbers_are_refused():
    with pytest.raises(DataError, match="points_m: expected"):
        xyz_cloud_fields(np.zeros((4, 2), np.float32))


def test_points_without_a_row_are_refused():
    message = cloud(XYZ, 12)
    message.height = 0
    with pytest.raises(DataError, match="height of at least 1 for 6 points in 72 bytes, got 0"):
        decode_xyz(message)
    message.data = b""
    assert decode_xyz(message).shape == (0, 3)


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_data_may_be_any_buffer(buffer):
    message = cloud(XYZ, 12)
    message.data = buffer(message.data)
    assert np.array_equal(decode_xyz(message), POINTS)


STAMP_NS = 1_700_000_000_000_000_000


def timed_cloud(name, element, times, points=POINTS[:2]):
    layout = [*XYZ, (name, element, 12)]
    message = cloud(layout, 20, points=points)
    data = np.frombuffer(message.data, np.uint8).copy()
    for place, time in enumerate(times):
        raw = np.array([time], np.dtype(element)).tobytes()
        data[place * 20 + 12 : place * 20 + 12 + len(raw)] = np.frombuffer(raw, np.uint8)
    return SimpleNamespace(**{**vars(message), "data": data.tobytes()})


@pytest.mark.parametrize(
    ("name", "element", "times"),
    [
        ("t", "u4", [0, 50_000_000]),  # ns after the stamp
        ("offset_time", "u4", [0, 50_000_000]),
        ("time_stamp", "u4", [0, 50_000_000]),
        ("t", "u8", [0, 50_000_000]),
        ("time", "f4", [0.0, 0.05]),  # s after the stamp
        ("timestamp", "f8", [1.7e9, 1.7e9 + 0.05]),  # a clock in s
        ("timeStamp", "f8", [1.7e18, 1.7e18 + 5e7]),  # a clock in ns
        ("stamps", "i8", [STAMP_NS, STAMP_NS + 50_000_000]),
    ],
)
def test_times_of_points_are_seconds_after_the_stamp(name, element, times):
    points = decode_timed_points(timed_cloud(name, element, times), STAMP_NS)
    np.testing.assert_allclose(points.offsets_s, [0.0, 0.05], atol=1e-6)
    assert np.array_equal(points.points_m, POINTS[:2]) and points.warning == ""


def test_points_that_are_dropped_take_their_times_with_them():
    points = np.array([[np.nan, 0, 0], [1, 2, 3]], np.float32)
    found = decode_timed_points(timed_cloud("t", "u4", [7, 9], points), STAMP_NS)
    np.testing.assert_allclose(found.offsets_s, [9e-9])


def test_rays_without_a_return_are_no_points_and_have_no_times():
    points = np.array([[0, 0, 0], [1, 2, 3]], np.float32)
    found = decode_timed_points(timed_cloud("t", "u4", [4_000_000_000, 9], points), STAMP_NS)
    assert np.array_equal(found.points_m, points[1:]) and found.warning == ""
    np.testing.assert_allclose(found.offsets_s, [9e-9])


@pytest.mark.parametrize(("min_range_m", "kept"), [(0.0, 2), (0.25, 2), (0.75, 1), (1.25, 0)])
def test_points_nearer_than_the_minimum_are_dropped(min_range_m, kept):
    points = np.array([[0, 0, 0], [0, -0.25, 0], [0.6, 0, -0.8]], np.float32)
    found = decode_timed_points(cloud(XYZ, 12, points=points), STAMP_NS, min_range_m=min_range_m)
    assert np.array_equal(found.points_m, points[3 - kept :])


def test_clouds_without_times_or_with_times_to_be_ignored_have_none():
    assert decode_timed_points(cloud(XYZ, 12), STAMP_NS).offsets_s is None
    assert decode_timed_points(timed_cloud("t", "u4", [0, 5]), STAMP_NS, "none").offsets_s is None


def test_a_named_field_has_to_be_there():
    with pytest.raises(DataError, match="expected a field 'stamp' with times, got x, y, z, t"):
        decode_timed_points(timed_cloud("t", "u4", [0, 5]), STAMP_NS, "stamp")
    found = decode_timed_points(timed_cloud("stamp", "f4", [0, 0.5]), STAMP_NS, "stamp")
    np.testing.assert_allclose(found.offsets_s, [0.0, 0.5])


def test_a_named_field_may_have_a_unit():
    found = decode_timed_points(timed_cloud("tick", "u4", [0, 50_000]), STAMP_NS, "tick:us")
    np.testing.assert_allclose(found.offsets_s, [0.0, 0.05])
    with pytest.raises(DataError, match="expected a unit of s, ms, us, ns behind the colon, got 'min'"):
        decode_timed_points(timed_cloud("tick", "u4", [0, 5]), STAMP_NS, "tick:min")


def test_times_that_cannot_be_read_cost_no_points():
    message = timed_cloud("t", "u4", [0, 5])
    message.fields[3].datatype = 11
    found = decode_timed_points(message, STAMP_NS)
    assert np.array_equal(found.points_m, POINTS[:2]) and found.offsets_s is None
    assert "got 11; set lidar.time_field" in found.warning
