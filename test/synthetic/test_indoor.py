# SPDX-License-Identifier: Apache-2.0
"""Buildings from inside: plans that tile, ways that are free, pictures that show rooms."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.synthetic.indoor.course import ROBOT_RADIUS_M, indoor_course
from mono_depth_ros.synthetic.indoor.plan import BuildingStyle, random_plan
from mono_depth_ros.synthetic.indoor.scene import ROBOT_CLEARANCE_M, Indoor, random_indoor
from mono_depth_ros.synthetic.indoor.space import CELL_M, FreeSpace, free_space
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.rendering import Rendering, render
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Hits, Shape, Solid, World, cast_grid
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose

GREY = Material((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
CAMERA = PinholeCamera(160, 96, 90.0, 90.0, 79.5, 47.5)
SEEDS = (0, 2, 5, 6, 9)  # homes, offices and halls


@pytest.fixture(scope="module")
def buildings() -> list[Indoor]:
    return [random_indoor(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def views(buildings: list[Indoor]) -> list[Rendering]:
    rng = np.random.default_rng(1)
    found = []
    for indoor in buildings:
        region = indoor.space.region(ROBOT_CLEARANCE_M)
        for _ in range(4):
            spot = indoor.space.spot(rng, region)
            position = np.array([*spot, rng.uniform(0.3, 1.2)])
            T_world_camera = camera_pose(position, rng.uniform(0, 2 * np.pi), rng.normal(0, 0.1), 0.0)
            found.append(render(indoor.world, CAMERA, T_world_camera, samples=1))
    return found


def _rays(posed_world: World, spot: np.ndarray, height_m: float, number: int = 72) -> Hits:
    """Level rays from a place, all around."""
    angle = np.linspace(0, 2 * np.pi, number, endpoint=False)
    directions = np.stack([np.cos(angle), np.sin(angle), np.zeros(number)])[:, None].astype(np.float32)
    return cast_grid(posed_world.at(0.0), np.array([*spot, height_m]), directions)


def test_rooms_tile_their_building_and_doors_are_cut_into_both_walls() -> None:
    styles = set()
    for seed in range(30):
        plan = random_plan(np.random.default_rng(seed))
        styles.add(plan.style)
        x0, x1, y0, y1 = plan.extent()
        area = sum((b - a) * (d - c) for a, b, c, d in (room.tile for room in plan.rooms))
        assert area == pytest.approx((x1 - x0) * (y1 - y0))
        for first in plan.rooms:  # no two overlap
            for second in plan.rooms:
                if first is not second:
                    a, b, c, d = first.tile
                    e, f, g, h = second.tile
                    assert min(b, f) - max(a, e) < 1e-9 or min(d, h) - max(c, g) < 1e-9
        doors: dict[tuple[float, float], int] = {}
        for room in plan.rooms:
            for side in room.sides:
                ends = [side.from_m, *(e for o in side.openings for e in (o.from_m, o.to_m)), side.to_m]
                assert ends == sorted(ends)
                for hole in side.openings:
                    assert 0.0 <= hole.bottom_m < hole.top_m < plan.height_m
                    if hole.kind == Label.DOOR:
                        assert not side.outer
                        key = (side.at_m, hole.from_m)
                        doors[key] = doors.get(key, 0) + 1
        assert set(doors.values()) <= {2}
        assert len(doors) >= len(plan.rooms) - 1 - sum(
            min(b - a, d - c) < 1.5 for a, b, c, d in (r.tile for r in plan.rooms)
        )
    assert styles == set(BuildingStyle)


def test_a_wall_stops_rays_but_for_its_doors(buildings: list[Indoor]) -> None:
    """From a doorway's middle a ray gets through to the next room; beside the door the wall is solid."""
    checked = 0
    for indoor in buildings:
        shell = World(tuple(s for s in indoor.world.solids if s.label in (Label.WALL, Label.FLOOR, Label.CEILING)))
        for room in indoor.plan.rooms:
            for side in room.sides:
                for hole in (o for o in side.openings if o.kind == Label.DOOR):
                    start = np.array([*side.point(0.5 * (hole.from_m + hole.to_m), 0.5), 1.2])
                    ahead = np.array(side.point(0.0, -1.0)) - np.array(side.point(0.0, 0.0))
                    ray = np.array([*ahead, 0.0], dtype=np.float32)[:, None, None]
                    through = cast_grid(shell.at(0.0), start, ray).distance[0, 0]
                    assert through > 0.5 + indoor.plan.wall_m
                    beside = np.array([*side.point(hole.from_m - 0.1, 0.5), 1.2])
                    stopped = cast_grid(shell.at(0.0), beside, ray).distance[0, 0]
                    assert stopped == pytest.approx(0.5 - indoor.plan.wall_m, abs=0.02)
                    checked += 1
    assert checked > 20


