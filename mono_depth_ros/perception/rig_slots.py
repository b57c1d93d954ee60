# SPDX-License-Identifier: Apache-2.0
"""Images of several cameras grouped by their stamps, without waiting for a camera that says nothing."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from mono_depth_ros.errors import ConfigError

T = TypeVar("T")

# Slots that wait while the network works on an earlier one; what is older is dropped.
_MAX_OPEN = 4


class Placement(Enum):
    """What became of an image."""

    BEGAN = "began a slot"
    JOINED = "joined a slot"
    LATE = "late: its slot is gone, or has an image of this camera already"


@dataclass(frozen=True, slots=True)
class SlotPolicy:
    """Which images belong together.

    Attributes:
        cameras: names of all cameras of the rig.
        tolerance_s: images within this of the first one of a slot belong to it.
        jump_back_s: a stamp this much before the newest slot means that time began anew (a looped bag).

    Raises:
        ConfigError: no camera, a name twice, or times that are not positive.
    """

    cameras: tuple[str, ...]
    tolerance_s: float = 0.05
    jump_back_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.cameras or len(set(self.cameras)) < len(self.cameras) or "" in self.cameras:
            raise ConfigError(f"rig: expected cameras with different names, got {', '.join(self.cameras) or 'none'}")
        if not 0 < self.tolerance_s < self.jump_back_s:
            raise ConfigError(
                f"rig: expected 0 < tolerance_s < jump_back_s, got {self.tolerance_s} and {self.jump_back_s}"
            )


@dataclass(slots=True, eq=False)
class _Slot(Generic[T]):
    """Images of one moment, by camera; each with its own stamp."""

    stamp_ns: int
    images: dict[str, tuple[int, T]] = field(default_factory=dict)


class RigSlots(Generic[T]):
    """Slots of time, each begun by its first image; safe to fill from one thread and empty from another.

    Args:
        policy: which images belong together.

    >>> slots: RigSlots[str] = RigSlots(SlotPolicy(("left", "right")))
    >>> slots.put("left", 0, "a").name, slots.put("right", 10_000_000, "b").name, slots.is_complete(0)
    ('BEGAN', 'JOINED', True)
    >>> slots.take(0)
    {'left': 'a', 'right': 'b'}
    """

    def __init__(self, policy: SlotPolicy) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._open: list[_Slot[T]] = []  # by stamp
        self._newest_ns: int | None = None
        self._dropped = dict.fromkeys(policy.cameras, 0)

    def put(self, camera: str, stamp_ns: int, image: T) -> Placement:
        """Gives an image its slot.

        Args:
            camera: one of the policy's.
            stamp_ns: of the image; that of a new slot if it begins one.
            image: what is kept.
        """
        policy = self._policy
        tolerance_ns = int(policy.tolerance_s * 1e9)
        with self._lock:
            if self._newest_ns is not None and stamp_ns < self._newest_ns - int(policy.jump_back_s * 1e9):
                self._forget()
            near = [slot for slot in self._open if abs(slot.stamp_ns - stamp_ns) <= tolerance_ns]
            for slot in sorted(near, key=lambda slot: abs(slot.stamp_ns - stamp_ns)):
                if camera not in slot.images:
                    slot.images[camera] = (stamp_ns, image)
                    return Placement.JOINED
            # Half a tolerance of slack would let one camera begin a slot for each of its images within one moment.
            if self._newest_ns is not None and stamp_ns <= self._newest_ns + tolerance_ns:
                self._dropped[camera] += 1
                return Placement.LATE
            self._newest_ns = stamp_ns
            self._open.append(_Slot(stamp_ns, {camera: (stamp_ns, image)}))
            self._drop(self._open[:-_MAX_OPEN])
            return Placement.BEGAN

    def is_complete(self, slot_ns: int) -> bool:
        """Whether every camera of the rig is in this slot; also of a slot that is gone, for nothing can come."""
        with self._lock:
            return all(len(slot.images) == len(self._policy.cameras) for slot in self._open if slot.stamp_ns == slot_ns)

    def take(self, slot_ns: int) -> dict[str, T]:
        """Closes a slot, drops all before it, and returns its images in the order of the policy's cameras."""
        with self._lock:
            found = [slot for slot in self._open if slot.stamp_ns == slot_ns]
            self._open = [slot for slot in self._open if slot.stamp_ns != slot_ns]
            self._drop([slot for slot in self._open if slot.stamp_ns < slot_ns])
            images = found[0].images if found else {}
            return {camera: images[camera][1] for camera in self._policy.cameras if camera in images}

    def dropped(self) -> dict[str, int]:
        """By camera: images that came late, or whose slot was overtaken."""
        with self._lock:
            return dict(self._dropped)

    def reset(self) -> None:
        """Forgets all slots, for a clock that jumped."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._drop(list(self._open))
        self._newest_ns = None

    def _drop(self, slots: Sequence[_Slot[T]]) -> None:
        for slot in slots:
            for camera in slot.images:
                self._dropped[camera] += 1
            self._open.remove(slot)
