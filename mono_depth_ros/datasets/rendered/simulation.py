# SPDX-License-Identifier: Apache-2.0
"""Renders a synthetic drive, frame by frame, on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mono_depth_ros.datasets.rendered.frame_store import FrameStore
from mono_depth_ros.datasets.rendered.render_pool import render_pool
from mono_depth_ros.datasets.rendered.rendered_cache import GENERATOR_VERSION
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.failures import CalibrationBump
from mono_depth_ros.synthetic.robot import (
    LIDAR,
    RANGE_FINDER,
    SCANNER,
    TOF,
    DriveFrame,
    RobotSensors,
    SensorMount,
    SyntheticDrive,
)
from mono_depth_ros.synthetic.sensors.camera_rig import (
    CAR,
    FLYER,
    LOW_ROBOT,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    CameraMount,
    check_rig,
    named_rig,
    pinhole,
)
from mono_depth_ros.synthetic.sensors.lidar import LidarModel, elevation_table
from mono_depth_ros.synthetic.sensors.range_sensors import PlanarScanner, ZoneSensor

STREET, INDOOR, CHAOS = "street", "indoor", "chaos"
WORLDS = (STREET, INDOOR, CHAOS)
ODOMETRY, TWIST = "odom", "twist"
SENSORS = (LIDAR, SCANNER, TOF, RANGE_FINDER, ODOMETRY, TWIST)
MAX_RATE_HZ, MAX_SECONDS = 100.0, 3600.0
FOV_DEG = 81.0  # of cameras that nobody described
_BODIES = {STREET: CAR, INDOOR: LOW_ROBOT, CHAOS: FLYER}
_USUAL_SENSORS = {
    STREET: (LIDAR, ODOMETRY),
    INDOOR: (SCANNER, TOF, RANGE_FINDER, ODOMETRY),
    CHAOS: (LIDAR, ODOMETRY),
}
_SINGLE_POINT = ZoneSensor(1, np.deg2rad(4.0), max_range_m=8.0, reach_10_percent_m=4.0)
_WAITING_FRAMES_PER_WORKER = 4  # rendered ahead of the reader; more would only fill the memory


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """What is rendered; the same plan gives the same frames.

    Attributes:
        seed: which world, camera look and noise.
        seconds: length of the drive; the world is as long as the drive needs, so this too changes it.
        rate_hz: frames per second, of every sensor.
        width_px, height_px: of the cameras of a named rig.
        lidar_beams: 1, 4, 8, 16, 32 or 64.
        samples: colour samples per pixel.
        world: street, indoor or chaos.
        rig: single, stereo, front3 or rig6.
        cameras: takes the place of `rig`, `width_px` and `height_px` when it is not empty.
        sensors: beside the cameras; empty takes those that are usual in the world.
        elevations_deg: of the LiDAR's beams; takes the place of `lidar_beams` when it is not empty.
        rolling: whether LiDAR and scanner take 1 / rate_hz for a turn, or an instant.
        bumps: sensors that move while calibration does not know it; those of the FailurePlan.
    """

    seed: int
    seconds: float = 20.0
    rate_hz: float = 10.0
    width_px: int = 640
    height_px: int = 192
    lidar_beams: int = 4
    samples: int = 2
    world: str = STREET
    rig: str = "single"
    cameras: tuple[CameraMount, ...] = ()
    sensors: tuple[str, ...] = ()
    elevations_deg: tuple[float, ...] = ()
    rolling: bool = True
    bumps: tuple[CalibrationBump, ...] = ()

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
        if self.world not in WORLDS:
            wrong.append(f"world: expected one of {', '.join(WORLDS)}, got {self.world!r}")
        if unknown := [name for name in self.sensors if name not in SENSORS]:
            wrong.append(f"sensors: expected some of {', '.join(SENSORS)}, got {', '.join(unknown)}")
        if self.cameras:
            wrong += check_rig(self.cameras)
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def frames(self) -> int:
        """How many, one at least."""
        return max(1, round(self.seconds * self.rate_hz))

    def description(self) -> str:
        """Everything that frames depend on; equal plans have equal ones, whatever made them."""
        return f"worlds {GENERATOR_VERSION}, {self!r}\n"

    def rigged(self) -> tuple[CameraMount, ...]:
        """The cameras.

        Raises:
            ConfigError: no rig of that name.
        """
        if self.cameras:
            return self.cameras
        return named_rig(self.rig, _BODIES[self.world], pinhole(self.width_px, self.height_px, FOV_DEG))

    def equipped(self) -> tuple[str, ...]:
        """Names of all sensors beside the cameras."""
        return self.sensors or _USUAL_SENSORS[self.world]

    def course(self) -> Course:
        """World and true motion."""
        if self.world == INDOOR:
            from mono_depth_ros.synthetic.indoor.course import indoor_course

            return indoor_course(self.seed, self.seconds)
        if self.world == CHAOS:
            from mono_depth_ros.synthetic.chaos_course import chaos_course

            return chaos_course(self.seed)
        from mono_depth_ros.synthetic.street.course import street_course

        return street_course(self.seed, self.seconds)

    def robot(self) -> RobotSensors:
        """All sensors and where they sit.

        Raises:
            ConfigError: a LiDAR with a number of beams that none has, or no rig of that name.
        """
        body, names = _BODIES[self.world], self.equipped()
        elevations = tuple(float(e) for e in np.deg2rad(self.elevations_deg)) or elevation_table(self.lidar_beams)
        lidar, scanner = (LidarModel(elevations), SensorMount(*body.lidar_m)), PlanarScanner()
        return RobotSensors(
            cameras=self.rigged(),
            lidar=lidar if LIDAR in names else None,
            scanner=(scanner, SensorMount(*body.scanner_m)) if SCANNER in names else None,
            tof=(ZoneSensor(), SensorMount(*body.tof_m)) if TOF in names else None,
            range_finder=(_SINGLE_POINT, SensorMount(*body.tof_m)) if RANGE_FINDER in names else None,
            rolling=self.rolling,
        )

    def drive(self) -> SyntheticDrive:
        """The drive itself.

        Raises:
            ConfigError: sensors that cannot be.
        """
        robot = self.robot()
        names = {*(mount.name for mount in robot.cameras), *self.equipped()}
        if strange := sorted({bump.sensor for bump in self.bumps} - names):
            raise ConfigError(f"bumps: expected sensors of this robot ({', '.join(sorted(names))}), got {strange}")
        return SyntheticDrive(self.course(), robot, self.seed, self.rate_hz, self.samples, self.bumps)


def rendered_frames(plan: SimulationPlan, workers: int = 2, store: Path | None = None) -> Iterator[DriveFrame]:
    """The frames of a drive in their order, a few at a time in memory.

    Args:
        plan: which drive.
        workers: processes; 1 renders in this one, as does a drive of one frame.
        store: folder that keeps frames: those of the same plan that lie there are not rendered again, others are
            removed. None keeps nothing.

    Raises:
        ConfigError: no worker, a drive that cannot be, a folder that cannot be written, or workers that end at once,
            as in a script without ``if __name__ == "__main__":``, which every new process runs again.
    """
    if workers < 1:
        raise ConfigError(f"workers: expected at least 1, got {workers}")
    if store is not None:
        FrameStore(store, plan.robot()).claim(plan.description())
    if workers == 1 or plan.frames == 1:
        for index in range(plan.frames):
            yield _frame(plan, store, index)
        return
    try:
        with render_pool(workers) as pool:
            waiting: deque[Future[DriveFrame]] = deque()
            for index in range(plan.frames):
                waiting.append(pool.submit(_frame, plan, store, index))
                if len(waiting) >= _WAITING_FRAMES_PER_WORKER * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"rendering: expected {workers} processes, got one that ended early; in a script, what reads the samples "
            'has to stand below `if __name__ == "__main__":`, or ask for single ones: samples[0]'
        ) from error


def _frame(plan: SimulationPlan, store: Path | None, index: int) -> DriveFrame:
    """A frame, from the store when it has it, into the store when it has not."""
    if store is None:
        return _drive(plan).frame(index)
    frames = FrameStore(store, plan.robot())
    found = frames.read(index)
    if found is None:
        found = _drive(plan).frame(index)
        frames.write(index, found)
    return found


@lru_cache(maxsize=1)
def _drive(plan: SimulationPlan) -> SyntheticDrive:
    """The world is built once per process."""
    return plan.drive()
