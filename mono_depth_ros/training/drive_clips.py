# SPDX-License-Identifier: Apache-2.0
"""Clips of three images from cached drives: which frames teach, which stand still, and what to tell before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.excluded_frames import Frame
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.training.config import DriveConfig
from mono_depth_ros.training.drive_cache import DriveCache

Float64 = npt.NDArray[np.float64]
FEWEST_CLIPS = 4  # fewer teach nothing


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of one drive: the target and the frames before and after it."""

    drive: int
    target: int
    contexts: tuple[int, int]


@dataclass(frozen=True, slots=True)
class DriveFacts:
    """What was found in a drive, for people.

    Attributes:
        url: of the data set.
        frames, cameras: how many.
        source_size_px, size_px: width and height as recorded and at the network.
        rate_hz: median frame rate.
        focal_px: fx at network size.
        speed_mps: smallest, median and largest; None without.
        has_poses, has_truth: whether all frames have a pose, any has truth.
        points: median number of points in view; 0 without.
        standing: share of the frames whose camera moved less than the least motion since the frame before; None where
            neither pose nor speed tells.
        clips: kept for training.
        dropped_standing, dropped_gap: clips left out because the camera stood, or time has a hole.
        dropped_excluded: clips left out because their target is not to be learned from; None where nobody has asked.
        held_out: frames kept for validation.
        left_out: what of the data set could not be used, a line per reason.
    """

    url: str
    frames: int
    cameras: int
    source_size_px: tuple[int, int]
    size_px: tuple[int, int]
    rate_hz: float
    focal_px: float
    speed_mps: tuple[float, float, float] | None
    has_poses: bool
    has_truth: bool
    points: int
    standing: float | None
    clips: int
    dropped_standing: int
    dropped_gap: int
    held_out: int
    left_out: tuple[str, ...] = ()
    dropped_excluded: int | None = None

    def lines(self) -> list[str]:
        """The facts as lines of text."""
        size = f"{self.source_size_px[0]}x{self.source_size_px[1]} -> {self.size_px[0]}x{self.size_px[1]} px"
        speed = "no speed"
        if self.speed_mps is not None:
            speed = "speed {:.1f} / {:.1f} / {:.1f} m/s (min / median / max)".format(*self.speed_mps)
        excluded = "" if self.dropped_excluded is None else f", {self.dropped_excluded} as excluded"
        standing = "unknown (no pose, no speed)" if self.standing is None else f"{100 * self.standing:.0f} %"
        return [
            self.url,
            f"  {self.frames} frames of {self.cameras} camera(s) at {self.rate_hz:.1f} Hz, {size}, "
            f"fx {self.focal_px:.1f} px",
            f"  {speed}; poses: {'yes' if self.has_poses else 'no'}; points in view: "
            f"{self.points or 'none'}; truth: {'yes (validation)' if self.has_truth else 'no'}",
            f"  standing frames: {standing}; clips: {self.clips} kept, {self.dropped_standing} dropped as standing, "
            f"{self.dropped_gap} for gaps in time{excluded}; {self.held_out} frames held out",
            *(f"  left out: {line}" for line in self.left_out),
        ]


def moved_m(drive: DriveCache, a: int, b: int) -> float:
    """How far the camera moved between two frames, metres: by pose, else by speed and time; NaN where neither tells.

    The pose is preferred: it knows the chord of a curve and where the camera sits on the robot.
    """
    if np.isfinite(drive.poses[a]).all() and np.isfinite(drive.poses[b]).all():
        return float(np.linalg.norm(drive.poses[a][:3, 3] - drive.poses[b][:3, 3]))
    return (
        0.5
        * float(drive.speeds_mps[a] + drive.speeds_mps[b])
        * abs(int(drive.stamps_ns[a] - drive.stamps_ns[b]))
        * 1e-9
    )


def motion(drive: DriveCache, context: int, target: int) -> Float64:
    """T_context_target float64 [4, 4] by the drive's poses; NaN without."""
    T_world_context, T_world_target = np.array(drive.poses[context]), np.array(drive.poses[target])
    if not (np.isfinite(T_world_context).all() and np.isfinite(T_world_target).all()):
        return np.full((4, 4), np.nan)
    return np.asarray(invert_rigid(T_world_context) @ T_world_target)