def test_free_space_keeps_its_promise_against_rays(buildings: list[Indoor]) -> None:
    rng = np.random.default_rng(3)
    for indoor in buildings:
        region = indoor.space.region(ROBOT_CLEARANCE_M)
        assert region.mean() > 0.2
        for _ in range(6):
            spot = indoor.space.spot(rng, region)
            promised = float(indoor.space.clearance_at(spot[None])[0])
            for height in (0.1, 0.45, 1.0, 1.4):
                assert _rays(indoor.world, spot, height).distance.min() >= promised - 1e-3


def test_clearance_to_a_single_box_is_its_distance_or_a_little_less() -> None:
    at = np.eye(4)
    at[:3, 3] = (5.0, 4.0, 0.5)
    space = free_space(World((Solid(Shape.BOX, at, (0.5, 0.5, 0.5), GREY),)).at(0.0), (0.0, 10.0, 0.0, 8.0))
    for x, y, distance in ((3.0, 4.0, 1.5), (5.0, 2.0, 1.5), (6.2, 5.2, np.hypot(0.7, 0.7)), (1.0, 1.0, 1.0)):
        measured = float(space.clearance_at(np.array([[x, y]]))[0])
        assert distance - 2.1 * CELL_M < measured <= distance + 1e-6


def test_what_a_robot_would_hit_blocks_it_and_rugs_and_lamps_do_not() -> None:
    def blocked(bottom_m: float, top_m: float) -> bool:
        at = np.eye(4)
        at[:3, 3] = (5.0, 4.0, 0.5 * (bottom_m + top_m))
        solid = Solid(Shape.BOX, at, (0.5, 0.5, 0.5 * (top_m - bottom_m)), GREY)
        space = free_space(World((solid,)).at(0.0), (0.0, 10.0, 0.0, 8.0))
        return bool(space.clearance_at(np.array([[5.0, 4.0]]))[0] == 0.0)

    assert blocked(0.7, 0.75)  # a table top
    assert blocked(0.0, 0.06)  # a shoe
    assert not blocked(0.0, 0.008)  # a rug
    assert not blocked(1.8, 2.2)  # a lamp


def test_a_way_leads_around_a_wall_and_keeps_clear() -> None:
    at = np.eye(4)
    at[:3, 3] = (5.0, 3.0, 1.0)
    space = free_space(World((Solid(Shape.BOX, at, (0.1, 3.0, 1.0), GREY),)).at(0.0), (0.0, 10.0, 0.0, 8.0))
    start, goal = np.array([2.0, 2.0]), np.array([8.0, 2.0])
    way = space.way(start, goal, 0.3)
    np.testing.assert_allclose(way[[0, -1]], [start, goal], atol=CELL_M)
    assert way[:, 1].max() > 6.3  # around the wall's end
    length = np.linalg.norm(np.diff(way, axis=0), axis=1).sum()
    assert length < 1.1 * 2 * np.hypot(3.0, 4.4)
    for a, b in pairwise(way):
        line = a + np.linspace(0, 1, 50)[:, None] * (b - a)
        assert (space.clearance_at(line) > 0.25).all()
    walled = FreeSpace(space.origin_m, np.where(np.arange(space.clearance_m.shape[1]) == 100, 0, space.clearance_m))
    with pytest.raises(DataError, match="got none"):
        walled.way(start, goal, 0.3)


