# SPDX-License-Identifier: Apache-2.0
"""TF as a source of extrinsics. A failed look-up is a reason, never the identity."""

from typing import Any

import numpy as np

from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.messages.odometry import decode_transform


class TfTransforms:
    """The newest transforms of /tf and /tf_static, asked without waiting.

    Args:
        node: listens. tf2_ros is imported here; without it every look-up fails and says what to do instead.
    """

    def __init__(self, node: Any) -> None:
        self._buffer: Any = None
        try:
            from tf2_ros import Buffer, TransformListener
        except ImportError:
            return
        # With the node, the buffer follows its clock and forgets when a bag begins again.
        self._buffer = Buffer(node=node)
        self._listener = TransformListener(self._buffer, node)

    def lookup(self, frame_a: str, frame_b: str) -> RigidTransform:
        """T_a_b.

        Raises:
            FrameError: if TF does not know it, or tf2_ros is not installed.
        """
        if not frame_a or not frame_b:
            raise FrameError(f"no_frame_id: expected two frame names, got {frame_a!r} and {frame_b!r}; see the drivers")
        if frame_a == frame_b:
            return np.eye(4)
        if self._buffer is None:
            raise FrameError(
                f"no_tf2_ros: expected tf2_ros to place {frame_b!r} in {frame_a!r}, it is not installed; set the "
                "parameters extrinsics.T_camera_lidar (_scan, _range) and extrinsics.T_base_camera"
            )
        from rclpy.time import Time
        from tf2_ros import TransformException

        try:
            transform = self._buffer.lookup_transform(frame_a, frame_b, Time()).transform
            return decode_transform(transform)
        except (TransformException, DataError) as error:
            raise FrameError(
                f"no_extrinsics: no transform from {frame_b!r} to {frame_a!r} in TF: {error}; publish it on /tf_static "
                "or set the parameters extrinsics.T_camera_lidar (_scan, _range) and extrinsics.T_base_camera"
            ) from None
