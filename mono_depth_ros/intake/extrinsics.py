# SPDX-License-Identifier: Apache-2.0
"""Where the sensors sit: from parameters, or from transforms. A failed look-up is a reason, never the identity."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from mono_depth_ros.errors import FrameError
from mono_depth_ros.geometry.rigid import RigidTransform, rigid_from_quaternion
from mono_depth_ros.perception.point_memory import POINTS
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer

# Metres, and elements of a rotation matrix: less is rounding of a publisher.
_SAME_PLACE = 1e-4


class TransformSource(Protocol):
    """Says where frame b is in frame a."""

    def lookup(self, frame_a: str, frame_b: str) -> RigidTransform:
        """T_a_b.

        Raises:
            FrameError: if it is not known, and why.
        """
        ...


class FixedTransform:
    """One transform, whatever the frames are called."""

    def __init__(self, T_a_b: RigidTransform) -> None:
        self._T_a_b = T_a_b

    def lookup(self, frame_a: str, frame_b: str) -> RigidTransform:  # noqa: ARG002 - the same for all frames
        """T_a_b."""
        return self._T_a_b


def given_transform(numbers: Sequence[float]) -> FixedTransform:
    """That of a parameter: x, y, z (m), qx, qy, qz, qw."""
    return FixedTransform(rigid_from_quaternion(numbers[:3], numbers[3:]))


class CameraExtrinsics:
    """Looks the places of sensors up, once per camera frame and sensor frame until they are known, then now and then.

    A place that changes (a mount that is calibrated anew, or moves) is taken over and told.

    Args:
        points: gives T_camera_sensor, by source of points.
        base: gives T_base_camera.
        recheck_s: time between two looks at what is known.
        clock: seconds that never jump back.

    Attributes:
        changes: places that changed so far.
        last_change: in words; empty before the first.
    """

    def __init__(
        self,
        points: Mapping[str, TransformSource],
        base: TransformSource,
        recheck_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._points = points
        self._base = base
        self._recheck_s = recheck_s
        self._clock = clock
        self._known: dict[tuple[str, str], RigidTransform] = {}
        self._checked_s = clock()
        self.changes = 0
        self.last_change = ""

    def update(
        self, buffer: SnapshotBuffer, camera_frame: str, frames: Collection[tuple[str, str]], base_frame: str
    ) -> list[str]:
        """Tells the buffer what is known by now.

        Args:
            buffer: is told.
            camera_frame: optical frame of the image.
            frames: (source, frame) of the points that arrived.
            base_frame: of the odometry or the twist; empty before the first.

        Returns:
            A problem per transform that is still missing, or has changed.
        """
        now_s = self._clock()
        recheck = now_s - self._checked_s >= self._recheck_s
        if recheck:
            self._checked_s = now_s
        problems = []
        for source, frame in sorted(frames):
            try:
                T_camera_sensor, problem = self._look(
                    self._points.get(source, self._points[POINTS]), camera_frame, frame, recheck
                )
            except FrameError as error:
                buffer.set_extrinsics_error(str(error))
                problems.append(str(error))
                continue
            if T_camera_sensor is not None:
                buffer.set_T_camera_lidar(frame, T_camera_sensor)
            problems += [problem] if problem else []
        if base_frame:
            try:
                T_base_camera, problem = self._look(self._base, base_frame, camera_frame, recheck)
            except FrameError as error:
                return [*problems, str(error)]
            if T_base_camera is not None:
                buffer.set_T_base_camera(T_base_camera)
            problems += [problem] if problem else []
        return problems

    def _look(
        self, source: TransformSource, frame_a: str, frame_b: str, recheck: bool
    ) -> tuple[RigidTransform | None, str]:
        """T_a_b if it is new or changed, else None; and what is to be told."""
        known = self._known.get((frame_a, frame_b))
        if known is not None and not recheck:
            return None, ""
        try:
            found = source.lookup(frame_a, frame_b)
        except FrameError:
            if known is not None:
                return None, ""
            raise
        if known is not None and np.allclose(known, found, rtol=0.0, atol=_SAME_PLACE):
            return None, ""
        self._known[frame_a, frame_b] = found
        if known is None:
            return found, ""
        self.changes += 1
        moved_m = float(np.linalg.norm(found[:3, 3] - known[:3, 3]))
        cosine = 0.5 * (float(np.trace(known[:3, :3].T @ found[:3, :3])) - 1.0)
        turned_deg = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
        self.last_change = (
            f"extrinsics_changed: {frame_b!r} in {frame_a!r} moved by {moved_m:.3f} m and turned by {turned_deg:.2f} "
            "degrees"
        )
        return found, self.last_change
