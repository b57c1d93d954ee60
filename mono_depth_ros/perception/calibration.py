# SPDX-License-Identifier: Apache-2.0
"""Notices when LiDAR, odometry and camera no longer fit together: a bumped mount, a wrong wheel radius.

Two things are watched. The factors that the sources of scale.py measure on the same predictions: what the network
gets wrong, it gets wrong for all of them, so that a difference that lasts is a sensor's. And the ground that the LiDAR
sees, against where the calibration says the ground is: no network takes part in that, and a LiDAR that was turned up
or sideways by a few degrees shows in its tilt. And the direction in which the images move, against that of odometry
through the camera's mount: a camera that was turned, about the vertical too, shows in it. A LiDAR that was turned about
the vertical shows in none of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.ground_plane import GroundPlane
from mono_depth_ros.perception.scale import MEASURED, ScalePolicy, ScaleSource, SourceTrack


@dataclass(frozen=True, slots=True)
class CalibrationPolicy:
    """When a disagreement is one of the calibration.

    Attributes:
        min_log: smallest difference of two sources' log factors that counts; 0.2 is about 20 %. Twice that where
            there are only two.
        sigmas: and it has to be this many of their common sigma.
        max_tilt_rad: of the LiDAR's ground against the calibration's.
        max_height: relative difference of the LiDAR's height above its ground.
        smoothing_s: time over which the LiDAR's ground is averaged; a crest or a pothole is shorter.
        persist_s: a disagreement has to last so long to be told, and has to be gone so long to be taken back.
        min_count: measurements of a source before it has a say.
        max_direction_rad: between the motion that the images show and that of odometry.
        direction_smoothing_s: time over which that is averaged; one image tells it to a degree or two.
        direction_count: looks before it has a say.

    Raises:
        ConfigError: if a value is not positive.
    """

    min_log: float = 0.2
    sigmas: float = 3.0
    max_tilt_rad: float = float(math.radians(1.8))
    max_height: float = 0.2
    smoothing_s: float = 15.0
    persist_s: float = 5.0
    min_count: int = 5
    max_direction_rad: float = float(math.radians(2.0))
    direction_smoothing_s: float = 20.0
    direction_count: int = 15

    def __post_init__(self) -> None:
        values = (self.min_log, self.sigmas, self.max_tilt_rad, self.max_height, self.smoothing_s, self.persist_s)
        directions = (self.max_direction_rad, self.direction_smoothing_s, self.direction_count)
        if not min(*values, *directions, self.min_count) > 0:
            raise ConfigError(f"calibration: expected positive values, got {self}")


DEFAULT_CALIBRATION_POLICY = CalibrationPolicy()


@dataclass(frozen=True, slots=True)
class LidarGround:
    """The ground as the LiDAR sees it, against the calibration, averaged.

    Attributes:
        pitch_rad, roll_rad: tilt.
        log_height: log of seen height over true height.
        stamp_ns: of the last look.
        count: looks so far.
    """

    pitch_rad: float
    roll_rad: float
    log_height: float
    stamp_ns: int
    count: int


@dataclass(frozen=True, slots=True)
class DirectionOffset:
    """How the motion that the images show is turned against that of odometry, averaged.

    Attributes:
        offset_rad: x, y, z in the camera's optical frame: turned up, to the right, clockwise.
        variance: of one look's offset, all axes together.
        mean_variance: of the average.
        stamp_ns: of the last look.
        count: looks so far.
    """

    offset_rad: tuple[float, float, float]
    variance: float
    mean_variance: float
    stamp_ns: int
    count: int


@dataclass(frozen=True, slots=True)
class CalibrationState:
    """What is remembered.

    Attributes:
        ground: of the LiDAR; None before the first look.
        direction: of the images' motion; None before the first look.
        suspect: whether a disagreement lasts.
        reason: the latest one, in words; empty before the first.
        changed_ns: since when what is seen differs from ``suspect``; None where it does not.
    """

    ground: LidarGround | None = None
    suspect: bool = False
    reason: str = ""
    changed_ns: int | None = None
    direction: DirectionOffset | None = None


@dataclass(frozen=True, slots=True)
class CalibrationVerdict:
    """Whether the calibration is to be looked at.

    Attributes:
        suspect: a disagreement lasts.
        reason: which, starting with a searchable word; empty when not suspect.
    """

    suspect: bool
    reason: str


UNSUSPECTED = CalibrationVerdict(False, "")


def watch_calibration(
    state: CalibrationState,
    tracks: Sequence[SourceTrack],
    lidar_ground: GroundPlane | None,
    camera_height_m: float | None,
    stamp_ns: int,
    scale_policy: ScalePolicy,
    policy: CalibrationPolicy = DEFAULT_CALIBRATION_POLICY,
    offset_rad: tuple[float, float, float] | None = None,
) -> tuple[CalibrationState, CalibrationVerdict]:
    """One look.

    Args:
        state: what the previous call returned.
        tracks: of scale.py, all that are followed.
        lidar_ground: plane through the LiDAR's points in the camera frame, if one was seen now.
        camera_height_m: true height of the camera; None if unknown.
        stamp_ns: of the image.
        scale_policy: by which the tracks were made.
        policy: limits.
        offset_rad: how the motion that the images show is turned against odometry's, in the camera's frame, if it was
            looked at now.

    Returns:
        The state for the next call, and the verdict.
    """
    ground = state.ground
    if lidar_ground is not None and camera_height_m is not None:
        ground = _average(ground, lidar_ground, camera_height_m, stamp_ns, policy)
    direction = state.direction
    if offset_rad is not None:
        direction = _average_direction(direction, offset_rad, stamp_ns, policy)
    seen = (
        _lidar_disagreement(ground, stamp_ns, policy)
        or _direction_disagreement(direction, stamp_ns, policy)
        or _source_disagreement(tracks, stamp_ns, scale_policy, policy)
    )
    suspect, changed_ns = state.suspect, state.changed_ns
    if bool(seen) == suspect:
        changed_ns = None
    elif changed_ns is None:
        changed_ns = stamp_ns
    elif (stamp_ns - changed_ns) * 1e-9 >= policy.persist_s:
        suspect, changed_ns = bool(seen), None
    state = CalibrationState(ground, suspect, seen or state.reason, changed_ns, direction)
    return state, CalibrationVerdict(suspect, state.reason if suspect else "")


def _average(
    before: LidarGround | None, plane: GroundPlane, camera_height_m: float, stamp_ns: int, policy: CalibrationPolicy
) -> LidarGround:
    """Exponential average; the first looks are averaged evenly."""
    log_height = math.log(plane.height / camera_height_m)
    if before is None:
        return LidarGround(plane.pitch_rad, plane.roll_rad, log_height, stamp_ns, 1)
    elapsed_s = max(0.0, (stamp_ns - before.stamp_ns) * 1e-9)
    share = max(1.0 - math.exp(-elapsed_s / policy.smoothing_s), 1.0 / (before.count + 1))
    return LidarGround(
        before.pitch_rad + share * (plane.pitch_rad - before.pitch_rad),
        before.roll_rad + share * (plane.roll_rad - before.roll_rad),
        before.log_height + share * (log_height - before.log_height),
        stamp_ns,
        before.count + 1,
    )


def _average_direction(
    before: DirectionOffset | None, offset_rad: tuple[float, float, float], stamp_ns: int, policy: CalibrationPolicy
) -> DirectionOffset:
    """Exponential average, with the variance of a look and that of the average."""
    if before is None:
        return DirectionOffset(offset_rad, 0.0, 0.0, stamp_ns, 1)
    elapsed_s = max(0.0, (stamp_ns - before.stamp_ns) * 1e-9)
    share = max(1.0 - math.exp(-elapsed_s / policy.direction_smoothing_s), 1.0 / (before.count + 1))
    far = [now - then for now, then in zip(offset_rad, before.offset_rad, strict=True)]
    # One look far off, past a moving car, pulls no more than one at three sigma.
    size, spread = math.hypot(*far), math.sqrt(before.variance)
    if before.count >= policy.min_count and size > 3.0 * spread > 0.0:
        far = [part * 3.0 * spread / size for part in far]
    x, y, z = (then + share * part for then, part in zip(before.offset_rad, far, strict=True))
    variance = before.variance + share * (sum(part**2 for part in far) - before.variance)
    mean_variance = (1.0 - share) ** 2 * before.mean_variance + share**2 * variance
    return DirectionOffset((x, y, z), variance, mean_variance, stamp_ns, before.count + 1)


def _direction_disagreement(direction: DirectionOffset | None, stamp_ns: int, policy: CalibrationPolicy) -> str:
    """Whether the images move elsewhere than odometry says; empty if not, or not looked at lately."""
    if direction is None or direction.count < policy.direction_count:
        return ""
    if abs(stamp_ns - direction.stamp_ns) * 1e-9 > 2.0 * policy.smoothing_s:
        return ""
    angle = math.hypot(*direction.offset_rad)
    if angle <= max(policy.max_direction_rad, policy.sigmas * math.sqrt(direction.mean_variance)):
        return ""
    up, right, _ = direction.offset_rad
    return (
        f"camera_turned: the images move {math.degrees(right):.1f} degrees to the right of and {math.degrees(up):.1f} "
        "degrees above where odometry and the camera's mount say; was it bumped?"
    )


def _lidar_disagreement(ground: LidarGround | None, stamp_ns: int, policy: CalibrationPolicy) -> str:
    """What is wrong with the ground that the LiDAR sees; empty if nothing is, or it was not seen lately."""
    if ground is None or ground.count < policy.min_count:
        return ""
    if abs(stamp_ns - ground.stamp_ns) * 1e-9 > 2.0 * policy.smoothing_s:
        return ""
    if math.hypot(ground.pitch_rad, ground.roll_rad) > policy.max_tilt_rad:
        return (
            f"lidar_tilted: the ground that the LiDAR sees is tilted by {math.degrees(ground.pitch_rad):.1f} degrees "
            f"ahead and {math.degrees(ground.roll_rad):.1f} degrees to the right; was its mount bumped?"
        )
    if abs(ground.log_height) > math.log1p(policy.max_height):
        return (
            f"lidar_height: the camera is {math.exp(ground.log_height):.2f} of its height above the ground that the "
            "LiDAR sees; are the mounts in TF right?"
        )
    return ""


def _source_disagreement(
    tracks: Sequence[SourceTrack], stamp_ns: int, scale_policy: ScalePolicy, policy: CalibrationPolicy
) -> str:
    """Which sources of scale disagree; empty if none do. With three, the odd one out is named first.

    Near ground, near corners and points are different parts of one prediction, and a network may be wrong by a fifth
    between them. So, where there are three, one pair apart is not enough: the third has to take sides. Two alone
    have to differ by twice as much.
    """
    known = {
        track.source: track
        for track in tracks
        if track.source in MEASURED
        and track.count >= policy.min_count
        and abs(stamp_ns - track.stamp_ns) * 1e-9 <= 2.0 * policy.smoothing_s
    }
    apart = []
    least = policy.min_log if len(known) == len(MEASURED) else 2.0 * policy.min_log
    for first, second in combinations(sorted(known, key=MEASURED.index), 2):
        difference = known[first].log_value - known[second].log_value
        sigma = math.hypot(*(known[source].sigma_at(stamp_ns, scale_policy) for source in (first, second)))
        if abs(difference) > max(least, policy.sigmas * sigma):
            apart.append((first, second, difference))
    if not apart or (len(known) == len(MEASURED) and len(apart) == 1):
        return ""
    first, second, difference = max(apart, key=lambda pair: abs(pair[2]))
    odd = _odd_one_out([{one, other} for one, other, _ in apart]) if len(known) == 3 else None
    whom = f"{odd.value} against the others: " if odd is not None else ""
    return (
        f"scale_sources_disagree: {whom}{first.value} says {math.exp(known[first].log_value):.3f}, {second.value} says "
        f"{math.exp(known[second].log_value):.3f}"
    )


def _odd_one_out(apart: list[set[ScaleSource]]) -> ScaleSource | None:
    """The source that is in every pair that disagrees, if the other two agree."""
    common = set.intersection(*apart)
    return next(iter(common)) if len(apart) == 2 and len(common) == 1 else None
