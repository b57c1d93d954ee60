# SPDX-License-Identifier: Apache-2.0
"""A slow robot that drives from room to room, and the people who walk about in some buildings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.indoor.scene import ROBOT_CLEARANCE_M, Indoor, random_indoor
from mono_depth_ros.synthetic.indoor.space import FreeSpace
from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.render.world import Float64, Moving, Solid, World
from mono_depth_ros.synthetic.things import props
from mono_depth_ros.synthetic.things.people import walking_person

ROBOT_RADIUS_M = 0.22
_STEP_S = 0.01
_LEAD_S = 3.0  # the robot has been under way for so long when the course starts
_TAIL_S = 2.0
_SPACING_M = 0.02  # of the points that a route is followed by
_ACCELERATION_MPS2, _TURN_ACCELERATION_RADPS2 = 0.5, 2.0
# look-ahead (m) and share of the cruise speed, tried in this order
_CAREFUL = ((0.45, 1.0), (0.25, 0.8), (0.15, 0.6), (0.12, 0.4), (0.1, 0.2))
_PEOPLE_SHARE = 0.4  # of the buildings have people who walk
_PERSONAL_M = 0.9  # people keep this far from the robot, centre to centre


@dataclass(frozen=True, slots=True, eq=False)
class RobotTrack:
    """Where a robot was: the motion of a two-wheeled base, at fixed steps.

    Args:
        start_s: time of the first entry.
        pose: float64 [N, 3], x, y (m) and yaw (rad, unwrapped).
        rate: float64 [N, 2], speed (m/s, along the robot's x) and yaw rate (rad/s).
    """

    start_s: float
    pose: Float64
    rate: Float64

    def T_world_base(self, time_s: float) -> Float64:
        """Pose float64 [4, 4]: cubic Hermite between the entries, so that speed is continuous too."""
        at = float(np.clip((time_s - self.start_s) / _STEP_S, 0.0, len(self.pose) - 1.001))
        k = int(at)
        f = at - k
        (x0, y0, yaw0), (x1, y1, yaw1) = self.pose[k], self.pose[k + 1]
        (v0, w0), (v1, w1) = self.rate[k], self.rate[k + 1]
        first = np.array([x0, y0, yaw0]), np.array([v0 * np.cos(yaw0), v0 * np.sin(yaw0), w0]) * _STEP_S
        second = np.array([x1, y1, yaw1]), np.array([v1 * np.cos(yaw1), v1 * np.sin(yaw1), w1]) * _STEP_S
        f2, f3 = f * f, f * f * f
        x, y, yaw = (
            (2 * f3 - 3 * f2 + 1) * first[0]
            + (f3 - 2 * f2 + f) * first[1]
            + (3 * f2 - 2 * f3) * second[0]
            + (f3 - f2) * second[1]
        )
        return props.offset(float(x), float(y), 0.0, float(yaw))


@dataclass(frozen=True, slots=True)
class Walker:
    """A person who walks round and round an ellipse.

    Args:
        centre_m: x, y of its middle.
        half_m: its half axes.
        yaw_rad: direction of the first axis.
        rate_radps: angle per second; negative walks clockwise.
        phase_rad: where the walk starts.
    """

    centre_m: tuple[float, float]
    half_m: tuple[float, float]
    yaw_rad: float
    rate_radps: float
    phase_rad: float

    def T_world_body(self, time_s: float) -> Float64:
        """Pose float64 [4, 4] of the body (x forward, z up, origin on the floor) at `time_s`."""
        angle = self.phase_rad + self.rate_radps * time_s
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        u, v = self.half_m[0] * np.cos(angle), self.half_m[1] * np.sin(angle)
        du, dv = -self.half_m[0] * np.sin(angle) * self.rate_radps, self.half_m[1] * np.cos(angle) * self.rate_radps
        heading = float(np.arctan2(s * du + c * dv, c * du - s * dv))
        return props.offset(self.centre_m[0] + c * u - s * v, self.centre_m[1] + s * u + c * v, 0.0, heading)


def indoor_course(seed: int, duration_s: float) -> Course:
    """A drive through a random building: turns on the spot, pauses, doorways; clear of everything that stands there.

    Args:
        seed: which building, route and people.
        duration_s: how long the drive takes.

    Raises:
        ConfigError: on a duration that is not positive.
    """
    if duration_s <= 0:
        raise ConfigError(f"duration_s: expected more than 0, got {duration_s}")
    indoor = random_indoor(seed)
    rng = np.random.default_rng([seed, 22])
    cruise = float(np.exp(rng.uniform(np.log(0.25), np.log(0.95))))
    track = robot_track(indoor, rng, cruise, duration_s + _LEAD_S + _TAIL_S)
    return Course(_with_people(rng, indoor, track), track.T_world_base, cruise)


def robot_track(indoor: Indoor, rng: Rng, cruise_mps: float, duration_s: float) -> RobotTrack:
    """A route from goal to goal, and the motion along it; slower and closer to the route until it is clear everywhere.

    Args:
        indoor: the building.
        rng: source of the goals.
        cruise_mps: usual speed.
        duration_s: length of the track, which starts `_LEAD_S` before time 0.

    Raises:
        DataError: when even the slowest drive comes too close to something.
    """
    legs = _legs(indoor, rng, 1.2 * cruise_mps * duration_s)
    turn = float(rng.uniform(0.5, 1.0))
    pauses = rng.uniform(-2.0, 2.5, len(legs)).clip(0.0)
    for look_ahead_m, pace in _CAREFUL:
        track = _follow(legs, pauses, pace * cruise_mps, turn, look_ahead_m, duration_s)
        if (indoor.space.clearance_at(track.pose[:, :2]) >= ROBOT_RADIUS_M).all():
            return track
    raise DataError(f"indoor course: expected a drive {ROBOT_RADIUS_M} m clear of everything, got none on this route")


def _legs(indoor: Indoor, rng: Rng, length_m: float) -> list[Float64]:
    """Ways float64 [N, 2] from goal to goal, room by room, until they are long enough in sum."""
    space = indoor.space
    region = space.region(ROBOT_CLEARANCE_M)
    roomy = region & (space.clearance_m > min(0.6, 0.7 * float(space.clearance_m[region].max(initial=0.0))))
    at = space.spot(rng, roomy)
    legs: list[Float64] = []
    total = 0.0
    while total < length_m or not legs:
        goal = _goal(indoor, rng, roomy, at)
        way = space.way(at, goal, ROBOT_CLEARANCE_M)
        steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
        if steps.sum() > 0.3 or len(legs) > 200:
            total += max(float(steps.sum()), 0.05)
            legs.append(_resampled(way))
            at = way[-1]
    return legs


def _goal(indoor: Indoor, rng: Rng, roomy: npt.NDArray[np.bool_], at: Float64) -> Float64:
    """A place in another room than the last, where there is one."""
    for _ in range(8):
        x0, x1, y0, y1 = indoor.plan.rooms[int(rng.integers(len(indoor.plan.rooms)))].tile
        rows, columns = indoor.space.cells(np.array([[x0, y0], [x1, y1]]))
        inside = np.zeros_like(roomy)
        inside[rows[0] : rows[1], columns[0] : columns[1]] = roomy[rows[0] : rows[1], columns[0] : columns[1]]
        small = len(indoor.plan.rooms) == 1
        if inside.any() and (small or not (x0 <= at[0] < x1 and y0 <= at[1] < y1)):
            return indoor.space.spot(rng, inside)
    return indoor.space.spot(rng, roomy)


def _resampled(way: Float64) -> Float64:
    """Points float64 [M, 2] every `_SPACING_M` along a way."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], max(2, int(along[-1] / _SPACING_M) + 1))
    return np.stack([np.interp(at, along, way[:, axis]) for axis in (0, 1)], axis=1)


def _follow(
    legs: list[Float64], pauses_s: Float64, cruise_mps: float, turn_radps: float, look_ahead_m: float, duration_s: float
) -> RobotTrack:
    """Pure pursuit: drive at a point a little further along the way, turning on the spot when it is not ahead."""
    number = int(duration_s / _STEP_S) + 2
    pose, rate = np.zeros((number, 3)), np.zeros((number, 2))
    heading = legs[0][min(20, len(legs[0]) - 1)] - legs[0][0]
    x, y, yaw = float(legs[0][0, 0]), float(legs[0][0, 1]), float(np.arctan2(heading[1], heading[0]))
    v, w = 0.0, 0.0
    leg, near, waiting = 0, 0, 0.0
    ahead = max(1, int(look_ahead_m / _SPACING_M))
    for k in range(number):
        pose[k], rate[k] = (x, y, yaw), (v, w)
        way = legs[leg]
        window = way[near : near + 40]
        near += int(np.argmin((window[:, 0] - x) ** 2 + (window[:, 1] - y) ** 2))
        left = float(np.hypot(*(way[-1] - (x, y))))
        target = way[min(near + ahead, len(way) - 1)]
        error = float((np.arctan2(target[1] - y, target[0] - x) - yaw + np.pi) % (2 * np.pi) - np.pi)
        arrived = near >= len(way) - 3 or left < 0.05
        if arrived or waiting > 0:
            wish_v, wish_w = 0.0, 0.0
            if arrived and abs(v) < 1e-3 and abs(w) < 1e-3:
                waiting, leg, near = float(pauses_s[leg]), (leg + 1) % len(legs), 0
            waiting -= _STEP_S
        else:
            wish_w = float(np.clip(1.8 * error, -turn_radps, turn_radps))
            wish_v = cruise_mps * max(0.0, float(np.cos(error))) ** 4 if abs(error) < 0.5 * np.pi else 0.0
            wish_v = min(wish_v, float(np.sqrt(2 * 0.8 * _ACCELERATION_MPS2 * left)))
        v += float(np.clip(wish_v - v, -_ACCELERATION_MPS2 * _STEP_S, _ACCELERATION_MPS2 * _STEP_S))
        w += float(np.clip(wish_w - w, -_TURN_ACCELERATION_RADPS2 * _STEP_S, _TURN_ACCELERATION_RADPS2 * _STEP_S))
        middle = yaw + 0.5 * w * _STEP_S
        x, y, yaw = x + v * np.cos(middle) * _STEP_S, y + v * np.sin(middle) * _STEP_S, yaw + w * _STEP_S
    return RobotTrack(-_LEAD_S, pose, rate)


def _with_people(rng: Rng, indoor: Indoor, track: RobotTrack) -> World:
    """The building's world with up to three people who walk where robot and furniture are not."""
    people = int(rng.integers(1, 4)) if rng.uniform() < _PEOPLE_SHARE else 0
    movers: list[Moving] = []
    solids: list[Solid] = []
    times = track.start_s + _STEP_S * np.arange(0, len(track.pose), 10)
    robot = track.pose[::10, :2]
    others = [robot]
    for _ in range(60):
        if len(others) > people:
            break
        walker = _random_walker(rng, indoor.space)
        steps = np.array([walker.T_world_body(float(t))[:2, 3] for t in times])
        apart = all((np.linalg.norm(steps - other, axis=1) > _PERSONAL_M).all() for other in others)
        if apart and (indoor.space.clearance_at(steps) > 0.3).all():
            parts, figure = walking_person(rng, walker, len(movers))
            solids += figure
            movers += parts
            others.append(steps)
    return replace(indoor.world, solids=(*indoor.world.solids, *solids), movers=tuple(movers))


def _random_walker(rng: Rng, space: FreeSpace) -> Walker:
    """Somebody on an ellipse around a free spot; whether its whole is free is for the caller to see."""
    centre = space.spot(rng, space.clearance_m > 0.4)
    room = float(space.clearance_at(centre[None])[0])
    long = float(rng.uniform(0.3, 4.0))
    half = (long, float(min(rng.uniform(0.15, 1.0) * long, max(0.15, room - 0.3))))
    rate = float(rng.uniform(0.4, 1.3)) / float(np.hypot(*half)) * np.sqrt(2.0) * float(rng.choice([-1.0, 1.0]))
    return Walker(
        (float(centre[0]), float(centre[1])),
        half,
        float(rng.uniform(0, np.pi)),
        float(rate),
        float(rng.uniform(0, 6.28)),
    )