class DriveClips:
    """Clips and held-out frames of some drives.

    Attributes:
        drives: the caches.
        clips: for training.
        held_out: (drive, frame) kept for validation.
        facts: of each drive.
    """

    def __init__(
        self,
        drives: Sequence[DriveCache],
        config: DriveConfig,
        hold_out: bool,
        excluded: Sequence[frozenset[Frame] | None] = (),
    ) -> None:
        """Sort the frames.

        Args:
            drives: at least one.
            config: stride, least motion and so on.
            hold_out: whether the end of each drive is held out; else all frames are, and make clips too (validation).
            excluded: frames of each drive that are no targets; None for a drive that nobody has looked at.
        """
        self.drives = tuple(drives)
        self.clips: list[Clip] = []
        self.held_out: list[tuple[int, int]] = []
        self.facts: list[DriveFacts] = []
        for number in range(len(drives)):
            self._sort(number, config, hold_out, excluded[number] if excluded else None)

    def _sort(self, number: int, config: DriveConfig, hold_out: bool, excluded: frozenset[Frame] | None) -> None:
        drive = self.drives[number]
        stride = config.stride
        clips, standing_clips, gaps, kept_out, excluded_clips = 0, 0, 0, 0, 0
        standing: list[bool] = []
        periods: list[float] = []
        for track in range(len(drive.meta.tracks)):
            frames = [int(frame) for frame in np.flatnonzero(np.asarray(drive.tracks) == track)]
            times = np.asarray(drive.stamps_ns)[frames] * 1e-9
            steps = np.diff(times)
            periods += steps.tolist()
            moved = [moved_m(drive, a, b) for a, b in pairwise(frames)]
            standing += [m < config.min_motion_m for m in moved if np.isfinite(m)]
            last = len(frames) - round(config.held_out * len(frames)) if hold_out else len(frames)
            self.held_out += [(number, frame) for frame in frames[last if hold_out else 0 :]]
            kept_out += len(frames) - (last if hold_out else 0)
            for i in range(stride, last - stride):
                between = steps[i - stride : i + stride]
                contexts = (frames[i - stride], frames[i + stride])
                if (between <= 0).any() or (between > config.max_gap_s).any():
                    gaps += 1
                elif any(moved_m(drive, frames[i], context) < config.min_motion_m for context in contexts):
                    standing_clips += 1
                elif excluded and (drive.meta.tracks[track], int(drive.stamps_ns[frames[i]])) in excluded:
                    excluded_clips += 1
                else:
                    clips += 1
                    self.clips.append(Clip(number, frames[i], contexts))
        speeds = np.asarray(drive.speeds_mps)
        speeds = speeds[np.isfinite(speeds)]
        self.facts.append(
            DriveFacts(
                url=drive.meta.url,
                frames=len(drive),
                cameras=len(drive.meta.tracks),
                source_size_px=drive.meta.source_size_px,
                size_px=(drive.meta.width_px, drive.meta.height_px),
                rate_hz=1.0 / float(np.median(periods)) if periods and np.median(periods) > 0 else 0.0,
                focal_px=float(np.median(drive.intrinsics_px[:, 0])),
                speed_mps=(float(speeds.min()), float(np.median(speeds)), float(speeds.max())) if len(speeds) else None,
                has_poses=bool(np.isfinite(drive.poses).all()),
                has_truth=drive.meta.has_truth,
                points=int(np.median(np.diff(drive.point_ends, prepend=0))),
                standing=float(np.mean(standing)) if standing else None,
                clips=clips,
                dropped_standing=standing_clips,
                dropped_gap=gaps,
                held_out=kept_out,
                left_out=drive.meta.left_out,
                dropped_excluded=None if excluded is None else excluded_clips,
            )
        )

    def focal_px(self) -> float:
        """Median fx of all drives at network size."""
        return float(np.median(np.concatenate([drive.intrinsics_px[:, 0] for drive in self.drives])))

    def require(self, distances: bool, poses: bool, points: bool, truth: bool) -> None:
        """Check that the drives have what the recipe needs.

        Raises:
            DataError: with everything that is missing.
        """
        missing = []
        urls = ", ".join(fact.url for fact in self.facts)
        if len(self.clips) < FEWEST_CLIPS:
            missing.append(f"expected at least {FEWEST_CLIPS} clips in motion, got {len(self.clips)}")
        if distances and not all(fact.has_poses or fact.speed_mps is not None for fact in self.facts):
            missing.append("velocity supervision needs speed or odometry (nav_msgs/Odometry), got neither")
        if poses and not all(fact.has_poses for fact in self.facts):
            missing.append("pose.source odometry needs a pose for every image, got some without")
        if points and not any(fact.points for fact in self.facts):
            missing.append("supervision by points needs points (PointCloud2 with extrinsics), got none")
        if truth and not all(fact.has_truth for fact in self.facts):
            missing.append("supervision by truth needs truth, got a drive without")
        if missing:
            raise DataError(f"{urls}: " + "; ".join(missing))
