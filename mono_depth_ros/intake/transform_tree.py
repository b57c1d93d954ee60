# SPDX-License-Identifier: Apache-2.0
"""A tree of transforms, as /tf_static and /tf build it, with look-up between any two of its frames at any stamp."""

from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np

from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.rigid import RigidTransform, interpolate_rigid, invert_rigid, rigid_from_quaternion
from mono_depth_ros.messages.odometry import decode_transform
from mono_depth_ros.messages.stamps import stamp_ns_of

# A robot has tens of frames; a stream of ever new names must not fill the memory.
MAX_FRAMES = 10_000
_HISTORY_NS = 10_000_000_000
_MAX_SAMPLES = 10_000  # of one frame
_OUTDATED_TOGETHER = 100  # are dropped at once, since the others have to move up
# A stamp this much before the one before means that time began anew, as when a bag is played in a loop.
_JUMP_BACK_NS = 1_000_000_000
# A mount that was calibrated anew changes once; what changes more often moves.
_MOVES_FROM = 3
# Metres, and elements of a rotation matrix: less is rounding of a publisher.
_SAME_PLACE = 1e-6
_FAR_M = 1e6


_Numbers = tuple[float, ...]  # x y z qx qy qz qw, which become a matrix when they are asked for


class _Edge:
    """A frame in its parent, by stamp; of what does not move the newest transform holds at all times."""

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self.stamps_ns: list[int] = []
        self.samples: list[_Numbers | RigidTransform] = []
        self.changes = 0

    @property
    def moves(self) -> bool:
        return self.changes >= _MOVES_FROM

    def add(self, sample: _Numbers | RigidTransform, stamp_ns: int | None) -> None:
        """Keeps a transform; without a stamp, one that holds at all times."""
        if stamp_ns is None or (self.stamps_ns and stamp_ns < self.stamps_ns[-1] - _JUMP_BACK_NS):
            self.stamps_ns, self.samples, self.changes = [], [], 0
        stamp_ns = stamp_ns or 0
        at = bisect_right(self.stamps_ns, stamp_ns)
        if at and self.stamps_ns[at - 1] == stamp_ns:
            self.samples[at - 1] = sample
            return
        if self.samples and not self.moves and not _same(self.samples[-1], sample):
            self.changes += 1
        if not self.changes:  # what has never changed is known by one sample
            self.stamps_ns, self.samples, at = [], [], 0
        self.stamps_ns.insert(at, stamp_ns)
        self.samples.insert(at, sample)
        outdated = max(
            bisect_left(self.stamps_ns, self.stamps_ns[-1] - _HISTORY_NS), len(self.stamps_ns) - _MAX_SAMPLES
        )
        if outdated > _OUTDATED_TOGETHER:
            del self.stamps_ns[:outdated], self.samples[:outdated]

    def at(self, stamp_ns: int | None) -> RigidTransform:
        """At a stamp, between the two samples around it; before the first and after the last, that one."""
        if stamp_ns is None or not self.moves or stamp_ns >= self.stamps_ns[-1]:
            return self.transform(-1)
        after = bisect_right(self.stamps_ns, stamp_ns)
        if after == 0:
            return self.transform(0)
        before_ns, after_ns = self.stamps_ns[after - 1], self.stamps_ns[after]
        fraction = (stamp_ns - before_ns) / (after_ns - before_ns)
        return interpolate_rigid(self.transform(after - 1), self.transform(after), fraction)

    def transform(self, index: int) -> RigidTransform:
        """A sample as a matrix."""
        sample = self.samples[index]
        if isinstance(sample, tuple):
            sample = self.samples[index] = rigid_from_quaternion(sample[:3], sample[3:])
        return sample


def _same(a: _Numbers | RigidTransform, b: _Numbers | RigidTransform) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return a == b or bool(np.allclose(a, b, rtol=0.0, atol=_SAME_PLACE))
    first, second = (rigid_from_quaternion(one[:3], one[3:]) if isinstance(one, tuple) else one for one in (a, b))
    return bool(np.allclose(first, second, rtol=0.0, atol=_SAME_PLACE))


