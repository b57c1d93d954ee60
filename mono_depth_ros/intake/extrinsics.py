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
_LATE_S = 0.02  # a mount that moves is told to be late from then on
_LOST_NS = 1_000_000_000


class TransformSource(Protocol):
    """Says where frame b is in frame a."""

    def lookup(self, frame_a: str, frame_b: str, stamp_ns: int | None = None) -> RigidTransform:
        """T_a_b at a stamp; without one, the newest.

        Raises:
            FrameError: if it is not known, and why.
        """
        ...

    def known_until_ns(self, frame_a: str, frame_b: str) -> int | None:
        """Until which stamp it is known, of what moves; None of what does not.

        Raises:
            FrameError: if it is not known.
        """
        ...


class FixedTransform:
    """One transform, whatever the frames are called."""

    def __init__(self, T_a_b: RigidTransform) -> None:
        self._T_a_b = T_a_b

    def lookup(self, frame_a: str, frame_b: str, stamp_ns: int | None = None) -> RigidTransform:  # noqa: ARG002
        """T_a_b, the same for all frames and stamps."""
        return self._T_a_b

    def known_until_ns(self, frame_a: str, frame_b: str) -> int | None:  # noqa: ARG002
        """None: for ever."""
        return None


def given_transform(numbers: Sequence[float]) -> FixedTransform:
    """That of a parameter: x, y, z (m), qx, qy, qz, qw."""
    return FixedTransform(rigid_from_quaternion(numbers[:3], numbers[3:]))


class CameraExtrinsics:
    """Looks the places of sensors up, once per camera frame and sensor frame until they are known, then now and then.

    A place that changes (a mount that is calibrated anew) is taken over and told. What moves is looked up for every
    image: the camera at the stamp of the image, and each scan's sensor at the stamp of the scan.

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

    def known_at(self, camera_frame: str, frames: Collection[tuple[str, str]], base_frame: str, stamp_ns: int) -> bool:
        """Whether all that moves is known at the stamp of an image, so that it need not wait; frames as in `update`."""
        asked = [(self._points.get(source, self._points[POINTS]), camera_frame, frame) for source, frame in frames]
        asked += [(self._base, base_frame, camera_frame)] if base_frame else []
        for source, frame_a, frame_b in asked:
            try:
                until_ns = source.known_until_ns(frame_a, frame_b)
            except FrameError:
                continue
            # One that stopped is not waited for.
            if until_ns is not None and stamp_ns - _LOST_NS < until_ns < stamp_ns:
                return False
        return True

    def update(
        self,
        buffer: SnapshotBuffer,
        camera_frame: str,
        frames: Collection[tuple[str, str]],
        base_frame: str,
        stamp_ns: int | None = None,
    ) -> list[str]:
        """Tells the buffer what is known by now.

        Args:
            buffer: is told.
            camera_frame: optical frame of the image.
            frames: (source, frame) of the points that arrived.
            base_frame: of the odometry or the twist; empty before the first.
            stamp_ns: of the image.

        Returns:
            A problem per transform that is still missing, has changed, or moves and is not known up to the image.
        """
        now_s = self._clock()
        recheck = now_s - self._checked_s >= self._recheck_s
        if recheck:
            self._checked_s = now_s
        problems = []
        for source, frame in sorted(frames):
            places = self._points.get(source, self._points[POINTS])
            try:
                T_camera_sensor, problem = self._look(places, camera_frame, frame, recheck, stamp_ns)
                self._place_scans(buffer, places, (camera_frame, frame, base_frame), stamp_ns)
            except FrameError as error:
                buffer.set_extrinsics_error(str(error))
                problems.append(str(error))
                continue
            if T_camera_sensor is not None:
                buffer.set_T_camera_lidar(frame, T_camera_sensor)
            problems += [problem] if problem else []
        if base_frame:
            try:
                T_base_camera, problem = self._look(self._base, base_frame, camera_frame, recheck, stamp_ns)
            except FrameError as error:
                return [*problems, str(error)]
            if T_base_camera is not None:
                buffer.set_T_base_camera(T_base_camera)
            problems += [problem] if problem else []
        return problems

    def _place_scans(
        self, buffer: SnapshotBuffer, source: TransformSource, frames: tuple[str, str, str], stamp_ns: int | None
    ) -> None:
        """Places each scan of a sensor that moves in the base by where it was then, seen from the camera at the image.

        Between the stamps the base may drive on: odometry carries the points, for which camera and sensor have to be
        seen in the base at their own times.
        """
        camera_frame, frame, base_frame = frames
        if stamp_ns is None or not base_frame:
            return
        try:
            if source.known_until_ns(base_frame, frame) is None:
                return
            T_camera_base = source.lookup(camera_frame, base_frame, stamp_ns)
            placed = {
                at_ns: T_camera_base @ source.lookup(base_frame, frame, at_ns) for at_ns in buffer.scan_stamps(frame)
            }
        except FrameError:
            return
        buffer.place_scans(frame, placed)

    def _look(
        self, source: TransformSource, frame_a: str, frame_b: str, recheck: bool, stamp_ns: int | None
    ) -> tuple[RigidTransform | None, str]:
        """T_a_b if it is new or changed, or moves, else None; and what is to be told."""
        known = self._known.get((frame_a, frame_b))
        until_ns = None if stamp_ns is None else _known_until_ns(source, frame_a, frame_b)
        if until_ns is not None and stamp_ns is not None:
            late_s = (stamp_ns - until_ns) * 1e-9
            told = (
                f"transform_late: {frame_b!r} in {frame_a!r} moves, and is known until {late_s:.2f} s before the image"
            )
            self._known[frame_a, frame_b] = found = source.lookup(frame_a, frame_b, stamp_ns)
            return found, told if late_s > _LATE_S else ""
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


def _known_until_ns(source: TransformSource, frame_a: str, frame_b: str) -> int | None:
    try:
        return source.known_until_ns(frame_a, frame_b)
    except FrameError:  # the look-up says why
        return None