def test_a_robot_drives_clear_of_everything_at_bounded_and_continuous_rates() -> None:
    for seed in SEEDS:
        indoor, course = random_indoor(seed), indoor_course(seed, 12.0)
        step_s = 0.0537  # no multiple of the track's own steps
        times = np.arange(-1.0, 13.0, step_s)
        poses = np.array([course.T_world_base(float(t)) for t in times])
        assert (indoor.space.clearance_at(poses[:, :2, 3]) >= ROBOT_RADIUS_M).all()
        assert (poses[:, 2, 3] == 0).all()
        motion = [course.velocity(float(t)) for t in times]
        linear, angular = np.array([m[0] for m in motion]), np.array([m[1] for m in motion])
        assert np.abs(linear[:, 1:]).max() < 5e-3  # wheels do not slide sideways
        assert linear[:, 0].min() > -1e-3
        assert linear[:, 0].max() < 1.0
        assert np.abs(angular[:, 2]).max() < 1.05
        assert np.abs(np.diff(linear[:, 0])).max() < step_s * 0.7  # 0.5 m/s^2, and what the interpolation adds
        assert np.abs(np.diff(angular[:, 2])).max() < step_s * 2.5
        assert np.ptp(poses[:, :2, 3], axis=0).max() > 0.5  # it does go somewhere
        assert 0.2 < course.cruise_mps < 1.0


def test_people_walk_in_some_buildings_and_keep_away_from_the_robot() -> None:
    peopled = 0
    for seed in range(30, 38):
        course = indoor_course(seed, 10.0)
        tied = [s for s in course.world.solids if s.mover >= 0]
        if not tied:
            continue
        peopled += 1
        assert {s.label for s in tied} == {Label.PERSON}
        posed = [course.world.at(t) for t in (0.0, 3.0)]
        mine = np.array([s.mover >= 0 for s in course.world.solids])
        moved = np.linalg.norm(posed[1].centre_world_m[mine] - posed[0].centre_world_m[mine], axis=1)
        assert moved.max() > 0.1
        for time_s in np.arange(0.0, 10.0, 1.0):
            centres = course.world.at(float(time_s)).centre_world_m[mine, :2]
            robot = course.T_world_base(float(time_s))[:2, 3]
            assert np.linalg.norm(centres - robot, axis=1).min() > 0.4
    assert 1 <= peopled <= 7


def test_the_same_seed_gives_the_same_building_drive_and_picture() -> None:
    first, again = indoor_course(4, 5.0), indoor_course(4, 5.0)
    np.testing.assert_array_equal(first.T_world_base(3.3), again.T_world_base(3.3))
    T_world_camera = first.T_world_base(3.3) @ camera_pose(np.array([0.1, 0.0, 0.5]), 0.0, 0.0, 0.0)
    one, two = (render(c.world, CAMERA, T_world_camera, 3.3, samples=1) for c in (first, again))
    np.testing.assert_array_equal(one.image_rgb, two.image_rgb)
    np.testing.assert_array_equal(one.depth_m, two.depth_m)
    other = random_indoor(5)
    assert other.plan.extent() != random_indoor(4).plan.extent()
    with pytest.raises(ConfigError, match="duration_s"):
        indoor_course(4, 0.0)


def test_rooms_are_closed_but_for_their_windows(buildings: list[Indoor]) -> None:
    """With the windows' panes walled up no ray leaves a building: there is truth everywhere."""
    rng = np.random.default_rng(5)
    for indoor in buildings:
        region = indoor.space.region(ROBOT_CLEARANCE_M)
        x0, x1, y0, y1 = indoor.plan.extent()
        middle = np.eye(4)
        middle[:3, 3] = (0.5 * (x0 + x1), 0.5 * (y0 + y1), 0.0)
        around = Solid(Shape.BOX, middle, (0.5 * (x1 - x0) + 0.05, 0.5 * (y1 - y0) + 0.05, 30.0), GREY)
        inside = [s for s in indoor.world.solids if s.label not in (Label.TERRAIN, Label.BUILDING)]
        closed = World((*inside, around)).at(0.0)
        directions = rng.normal(size=(3, 1, 400)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=0)
        position = np.array([*indoor.space.spot(rng, region), 1.0])
        hits = cast_grid(closed, position, directions)
        assert np.isfinite(hits.distance).all()
        out = hits.solid[0] == len(inside)  # through a pane
        heights = position[2] + directions[2, 0, out] * hits.distance[0, out]
        holes = [o for r in indoor.plan.rooms for s in r.sides for o in s.openings if o.kind == Label.WINDOW]
        if out.any():
            assert heights.min() > min(o.bottom_m for o in holes) - 0.1
            assert heights.max() < max(o.top_m for o in holes) + 0.1


