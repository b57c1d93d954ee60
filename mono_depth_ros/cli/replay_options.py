# SPDX-License-Identifier: Apache-2.0
"""Options of `mono-depth replay` that are parameters of the node: mode, memory and scale."""

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.perception.dial import DialPolicy, Mode
from mono_depth_ros.perception.lidar_memory import MemoryPolicy
from mono_depth_ros.perception.scale import DEFAULT_SCALE_POLICY, ScalePolicy, ScaleSource

_FORCED = {"auto": None, "prediction": Mode.PREDICTION, "completion": Mode.COMPLETION}
_FUSE = "fuse:"


def memory_policy(memory_s: float) -> MemoryPolicy | None:
    """How earlier scans are carried to an image; None for the nearest only.

    Raises:
        ConfigError: it is not within 0..5 s.
    """
    if not 0 <= memory_s <= 5:
        raise ConfigError(f"--memory-s: expected 0 to 5 seconds, got {memory_s:g}")
    return MemoryPolicy(memory_s) if memory_s > 0 else None


def dial_policy(mode: str, memory: MemoryPolicy | None) -> DialPolicy:
    """The dial of the node; as far back as the memory reaches, its points are completed."""
    if memory is None:
        return DialPolicy(forced=_FORCED[mode])
    return DialPolicy(
        max_remembered_age_s=memory.memory_s, resume_remembered_age_s=0.8 * memory.memory_s, forced=_FORCED[mode]
    )


def scale_policy(text: str | None, base_height_m: float = 0.0) -> ScalePolicy:
    """Reads SOURCE,SOURCE,... or fuse:SOURCE,SOURCE,...; None is the default order.

    Raises:
        ConfigError: a source does not exist, or is named twice.

    >>> policy = scale_policy("fuse:points,camera_height")
    >>> policy.combine, [source.value for source in policy.order]
    ('fuse', ['points', 'camera_height'])
    """
    if text is None:
        return ScalePolicy(base_height_m=base_height_m)
    names = text.removeprefix(_FUSE).split(",")
    known = {source.value: source for source in DEFAULT_SCALE_POLICY.order}
    if not set(names) <= set(known) or len(set(names)) < len(names):
        raise ConfigError(f"--scale: expected some of {','.join(known)}, each at most once, got {text!r}")
    order: tuple[ScaleSource, ...] = tuple(known[name] for name in names)
    return ScalePolicy(order=order, combine="fuse" if text.startswith(_FUSE) else "first", base_height_m=base_height_m)
