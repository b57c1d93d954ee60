# SPDX-License-Identifier: Apache-2.0
"""A tree of transforms, as /tf_static and /tf build it, with look-up between any two of its frames."""

from typing import Any

import numpy as np

from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid
from mono_depth_ros.messages.odometry import decode_transform

# A robot has tens of frames; a stream of ever new names must not fill the memory.
MAX_FRAMES = 10_000


class TransformTree:
    """The newest transforms between named frames; every frame has at most one parent, as in tf2.

    Mounts that never change are on /tf in many bags and simulations, so both topics are read alike; what moves is known
    as of its newest message.
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, RigidTransform]] = {}

    def put(self, msg: Any) -> None:
        """tf2_msgs/TFMessage.

        Raises:
            DataError: a transform in it is broken; the others are taken.
        """
        problems = []
        for entry in msg.transforms:
            try:
                self.add(str(entry.header.frame_id), str(entry.child_frame_id), decode_transform(entry.transform))
            except (DataError, FrameError) as error:
                problems.append(str(error))
        if problems:
            raise DataError(f"transforms: {problems[0]}" + (f" ({len(problems)} such)" if len(problems) > 1 else ""))

    def add(self, parent: str, child: str, T_parent_child: RigidTransform) -> None:
        """Sets the transform of a frame to its parent; a later one for the same child replaces it.

        Raises:
            FrameError: a frame has no name, is its own parent, or there are too many frames.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            raise FrameError(f"transform: expected two different frame names, got {parent!r} and {child!r}")
        if child not in self._parents and len(self._parents) >= MAX_FRAMES:
            raise FrameError(f"transform: expected at most {MAX_FRAMES} frames, got one more ({child!r})")
        self._parents[child] = (parent, np.asarray(T_parent_child, dtype=np.float64))

    def frames(self) -> tuple[str, ...]:
        """All known frames, sorted."""
        return tuple(sorted(set(self._parents) | {parent for parent, _ in self._parents.values()}))

    def lookup(self, target: str, source: str) -> RigidTransform:
        """T_target_source float64 [4,4], chained through the nearest common ancestor.

        Raises:
            FrameError: the two frames are not connected, or the transforms form a circle.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        if not target or not source:
            raise FrameError(f"no_frame_id: expected two frame names, got {target!r} and {source!r}; see the drivers")
        target_chain, source_chain = self._ancestors(target), self._ancestors(source)
        for frame, T_frame_target in target_chain.items():
            if frame in source_chain:
                return invert_rigid(T_frame_target) @ source_chain[frame]
        raise FrameError(
            f"no_extrinsics: expected a transform from {source!r} to {target!r} on /tf_static or /tf, got none; "
            f"known frames: {', '.join(self.frames()) or 'none'}; record /tf_static, or give the places of the sensors"
        )

    def _ancestors(self, frame: str) -> dict[str, RigidTransform]:
        """Ancestor -> T_ancestor_frame, from the frame itself up to its root."""
        T_ancestor_frame = np.eye(4)
        chain = {frame: T_ancestor_frame}
        current = frame
        while current in self._parents:
            current, T_parent_child = self._parents[current]
            if current in chain:
                raise FrameError(f"transforms: expected a tree, got a circle through {current!r}")
            T_ancestor_frame = T_parent_child @ T_ancestor_frame
            chain[current] = T_ancestor_frame
        return chain