def test_pictures_show_rooms_at_the_depths_of_rooms(views: list[Rendering]) -> None:
    depth = np.concatenate([v.depth_m[v.labels != Label.SKY].ravel() for v in views])
    labels = np.concatenate([v.labels.ravel() for v in views])
    assert np.isfinite(depth).all()
    assert ((depth > 0.2) & (depth < 15.0)).mean() > 0.9
    assert 1.0 < np.median(depth) < 5.0
    share = {label: float((labels == label).mean()) for label in Label}
    assert share[Label.SKY] < 0.1
    assert 0.25 < share[Label.WALL] < 0.8
    assert 0.05 < share[Label.FLOOR] < 0.4
    assert share[Label.FURNITURE] + share[Label.CLUTTER] > 0.05
    assert share[Label.CEILING] > 0.01
    assert share[Label.ROAD] == share[Label.CAR] == 0.0
    grey = np.array([v.image_rgb.mean() for v in views])
    assert 40.0 < np.median(grey) < 210.0  # neither black nor burnt out
    assert np.ptp(grey) > 20.0


def test_neighbouring_pictures_agree_when_warped_by_depth_and_motion() -> None:
    right, wrong = [], []
    for seed in (1, 3, 8):
        course = indoor_course(seed, 8.0)
        world = World(tuple(s for s in course.world.solids if s.mover < 0), course.world.light)
        speeds = [course.velocity(float(t))[0][0] for t in np.arange(0.0, 7.0, 0.5)]
        start = 0.5 * int(np.argmax(speeds))
        mount = camera_pose(np.array([0.1, 0.0, 0.6]), 0.0, 0.05, 0.0)
        poses = [course.T_world_base(t) @ mount for t in (start, start + 0.12 / max(speeds))]  # 12 cm apart
        now, following = (render(world, CAMERA, T, 0.0, samples=4) for T in poses)
        T_next_now = invert_rigid(poses[1]) @ poses[0]
        right.append(_residual(now, following, T_next_now, T_next_now))
        wrong.append(_residual(now, following, T_next_now, np.eye(4)))
    assert np.mean(right) < 5.0  # grey levels of 255
    assert np.mean(right) < 0.5 * np.mean(wrong)


def _residual(now: Rendering, following: Rendering, T_next_now: np.ndarray, assumed: np.ndarray) -> float:
    """Mean |now - next warped by an assumed motion| where, by the true motion, next sees the same surface."""
    points = CAMERA.unproject(np.nan_to_num(now.depth_m, nan=1e3)).reshape(-1, 3)
    u, v, z = _seen(points, T_next_now)
    depth = cv2.remap(following.depth_m, u, v, cv2.INTER_NEAREST)
    inside = (u > 0) & (u < 159) & (v > 0) & (v < 95)
    good = inside & (np.abs(depth / z - 1.0) < 0.03)
    assert good.mean() > 0.5
    u, v, _ = _seen(points, assumed)
    warped = cv2.remap(following.image_rgb, u, v, cv2.INTER_LINEAR).astype(np.float32)
    return float(np.abs(now.image_rgb.astype(np.float32) - warped)[good].mean())


def _seen(points: np.ndarray, T_next_now: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, row and depth of points in the next picture, float32 [96, 160] each."""
    moved = points @ T_next_now[:3, :3].T + T_next_now[:3, 3]
    z = np.maximum(moved[:, 2], 1e-3)
    u, v = CAMERA.fx_px * moved[:, 0] / z + CAMERA.cx_px, CAMERA.fy_px * moved[:, 1] / z + CAMERA.cy_px
    return u.reshape(96, 160).astype(np.float32), v.reshape(96, 160).astype(np.float32), z.reshape(96, 160)
