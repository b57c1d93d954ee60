# SPDX-License-Identifier: Apache-2.0
"""What synthetic sensors measured as the fields of messages, laid out as the drivers of real ones do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mono_depth_ros.messages.images import ImageFields
from mono_depth_ros.messages.point_clouds import FLOAT32, XYZ_FIELDS, PointCloudFields, PointFieldSpec
from mono_depth_ros.synthetic.sensors.lidar import SyntheticScan

_UINT16 = 4
# As the drivers of common spinning LiDARs lay it out.
_SCAN_POINT = np.dtype(
    {
        "names": ["xyz", "intensity", "ring", "time"],
        "formats": [("<f4", (3,)), "<f4", "<u2", "<f4"],
        "offsets": [0, 12, 16, 18],
        "itemsize": 22,
    }
)
SCAN_FIELDS = (
    *XYZ_FIELDS,
    PointFieldSpec("intensity", 12, FLOAT32, 1),
    PointFieldSpec("ring", 16, _UINT16, 1),
    PointFieldSpec("time", 18, FLOAT32, 1),
)


def scan_cloud(scan: SyntheticScan) -> PointCloudFields:
    """A revolution as x, y, z, intensity, ring and time (float32, seconds after the header's stamp)."""
    points = np.zeros(len(scan.points_lidar), _SCAN_POINT)
    points["xyz"], points["intensity"] = scan.points_lidar, scan.intensity
    points["ring"], points["time"] = scan.ring, scan.time_s
    data = points.view(np.uint8).reshape(-1)
    dense = bool(np.isfinite(scan.points_lidar).all())
    step = _SCAN_POINT.itemsize
    return PointCloudFields(1, len(points), SCAN_FIELDS, False, step, step * len(points), data, dense)


def label_image(labels: npt.NDArray[np.uint8]) -> ImageFields:
    """Classes uint8 [H, W] as mono8."""
    height, width = labels.shape
    return ImageFields(height, width, "mono8", 0, width, np.ascontiguousarray(labels).reshape(-1))
