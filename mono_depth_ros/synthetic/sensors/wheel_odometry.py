# SPDX-License-Identifier: Apache-2.0
"""Wheel odometry: what dead reckoning makes of a drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.render.world import Float64


@dataclass(frozen=True, slots=True)
class OdometryModel:
    """How wheels and gyroscope err.

    Attributes:
        scale_sigma: of the wheels' radius; drawn once per drive, so distances drift.
        yaw_bias_sigma_radps: of the turn rate; drawn once per drive, so the heading drifts.
        yaw_noise_rad: of the heading, random walk, per square root of a second.
        step_noise: of each step's length, relative.
        jitter_m, jitter_rad: of each published pose; not summed up.
        speed_sigma_mps, turn_sigma_radps: of each published velocity.
        slips_per_s: how often an episode of slip begins, on average (a Poisson process).
        slip_s: mean length of an episode (exponential).
        slip_share: largest slip: in an episode the wheels turn too far or, braking, too little by a share that is
            uniform in -slip_share..slip_share.
    """

    scale_sigma: float = 0.005
    yaw_bias_sigma_radps: float = 0.001
    yaw_noise_rad: float = 0.0005
    step_noise: float = 0.002
    jitter_m: float = 0.003
    jitter_rad: float = 0.0003
    speed_sigma_mps: float = 0.02
    turn_sigma_radps: float = 0.002
    slips_per_s: float = 0.05
    slip_s: float = 0.6
    slip_share: float = 0.3

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in self.__slots__]
        if not np.isfinite(values).all() or min(values) < 0:
            raise ConfigError(f"odometry: expected numbers of at least 0, got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class WheelReading:
    """What the robot believes.

    Attributes:
        T_odom_base: float64 [4, 4]; the identity, but for jitter, at the start.
        speed_mps: forward.
        yaw_rate_radps: counter-clockwise.
    """

    T_odom_base: Float64
    speed_mps: float
    yaw_rate_radps: float


class WheelOdometry:
    """Sums up noisy steps of a course, frame by frame; the same arguments give the same readings in any order."""

    def __init__(self, course: Course, model: OdometryModel, rate_hz: float, seed: int) -> None:
        """Draws what is drawn once per drive.

        Args:
            course: the true motion.
            model: the errors.
            rate_hz: readings per second.
            seed: of all noise.
        """
        self._course, self._model, self._rate_hz, self._seed = course, model, rate_hz, seed
        rng = np.random.default_rng([seed, 4])
        self._scale = 1.0 + float(rng.normal(0.0, model.scale_sigma))
        self._yaw_bias_radps = float(rng.normal(0.0, model.yaw_bias_sigma_radps))
        self._episodes = rng  # drawn from as time goes on, always in the order of time
        self._slips: list[tuple[float, float, float]] = []  # from s, to s, share
        self._next_slip_s = self._pause_s()
        self._summed = [np.eye(4)]

    def reading(self, index: int) -> WheelReading:
        """Reading number `index`, at index / rate_hz seconds."""
        while len(self._summed) <= index:
            self._summed.append(self._summed[-1] @ self._step(len(self._summed)))
        model, time_s = self._model, index / self._rate_hz
        rng = np.random.default_rng([self._seed, 9, index])
        jitter = _planar(rng.normal(0.0, model.jitter_m, 2), float(rng.normal(0.0, model.jitter_rad)))
        linear, angular = self._course.velocity(time_s)
        speed = float(linear[0]) * self._scale * (1.0 + self.slip(time_s))
        return WheelReading(
            T_odom_base=self._summed[index] @ jitter,
            speed_mps=speed + float(rng.normal(0.0, model.speed_sigma_mps)),
            yaw_rate_radps=float(angular[2]) + self._yaw_bias_radps + float(rng.normal(0.0, model.turn_sigma_radps)),
        )

    def slip(self, time_s: float) -> float:
        """Share by which the wheels turn too far at a time; 0 outside the episodes."""
        while self._next_slip_s <= time_s:
            length_s = float(self._episodes.exponential(self._model.slip_s))
            share = float(self._episodes.uniform(-self._model.slip_share, self._model.slip_share))
            self._slips.append((self._next_slip_s, self._next_slip_s + length_s, share))
            self._next_slip_s += length_s + self._pause_s()
        return sum(share for from_s, to_s, share in self._slips if from_s <= time_s < to_s)

    def _pause_s(self) -> float:
        mean_s = 1.0 / self._model.slips_per_s if self._model.slips_per_s > 0 else np.inf
        return float(self._episodes.exponential(mean_s)) if np.isfinite(mean_s) else np.inf

    def _step(self, index: int) -> Float64:
        """Motion from reading index - 1 to index, as wheels and gyroscope have it."""
        model, step_s = self._model, 1.0 / self._rate_hz
        before_s, after_s = (index - 1) * step_s, index * step_s
        true = invert_rigid(self._course.T_world_base(before_s)) @ self._course.T_world_base(after_s)
        rng = np.random.default_rng([self._seed, 10, index])
        turn = self._yaw_bias_radps * step_s + float(rng.normal(0.0, model.yaw_noise_rad)) * np.sqrt(step_s)
        length = self._scale * (1.0 + self.slip(0.5 * (before_s + after_s))) * (1.0 + rng.normal(0.0, model.step_noise))
        step = true @ _planar(np.zeros(2), turn)
        step[:3, 3] = true[:3, 3] * length
        return np.asarray(step)


def _planar(shift_m: Float64, turn_rad: float) -> Float64:
    c, s = np.cos(turn_rad), np.sin(turn_rad)
    motion = np.eye(4)
    motion[:2, :2] = [[c, -s], [s, c]]
    motion[:2, 3] = shift_m
    return motion