class TransformTree:
    """Transforms between named frames; every frame has at most one parent, as in tf2.

    Mounts that never change are on /tf in many bags and simulations; the newest transform of such a frame holds at all
    times. What moves is known for some seconds, and between two messages by interpolation.
    """

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def put(self, msg: Any, static: bool = True) -> None:
        """tf2_msgs/TFMessage of /tf_static, or (`static` false) of /tf.

        Raises:
            DataError: a transform in it is broken; the others are taken.
        """
        problems = []
        for entry in msg.transforms:
            try:
                stamp_ns = None if static else stamp_ns_of(entry.header.stamp)
                self._add(str(entry.header.frame_id), str(entry.child_frame_id), _sample(entry.transform), stamp_ns)
            except (DataError, FrameError) as error:
                problems.append(str(error))
        if problems:
            raise DataError(f"transforms: {problems[0]}" + (f" ({len(problems)} such)" if len(problems) > 1 else ""))

    def add(self, parent: str, child: str, T_parent_child: RigidTransform, stamp_ns: int | None = None) -> None:
        """Sets the transform of a frame to its parent, from a stamp on; without one, for all times.

        Raises:
            FrameError: a frame has no name, is its own parent, or there are too many frames.
        """
        self._add(parent, child, np.asarray(T_parent_child, dtype=np.float64), stamp_ns)

    def _add(self, parent: str, child: str, sample: _Numbers | RigidTransform, stamp_ns: int | None) -> None:
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise FrameError(f"transform: expected two different frame names, got {parent!r} and {child!r}")
        edge = self._edges.get(child)
        if edge is None and len(self._edges) >= MAX_FRAMES:
            raise FrameError(f"transform: expected at most {MAX_FRAMES} frames, got one more ({child!r})")
        if edge is None or edge.parent != parent:
            edge = self._edges[child] = _Edge(parent)
        edge.add(sample, stamp_ns)

    def frames(self) -> tuple[str, ...]:
        """All known frames, sorted."""
        return tuple(sorted(set(self._edges) | {edge.parent for edge in self._edges.values()}))

    def samples(self, parent: str, child: str, after_ns: int) -> list[tuple[int, RigidTransform]]:
        """(stamp, T_parent_child) of a frame later than a stamp, in order; none if its parent is another."""
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent:
            return []
        first = bisect_right(edge.stamps_ns, after_ns)
        return [(edge.stamps_ns[index], edge.transform(index)) for index in range(first, len(edge.stamps_ns))]

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> RigidTransform:
        """T_target_source float64 [4,4], chained through the nearest common ancestor.

        Args:
            target, source: frames.
            stamp_ns: when; None: by the newest messages.

        Raises:
            FrameError: the two frames are not connected, or the transforms form a circle.
        """
        up_target, up_source = self._paths(target, source)
        return invert_rigid(self._chained(up_target, stamp_ns)) @ self._chained(up_source, stamp_ns)

    def moves(self, target: str, source: str) -> bool:
        """Whether one has to ask at a stamp. Raises FrameError as `lookup`."""
        return any(edge.moves for path in self._paths(target, source) for edge in path)

    def known_until_ns(self, target: str, source: str) -> int | None:
        """Stamp of the last message of what moves between the two; None if nothing does. Raises FrameError."""
        moving = [edge for path in self._paths(target, source) for edge in path if edge.moves]
        return min((edge.stamps_ns[-1] for edge in moving), default=None)

    def _chained(self, path: list[_Edge], stamp_ns: int | None) -> RigidTransform:
        """T_ancestor_frame along the edges from the frame up."""
        T_ancestor_frame = np.eye(4)
        for edge in path:
            T_ancestor_frame = edge.at(stamp_ns) @ T_ancestor_frame
        return T_ancestor_frame

    def _paths(self, target: str, source: str) -> tuple[list[_Edge], list[_Edge]]:
        """The edges from either frame up to their nearest common ancestor."""
        target, source = target.lstrip("/"), source.lstrip("/")
        if not target or not source:
            raise FrameError(f"no_frame_id: expected two frame names, got {target!r} and {source!r}; see the drivers")
        up_target, up_source = self._up(target), self._up(source)
        for depth, ancestor in enumerate(up_target):
            if ancestor in up_source:
                below = list(up_target)[:depth], list(up_source)[: list(up_source).index(ancestor)]
                return tuple([self._edges[frame] for frame in frames] for frames in below)  # type: ignore[return-value]
        raise FrameError(
            f"no_extrinsics: expected a transform from {source!r} to {target!r} on /tf_static or /tf, got none; "
            f"known frames: {', '.join(self.frames()) or 'none'}; record /tf_static, or give the places of the sensors"
        )

    def _up(self, frame: str) -> dict[str, None]:
        """The frame and its ancestors, from itself up to its root."""
        chain = {frame: None}
        while (edge := self._edges.get(frame)) is not None:
            frame = edge.parent
            if frame in chain:
                raise FrameError(f"transforms: expected a tree, got a circle through {frame!r}")
            chain[frame] = None
        return chain


def _sample(transform: Any) -> _Numbers | RigidTransform:
    """A geometry_msgs/Transform, decoded at once only where it is not plainly good. Raises DataError."""
    t, r = transform.translation, transform.rotation
    numbers = (t.x, t.y, t.z, r.x, r.y, r.z, r.w)
    squares = r.x * r.x + r.y * r.y + r.z * r.z + r.w * r.w
    if 0.99 < squares < 1.01 and abs(t.x) + abs(t.y) + abs(t.z) < _FAR_M:
        return numbers
    return decode_transform(transform)
