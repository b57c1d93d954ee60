# SPDX-License-Identifier: Apache-2.0
"""Random streets: what a lead vehicle does, what stands where, and that all of it can be seen."""

from dataclasses import replace

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.pace import Pace
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.render.world import Mover
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.course import course_through
from mono_depth_ros.synthetic.street.road import RoadPath
from mono_depth_ros.synthetic.street.scene import Street, following, random_street
from mono_depth_ros.synthetic.things.people import Crosser, Swing

CAMERA = PinholeCamera(160, 64, 95.0, 95.0, 79.5, 28.0)
MOUNT = camera_pose(np.array([0.5, 0.0, 1.5]), 0.0, 0.02, 0.0)


def _with_lead(straight: bool) -> Street:
    for seed in range(200):
        street = random_street(seed)
        if street.lead >= 0 and (not straight or not any(street.path.amplitude_m)):
            return street
    raise AssertionError("no street with a lead vehicle in 200")


def test_about_a_quarter_of_the_streets_has_a_lead_vehicle() -> None:
    share = np.mean([random_street(seed, 30.0).lead >= 0 for seed in range(40)])
    assert 0.1 < share < 0.4


def test_a_lead_vehicle_keeps_its_gap_to_a_course_at_any_time() -> None:
    street = _with_lead(straight=False)
    pace = Pace(0.3, 7.0)
    followed = following(street, 6.5, pace)
    lead = followed.world.movers[followed.lead]
    assert isinstance(lead, Mover)
    gaps = [
        lead.start_m + lead.speed_mps * lead.pace.elapsed_s(t) - (street.start_m + 6.5 * pace.elapsed_s(t))
        for t in np.linspace(0.0, 20.0, 41)
    ]
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-9)
    assert 5.0 < gaps[0] < 30.0
    assert followed.lead_speed_mps() == 6.5


def test_seen_from_behind_a_lead_vehicle_stands_still_while_the_world_passes() -> None:
    street = _with_lead(straight=True)
    level = replace(street, path=RoadPath())
    movers = tuple(replace(m, path=RoadPath()) if isinstance(m, Mover) else m for m in street.world.movers)
    course = course_through(replace(level, world=replace(street.world, movers=movers)), 6.0)
    relative = []
    for time_s in (0.0, 1.3, 4.0, 9.0):
        T_world_lead = course.world.movers[street.lead].T_world_body(time_s)
        relative.append(np.linalg.inv(course.T_world_base(time_s)) @ T_world_lead)
    for pose in relative[1:]:
        np.testing.assert_allclose(pose, relative[0], atol=1e-9)
    moved = course.T_world_base(9.0)[0, 3] - course.T_world_base(0.0)[0, 3]
    assert moved == pytest.approx(6.0 * Pace(0.15, 12.0).elapsed_s(9.0))


def test_without_a_lead_vehicle_there_is_no_speed_to_ask_for() -> None:
    street = next(s for s in (random_street(seed, 40.0) for seed in range(50)) if s.lead < 0)
    with pytest.raises(ConfigError, match="expected a lead vehicle"):
        street.lead_speed_mps()


def test_a_pace_is_the_integral_of_its_factor() -> None:
    pace = Pace(0.4, 5.0)
    times = np.linspace(0.0, 7.0, 7001)
    factors = np.array([pace.factor(float(t)) for t in times])
    summed = float(((factors[1:] + factors[:-1]) / 2 * np.diff(times)).sum())
    assert pace.elapsed_s(7.0) == pytest.approx(summed, rel=1e-6)
    with pytest.raises(ConfigError, match="swing in"):
        Pace(1.0)


def test_streets_show_all_that_a_street_has() -> None:
    labels: set[int] = set()
    for seed in range(10):
        street = random_street(seed)
        view = render(street.world, CAMERA, street.path.pose(5.0, street.lane_m) @ MOUNT, 1.0, 1, shadows=False)
        labels |= set(np.unique(view.labels).tolist())
    wanted = {Label.ROAD, Label.SIDEWALK, Label.TERRAIN, Label.BUILDING, Label.VEGETATION, Label.POLE, Label.SKY}
    assert wanted | {Label.CAR, Label.TRAFFIC_SIGN, Label.PERSON, Label.FENCE} <= labels
    every = {solid.label for seed in range(30) for solid in random_street(seed, 60.0).world.solids}
    assert {Label.TRUCK, Label.BUS, Label.TRAFFIC_LIGHT, Label.WALL, Label.BICYCLE, Label.RIDER} <= every


def test_nothing_stands_in_the_lane_of_the_drive() -> None:
    # what is carried by movers may be there; so may what spans the road high above it
    for seed in range(8):
        street = random_street(seed)
        posed = street.world.at(0.0)
        standing = [i for i, s in enumerate(street.world.solids) if s.mover < 0 and np.isfinite(posed.radius_m()[i])]
        corners = posed.corners_world_m()
        for x in np.arange(0.0, 100.0, 4.0):
            spot = street.path.pose(x, -max(0.2, min(-street.lane_m, street.half_width_m - 3.2)))
            for index in standing:
                local = (corners[index] - spot[:3, 3]) @ spot[:3, :3]
                low, high = local.min(0), local.max(0)
                blocks = low[0] < 0.3 and high[0] > -0.3 and low[1] < 0.5 and high[1] > -0.5
                assert not (blocks and low[2] < 1.4 and high[2] > 0.5), (seed, x, street.world.solids[index].label)


def test_walkers_cross_once_and_their_legs_swing() -> None:
    crosser = Crosser(RoadPath(), 40.0, 5.0, -5.0, 2.0, 1.0, returns=False)
    assert crosser.T_world_body(1.0)[1, 3] == pytest.approx(5.0)
    assert crosser.T_world_body(6.0)[1, 3] == pytest.approx(-5.0)
    np.testing.assert_allclose(crosser.T_world_body(2.0)[:3, 0], [0, -1, 0], atol=1e-12)
    back = replace(crosser, returns=True)
    assert back.T_world_body(8.5)[1, 3] == pytest.approx(0.0)
    assert back.T_world_body(8.5)[1, 0] == pytest.approx(1.0)
    leg = Swing(crosser, (0.0, 0.1, 0.9), 0.4, 0.0)
    forth = leg.T_world_body(2.25) @ np.array([0, 0, -0.9, 1.0])
    rest = leg.T_world_body(2.0) @ np.array([0, 0, -0.9, 1.0])
    assert abs((forth - crosser.T_world_body(2.25)[:, 3])[1]) == pytest.approx(0.9 * np.sin(0.4), rel=1e-6)
    assert rest[2] == pytest.approx(0.0, abs=1e-9)
