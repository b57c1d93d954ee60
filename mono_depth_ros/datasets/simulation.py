# SPDX-License-Identifier: Apache-2.0
"""Renders a synthetic drive, frame by frame, on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.robot import DriveFrame, SyntheticDrive

MIN_SIDE_PX, MAX_SIDE_PX, MAX_RATE_HZ, MAX_SECONDS = 32, 4096, 100.0, 3600.0
_WAITING_FRAMES_PER_WORKER = 4  # rendered ahead of the reader; more would only fill the memory


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """What is rendered; the same plan gives the same frames.

    Attributes:
        seed: which street, camera look and noise.
        seconds: length of the drive; the street is as long as the drive needs, so this too changes the street.
        rate_hz: frames per second, of every sensor.
        width_px, height_px: of the camera.
        lidar_beams: 1, 4, 8, 16, 32 or 64.
        samples: colour samples per pixel.
    """

    seed: int
    seconds: float = 20.0
    rate_hz: float = 10.0
    width_px: int = 640
    height_px: int = 192
    lidar_beams: int = 4
    samples: int = 2

    def __post_init__(self) -> None:
        wrong = []
        if self.seed < 0:
            wrong.append(f"seed: expected at least 0, got {self.seed}")
        if not 0.0 < self.seconds <= MAX_SECONDS:
            wrong.append(f"seconds: expected more than 0 and at most {MAX_SECONDS:g}, got {self.seconds}")
        if not 0.0 < self.rate_hz <= MAX_RATE_HZ:
            wrong.append(f"rate_hz: expected more than 0 and at most {MAX_RATE_HZ:g}, got {self.rate_hz}")
        if not MIN_SIDE_PX <= min(self.width_px, self.height_px) <= max(self.width_px, self.height_px) <= MAX_SIDE_PX:
            wrong.append(
                f"size: expected sides of {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, got {self.width_px}x{self.height_px}"
            )
        if self.samples < 1:
            wrong.append(f"samples: expected at least 1, got {self.samples}")
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def frames(self) -> int:
        """How many, one at least."""
        return max(1, round(self.seconds * self.rate_hz))

    def drive(self) -> SyntheticDrive:
        """The drive itself.

        Raises:
            ConfigError: a LiDAR with a number of beams that none has.
        """
        return SyntheticDrive(
            seed=self.seed,
            rate_hz=self.rate_hz,
            width_px=self.width_px,
            height_px=self.height_px,
            lidar_beams=self.lidar_beams,
            duration_s=self.seconds,
            samples=self.samples,
        )


def rendered_frames(plan: SimulationPlan, workers: int = 2) -> Iterator[DriveFrame]:
    """The frames of a drive in their order, a few at a time in memory.

    Args:
        plan: which drive.
        workers: processes; 1 renders in this one.

    Raises:
        ConfigError: no worker, or a drive that cannot be.
    """
    if workers < 1:
        raise ConfigError(f"workers: expected at least 1, got {workers}")
    if workers == 1:
        drive = plan.drive()
        for index in range(plan.frames):
            yield drive.frame(index)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        waiting: deque[Future[DriveFrame]] = deque()
        for index in range(plan.frames):
            waiting.append(pool.submit(_frame, plan, index))
            if len(waiting) >= _WAITING_FRAMES_PER_WORKER * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _frame(plan: SimulationPlan, index: int) -> DriveFrame:
    return _drive(plan).frame(index)


@lru_cache(maxsize=1)
def _drive(plan: SimulationPlan) -> SyntheticDrive:
    """The street is built once per process."""
    return plan.drive()
