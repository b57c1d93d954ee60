# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 <-> arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.point_times import NO_TIME, TIME_FIELDS, split_unit, time_offsets
from mono_depth_ros.messages.timed_points import MIN_RANGE_M, TimedPoints, is_measured

# A message may claim any size; a 128-beam LiDAR at its finest has about half a million points.
MAX_POINTS = 16 * 1024 * 1024

UINT8, FLOAT32 = 2, 7
# sensor_msgs/PointField datatype -> element type; 9 and 10 are not in the message's definition, but PCL writes them.
_ELEMENTS: dict[int, str] = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", FLOAT32: "f4", 8: "f8", 9: "i8", 10: "u8"
}  # fmt: skip


class PointFieldMessage(Protocol):
    """The attributes of sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int


class PointCloudMessage(Protocol):
    """The attributes of sensor_msgs/PointCloud2 that are read here; data is anything with the buffer protocol."""

    height: int
    width: int
    fields: Sequence[PointFieldMessage]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any


@dataclass(frozen=True, slots=True)
class PointFieldSpec:
    """The values of one sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class PointCloudFields:
    """The values of a sensor_msgs/PointCloud2 without its header; data is uint8 [height * row_step]."""

    height: int
    width: int
    fields: tuple[PointFieldSpec, ...]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: NDArray[np.uint8]
    is_dense: bool


XYZ_FIELDS = (
    PointFieldSpec("x", 0, FLOAT32, 1),
    PointFieldSpec("y", 4, FLOAT32, 1),
    PointFieldSpec("z", 8, FLOAT32, 1),
)
ORGANIZED_FIELDS = (*XYZ_FIELDS, PointFieldSpec("rgb", 12, FLOAT32, 1))
MARKED_FIELDS = (*ORGANIZED_FIELDS, PointFieldSpec("sigma", 16, FLOAT32, 1), PointFieldSpec("mode", 20, UINT8, 1))


def decode_xyz(msg: PointCloudMessage) -> NDArray[np.float32]:
    """The positions in a point cloud, whatever the order, types and padding of its fields.

    Points with a NaN or an infinity in any coordinate are dropped: drivers mark missing returns that way.

    Returns:
        float32 [N,3], metres, in the frame of the message's header.

    Raises:
        DataError: a coordinate field is missing or of unknown type, or there are fewer bytes than the size needs.
    """
    points_m = _xyz(msg)
    return points_m[np.isfinite(points_m).all(axis=1)]


def decode_timed_points(
    msg: PointCloudMessage, stamp_ns: int, time_field: str | None = None, min_range_m: float = MIN_RANGE_M
) -> TimedPoints:
    """The positions, and when each was measured where the driver says it.

    Drivers name it `t`, `time`, `timestamp`, `offset_time`, `time_stamp`, `timeStamp` or `stamps`; what the numbers
    mean is `time_offsets`'s to say. Times that make no sense cost the times, never the points.

    Args:
        msg: the cloud.
        stamp_ns: of its header.
        time_field: name of the field, with a unit behind a colon where it is another than usual ("t:us"); None takes
            the first of the usual names that is there, "none" takes none.
        min_range_m: points nearer to the origin, and those that are not finite, are no measurements and are dropped.

    Raises:
        DataError: as `decode_xyz`; or the named field is not there, or its unit is unknown.
    """
    points_m = _xyz(msg)
    measured = is_measured(points_m, min_range_m)
    fields = {str(field.name): field for field in msg.fields}
    name, unit = next((name for name in TIME_FIELDS if name in fields), NO_TIME), ""
    if time_field is not None:
        name, unit = split_unit(time_field)
    if name == NO_TIME or len(points_m) == 0:
        return TimedPoints(points_m[measured])
    if name not in fields:
        raise DataError(f"point cloud: expected a field {name!r} with times, got {', '.join(fields)}")
    try:
        times = _column(msg, fields[name])
    except DataError as error:
        return TimedPoints(points_m[measured], None, f"{error}; set lidar.time_field to {NO_TIME} or another field")
    return TimedPoints(points_m[measured], *time_offsets(times[measured], stamp_ns, name, unit))


def xyz_cloud_fields(points_m: NDArray[np.float32]) -> PointCloudFields:
    """What to put into a PointCloud2 of positions alone, as a LiDAR's or a depth camera's driver publishes it.

    Args:
        points_m: float32 [N,3], or [rows,cols,3] with the top left first; metres, NaN where nothing was measured.

    Raises:
        DataError: another shape.
    """
    if points_m.ndim not in (2, 3) or points_m.shape[-1] != 3:
        raise DataError(f"points_m: expected shape [N,3] or [rows,cols,3], got {points_m.shape}")
    rows, cols = points_m.shape[:2] if points_m.ndim == 3 else (1, len(points_m))
    data = np.ascontiguousarray(points_m, "<f4").reshape(-1).view(np.uint8)
    return PointCloudFields(rows, cols, XYZ_FIELDS, False, 12, 12 * cols, data, bool(np.isfinite(points_m).all()))


