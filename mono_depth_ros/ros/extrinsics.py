# SPDX-License-Identifier: Apache-2.0
"""Where the sensors sit: from parameters, or from TF. A failed look-up is a reason, never the identity."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.rigid import RigidTransform, rigid_from_quaternion
from mono_depth_ros.messages.odometry import decode_transform
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer


class TransformSource(Protocol):
    """Says where frame b is in frame a."""

    def lookup(self, frame_a: str, frame_b: str) -> RigidTransform:
        """T_a_b.

        Raises:
            FrameError: if it is not known, and why.
        """
        ...


class GivenTransform:
    """The one transform of a parameter, whatever the frames are called.

    Args:
        numbers: x, y, z (m), qx, qy, qz, qw.
    """

    def __init__(self, numbers: Sequence[float]) -> None:
        self._T_a_b = rigid_from_quaternion(numbers[:3], numbers[3:])

    def lookup(self, frame_a: str, frame_b: str) -> RigidTransform:  # noqa: ARG002 - the same for all frames
        """T_a_b."""
        return self._T_a_b


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
                "parameters extrinsics.T_camera_lidar and extrinsics.T_base_camera"
            )
        from rclpy.time import Time
        from tf2_ros import TransformException

        try:
            transform = self._buffer.lookup_transform(frame_a, frame_b, Time()).transform
            return decode_transform(transform)
        except (TransformException, DataError) as error:
            raise FrameError(
                f"no_extrinsics: no transform from {frame_b!r} to {frame_a!r} in TF: {error}; publish it on /tf_static "
                "or set the parameters extrinsics.T_camera_lidar and extrinsics.T_base_camera"
            ) from None


class CameraExtrinsics:
    """Looks the places of sensors up until they are known, once per camera frame and sensor frame.

    They count as fixed from then on; a camera on a moving mount needs another design.

    Args:
        lidar: gives T_camera_lidar.
        base: gives T_base_camera.
    """

    def __init__(self, lidar: TransformSource, base: TransformSource) -> None:
        self._lidar = lidar
        self._base = base
        self._known: set[tuple[str, str]] = set()

    def update(self, buffer: SnapshotBuffer, camera_frame: str, lidar_frames: set[str], base_frame: str) -> list[str]:
        """Tells the buffer what is known by now.

        Args:
            buffer: is told.
            camera_frame: optical frame of the image.
            lidar_frames: frames in which points arrived.
            base_frame: child frame of the odometry; empty before the first odometry.

        Returns:
            A problem per transform that is still missing.
        """
        problems = []
        for lidar_frame in sorted(lidar_frames):
            if (camera_frame, lidar_frame) in self._known:
                continue
            try:
                buffer.set_T_camera_lidar(lidar_frame, self._lidar.lookup(camera_frame, lidar_frame))
                self._known.add((camera_frame, lidar_frame))
            except FrameError as error:
                buffer.set_extrinsics_error(str(error))
                problems.append(str(error))
        if base_frame and (base_frame, camera_frame) not in self._known:
            try:
                buffer.set_T_base_camera(self._base.lookup(base_frame, camera_frame))
                self._known.add((base_frame, camera_frame))
            except FrameError as error:
                problems.append(str(error))
        return problems