def organized_cloud_fields(
    points_m: NDArray[np.float32],
    image_rgb: NDArray[np.uint8],
    sigma_m: NDArray[np.float32] | None = None,
    mode: NDArray[np.uint8] | None = None,
) -> PointCloudFields:
    """What to put into an organized, coloured PointCloud2: x, y, z and a packed rgb field, row by row like the image.

    A point with any unknown coordinate becomes all NaN, and then `is_dense` is False.

    Args:
        points_m: float32 [H,W,3], metres, NaN where unknown.
        image_rgb: uint8 [H,W,3].
        sigma_m: float32 [H,W], standard deviation of z: a field sigma; None without.
        mode: uint8 [H,W], as in DepthStatus: a field mode; None without. With either, a point has both.

    Raises:
        DataError: shapes or types differ from these.
    """
    if points_m.ndim != 3 or points_m.shape[2] != 3:
        raise DataError(f"points_m: expected shape [H,W,3], got {points_m.shape}")
    if image_rgb.shape != points_m.shape or image_rgb.dtype != np.uint8:
        raise DataError(f"image_rgb: expected uint8 {points_m.shape}, got {image_rgb.dtype} {image_rgb.shape}")
    height, width = points_m.shape[:2]
    unknown = ~np.isfinite(points_m).all(axis=2)
    marked = sigma_m is not None or mode is not None
    fields = MARKED_FIELDS if marked else ORGANIZED_FIELDS
    cloud = np.zeros((height, width, len(fields)), "<f4")
    cloud[:, :, :3] = points_m
    cloud[unknown, :3] = np.nan
    red, green, blue = (image_rgb[:, :, channel].astype(np.uint32) for channel in range(3))
    # Viewers read the bits of this float as 0x00RRGGBB.
    cloud.view("<u4")[:, :, 3] = (red << 16) | (green << 8) | blue
    if marked:
        cloud[:, :, 4] = np.nan if sigma_m is None else sigma_m
        cloud.view(np.uint8)[:, :, 20] = 0 if mode is None else mode
    data, step = cloud.reshape(-1).view(np.uint8), 4 * len(fields)
    return PointCloudFields(height, width, fields, False, step, step * width, data, not bool(unknown.any()))


def _xyz(msg: PointCloudMessage) -> NDArray[np.float32]:
    """All positions, float32 [N,3], also those that are not finite."""
    columns = {str(field.name): field for field in msg.fields}
    missing = [name for name in ("x", "y", "z") if name not in columns]
    if missing:
        raise DataError(
            f"point cloud: expected fields x, y and z, got {', '.join(columns) or 'no field'}; "
            f"missing {', '.join(missing)}; is this the driver's cloud of points?"
        )
    if int(msg.height) < 0 or int(msg.width) < 0 or int(msg.height) * int(msg.width) > MAX_POINTS:
        raise DataError(
            f"point cloud: expected at most {MAX_POINTS} points, got width {msg.width} and height {msg.height}"
        )
    if int(msg.height) * int(msg.width) == 0:
        if int(msg.width) and len(msg.data):
            raise DataError(
                f"point cloud: expected a height of at least 1 for {msg.width} points in {len(msg.data)} bytes, got 0; "
                "a list of N points has width N and height 1"
            )
        return np.empty((0, 3), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # a double beyond float32 becomes an infinity and is dropped
        return np.stack([_column(msg, columns[name]).astype(np.float32) for name in ("x", "y", "z")], axis=1)


def _column(msg: PointCloudMessage, field: PointFieldMessage) -> NDArray[Any]:
    """One field of every point [H*W], in the type of the message."""
    if int(field.datatype) not in _ELEMENTS:
        raise DataError(
            f"point cloud field {field.name}: expected a datatype from 1 (INT8) to 8 (FLOAT64), or 9 or 10 (64-bit "
            f"integers), got {field.datatype}"
        )
    dtype = np.dtype(_ELEMENTS[int(field.datatype)]).newbyteorder(">" if msg.is_bigendian else "<")
    height, width = int(msg.height), int(msg.width)
    offset, point_step, row_step = int(field.offset), int(msg.point_step), int(msg.row_step)
    if offset < 0 or point_step < offset + dtype.itemsize:
        raise DataError(
            f"point cloud: field {field.name} ends at byte {offset + dtype.itemsize} of a point, "
            f"but point_step is {point_step}; the message contradicts itself"
        )
    if height > 1 and row_step < width * point_step:
        raise DataError(
            f"point cloud: expected a row_step of at least {width * point_step} bytes "
            f"({width} points of {point_step}), got {row_step}"
        )
    try:
        data = np.frombuffer(msg.data, dtype=np.uint8) if len(msg.data) else np.empty(0, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise DataError(
            f"point cloud: expected a buffer of bytes in its data, got {type(msg.data).__name__}"
        ) from error
    needed = (height - 1) * row_step + width * point_step
    if data.size < needed:
        raise DataError(
            f"point cloud: expected {needed} bytes ({height} rows of {width} points of {point_step} bytes), "
            f"got {data.size}; the message is truncated"
        )
    values = np.ndarray((height, width), dtype, buffer=data, offset=offset, strides=(row_step, point_step))
    return values.reshape(-1)
