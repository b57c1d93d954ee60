# SPDX-License-Identifier: Apache-2.0
"""Time per frame of this project's renderer, where it goes, and the same street in maintained renderers.

    python bench/renderers.py [--frames 12] [--width 320] [--height 96]

One core, processor time. The others are measured where they are installed (`pip install trimesh embreex mujoco
mitsuba`, best in an environment of their own): Embree casts the rays of our own frame, with our shading; MuJoCo casts
the same rays against the same solids; Mitsuba renders the triangles of the street without textures, sky or lens. None
of them knows the holes in our leaves.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.indoor.course import indoor_course
from mono_depth_ros.synthetic.render import rendering, shading
from mono_depth_ros.synthetic.render.rendering import render, visible_windows
from mono_depth_ros.synthetic.render.world import Float32, Float64, Hits, PosedWorld, Shape, World, cast_grid, lit
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.scene import random_street

SAMPLES = 2
GROUND_M = 400.0  # half size of the ground as triangles


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one frame shows."""

    world: World
    T_world_camera: Float64
    time_s: float


def views(frames: int) -> list[View]:
    """Views of different streets, from the driver's place."""
    out = []
    for index in range(frames):
        street = random_street(500 + index)
        spot = street.path.pose(10.0 + 5.0 * (index % 8), street.lane_m)
        out.append(View(street.world, spot @ camera_pose(np.array([0.0, 0.0, 1.5]), 0.0, 0.03, 0.0), 0.1 * index))
    return out


def rooms(frames: int) -> list[View]:
    """Views of different buildings from inside, from a low robot's place; their lamps' shadows count as shading."""
    out = []
    for index in range(frames):
        course = indoor_course(500 + index, 5.0)
        mount = camera_pose(np.array([0.1, 0.0, 0.5]), 0.0, 0.0, 0.0)
        out.append(View(course.world, course.T_world_base(2.0) @ mount, 2.0))
    return out


@dataclass(slots=True)
class Clock:
    """Seconds spent in a function."""

    seconds: float = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time added up."""

        def run(*args: Any) -> Any:
            start = time.process_time()
            result = function(*args)
            self.seconds += time.process_time() - start
            return result

        return run


@contextmanager
def replaced(**functions: Callable[..., Any]) -> Iterator[None]:
    """Functions that the renderer calls, exchanged."""
    places = {name: shading if hasattr(shading, name) else rendering for name in functions}
    before = {name: getattr(place, name) for name, place in places.items()}
    try:
        for name, function in functions.items():
            setattr(places[name], name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(places[name], name, function)


def frame_times(scenes: list[View], camera: PinholeCamera, cast: Any, shadow: Any) -> tuple[float, float, float]:
    """Milliseconds per frame: all of it, primary rays, shadow rays."""
    casting, shading = Clock(), Clock()
    with replaced(cast_grid=casting.timed(cast), lit=shading.timed(shadow)):
        render(scenes[0].world, camera, scenes[0].T_world_camera, scenes[0].time_s, SAMPLES)
        casting.seconds = shading.seconds = 0.0
        start = time.process_time()
        for view in scenes:
            render(view.world, camera, view.T_world_camera, view.time_s, SAMPLES)
        whole = time.process_time() - start
    return tuple(1e3 * seconds / len(scenes) for seconds in (whole, casting.seconds, shading.seconds))  # type: ignore[return-value]


def triangles(posed: PosedWorld, subdivisions: int) -> tuple[Float32, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Corners float32 [V, 3], triangles int32 [T, 3], and the solid of each triangle int32 [T]."""
    import trimesh

    unit = {
        int(Shape.BOX): trimesh.creation.box((2.0, 2.0, 2.0)),
        int(Shape.TAPERED): trimesh.creation.box((2.0, 2.0, 2.0)),
        int(Shape.ELLIPSOID): trimesh.creation.icosphere(subdivisions=subdivisions),
        int(Shape.CYLINDER): trimesh.creation.cylinder(1.0, 2.0, sections=24),
    }
    plane = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float64) * GROUND_M
    corners, faces, solids, count = [], [], [], 0
    for index in range(len(posed.shape)):
        mesh = unit.get(int(posed.shape[index]))
        if posed.shape[index] == Shape.TERRAIN:
            x = np.arange(-GROUND_M, GROUND_M, 0.5)
            line = np.stack([x, np.zeros_like(x), posed.profile.at(x)[0]], axis=1)
            side = np.array([0.0, GROUND_M, 0.0])
            points = np.concatenate([line - side, line + side])
            first = np.arange(len(x) - 1)
            quads = np.stack([first, first + 1, first + 1 + len(x), first + len(x)], axis=1)
            index_list = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
        else:
            local = plane if mesh is None else _tapered(mesh.vertices, posed.taper[index]) * posed.half_size_m[index]
            index_list = np.array([[0, 1, 2], [0, 2, 3]]) if mesh is None else np.asarray(mesh.faces)
            points = local @ posed.rotation_solid_world[index] + posed.centre_world_m[index]
        corners.append(points)
        faces.append(index_list + count)
        solids.append(np.full(len(index_list), index))
        count += len(points)
    return (
        np.concatenate(corners).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(solids).astype(np.int32),
    )


def _tapered(corners: Float64, taper: Float64) -> Float64:
    """Corners float64 [V, 3] of a unit solid, the top ones drawn in (by nothing for all but tapered boxes)."""
    front, back, left, right = taper
    drawn_in = np.stack([np.where(corners[:, 0] > 0, front, back), np.where(corners[:, 1] > 0, left, right)], axis=1)
    out = np.array(corners, dtype=np.float64)
    out[:, :2] *= 1.0 - drawn_in * (corners[:, 2:] > 0.5)
    return out


class Embree:
    """Our `cast_grid` and `lit` with Embree, for the triangles of one instant."""

    def __init__(self, posed: PosedWorld, subdivisions: int) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        corners, faces, self._solids = triangles(posed, subdivisions)
        start = time.process_time()
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, corners, faces)
        self._scene.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))  # builds the tree
        self.build_seconds = time.process_time() - start

    def cast_grid(self, _posed: PosedWorld, origin: Float64, directions: Float32, *_culling: object) -> Hits:
        """Nearest hits of a grid of rays."""
        rays = np.ascontiguousarray(directions.reshape(3, -1).T)
        start = np.ascontiguousarray(np.broadcast_to(origin.astype(np.float32), rays.shape))
        found = self._scene.run(start, rays, output=1)
        hit = found["primID"] >= 0
        distance = np.where(hit, found["tfar"], np.inf).astype(np.float32)
        solid = np.where(hit, self._solids[found["primID"]], -1).astype(np.int32)
        shape = directions.shape[1:]
        return Hits(distance.reshape(shape), solid.reshape(shape))

    def lit(self, _posed: PosedWorld, points: Float32, towards: Float64) -> Any:
        """Which points see the light."""
        origins = np.ascontiguousarray(points.T)
        rays = np.ascontiguousarray(np.broadcast_to(towards.astype(np.float32), origins.shape))
        return self._scene.run(origins, rays, query="OCCLUDED") < 0


def embree_rows(scenes: list[View], camera: PinholeCamera) -> list[str]:
    """Our frame with Embree's casting, and how far its depth is from the exact one."""
    rows = []
    for subdivisions in (2, 3):
        errors, times, build = [], [], 0.0
        for view in scenes:
            exact = render(view.world, camera, view.T_world_camera, view.time_s, 1, shadows=False)
            embree = Embree(view.world.at(view.time_s), subdivisions)
            build += embree.build_seconds
            times.append(frame_times([view], camera, embree.cast_grid, embree.lit))
            with replaced(cast_grid=embree.cast_grid):
                made = render(view.world, camera, view.T_world_camera, view.time_s, 1, shadows=False)
            whole = view.world.at(view.time_s).porosity[:, 0] == 0
            both = np.isfinite(exact.depth_m) & np.isfinite(made.depth_m) & (exact.solid == made.solid)
            both &= whole[exact.solid]
            errors.append(np.abs(made.depth_m[both] / exact.depth_m[both] - 1.0))
        error = np.concatenate(errors)
        rows.append(
            _row(f"ours, Embree, balls of {20 * 4**subdivisions}", *np.mean(times, axis=0))
            + f" tree {build / len(scenes) * 1e3:.1f} ms more per instant; depth error of the same surface: "
            f"99 % below {np.quantile(error, 0.99):.1e}, largest {error.max():.1e}"
        )
    return rows


def mujoco_rows(scenes: list[View], camera: PinholeCamera) -> list[str]:
    """MuJoCo's exact rays against the same boxes, ellipsoids, cylinders and planes."""
    import mujoco

    kinds = {Shape.BOX: "box", Shape.TAPERED: "box", Shape.ELLIPSOID: "ellipsoid", Shape.CYLINDER: "cylinder"}
    cast, errors = 0.0, []
    for view in scenes:
        posed = view.world.at(view.time_s)
        geoms = []
        for index in range(len(posed.shape)):
            shape = Shape(int(posed.shape[index]))
            turn = np.zeros(4)
            mujoco.mju_mat2Quat(turn, posed.rotation_solid_world[index].T.reshape(9))
            half = posed.half_size_m[index]
            size = half if shape != Shape.CYLINDER else (half[0], half[2])
            size = (0, 0, 1) if shape in (Shape.PLANE, Shape.TERRAIN) else size
            geoms.append(
                f'<geom type="{kinds.get(shape, "plane")}" size="{_numbers(size)}" '
                f'pos="{_numbers(posed.centre_world_m[index])}" quat="{_numbers(turn)}"/>'
            )
        model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{''.join(geoms)}</worldbody></mujoco>")
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        rays = (view.T_world_camera[:3, :3] @ rendering.ray_grid(camera).reshape(3, -1).astype(np.float64)).T
        unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        geom, distance = np.zeros(len(rays), np.int32), np.zeros(len(rays))
        place = view.T_world_camera[:3, 3].copy()
        start = time.process_time()
        for _ in range(SAMPLES):
            mujoco.mj_multiRay(
                model, data, place, unit.reshape(-1), None, 1, -1, geom, distance, None, len(rays), mujoco.mjMAXVAL
            )
        cast += time.process_time() - start
        exact = render(view.world, camera, view.T_world_camera, view.time_s, 1, shadows=False)
        depth = np.where(geom >= 0, distance / np.linalg.norm(rays, axis=1), np.nan).reshape(exact.depth_m.shape)
        plain = ~np.isin(posed.shape, (Shape.TERRAIN, Shape.TAPERED)) & (posed.porosity[:, 0] == 0)
        both = (geom.reshape(exact.solid.shape) == exact.solid) & np.isfinite(exact.depth_m) & plain[exact.solid]
        errors.append(np.abs(depth[both] / exact.depth_m[both] - 1.0))
    error = np.concatenate(errors)
    return [
        _row("MuJoCo rays only", None, cast / len(scenes) * 1e3, None)
        + f" depth error of the same surface: 99 % below {np.quantile(error, 0.99):.1e} (no hills)"
    ]


def _numbers(values: Any) -> str:
    return " ".join(f"{float(value):.9g}" for value in values)


def mitsuba_rows(scenes: list[View], camera: PinholeCamera) -> list[str]:
    """Mitsuba on the triangles of the street: sun and sky light, plain colours, depth as an extra channel."""
    import mitsuba as mi
    import trimesh

    rows = []
    for variant in ("scalar_rgb",):
        try:
            mi.set_variant(variant)
        except ImportError as missing:
            rows.append(f"Mitsuba {variant}: {missing}")
            continue
        times = []
        with TemporaryDirectory() as folder:
            for view in scenes[:6]:
                corners, faces, _ = triangles(view.world.at(view.time_s), 3)
                path = Path(folder) / "street.ply"
                trimesh.Trimesh(corners, faces, process=False).export(path)
                scene = mi.load_dict(_mitsuba_scene(mi, path, camera, view))
                for _ in range(2):  # the second time the kernel is compiled
                    start = time.process_time()
                    np.array(mi.render(scene, spp=SAMPLES))
                    last = time.process_time() - start
                times.append(last)
        rows.append(_row(f"Mitsuba {variant}", 1e3 * float(np.mean(times)), None, None) + " without our textures")
    return rows


def _mitsuba_scene(mi: Any, path: Path, camera: PinholeCamera, view: View) -> dict[str, Any]:
    """A street lit by the sky and the sun."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])  # Mitsuba's camera: x left, y up
    fov = 2.0 * np.rad2deg(np.arctan(0.5 * camera.width_px / camera.fx_px))
    return {
        "type": "scene",
        "integrator": {"type": "aov", "aovs": "depth:depth", "image": {"type": "direct"}},
        "sensor": {
            "type": "perspective",
            "fov": float(fov),
            "fov_axis": "x",
            "to_world": mi.ScalarTransform4f((view.T_world_camera @ flip).tolist()),
            "film": {
                "type": "hdrfilm",
                "width": camera.width_px,
                "height": camera.height_px,
                "rfilter": {"type": "box"},
            },
        },
        "street": {"type": "ply", "filename": str(path)},
        "sky": {"type": "constant"},
        "sun": {"type": "directional", "direction": [-d for d in view.world.light.sun_direction]},
    }


def _row(name: str, whole_ms: float | None, cast_ms: float | None, shadow_ms: float | None) -> str:
    cells = ["     -" if ms is None else f"{ms:6.1f}" for ms in (whole_ms, cast_ms, shadow_ms)]
    rate = "     -" if whole_ms is None else f"{1e3 / whole_ms:6.1f}"
    return f"{name:28s} {cells[0]} ms/frame {rate} frames/s  rays {cells[1]} ms  shadow rays {cells[2]} ms "


def main() -> None:
    """Prints one row per renderer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=96)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    camera = PinholeCamera(
        asked.width, asked.height, asked.width * 0.6, asked.width * 0.6, asked.width / 2 - 0.5, asked.height / 2 - 0.5
    )
    scenes = views(asked.frames)
    solids = np.mean([len(view.world.solids) for view in scenes])
    shown = np.mean(
        [(np.diff(visible_windows(v.world.at(v.time_s), camera, v.T_world_camera)[:, :2]) > 0).sum() for v in scenes]
    )
    print(f"{asked.frames} streets, {solids:.0f} solids, {shown:.0f} in view; {asked.width}x{asked.height}, 1 core")
    print(_row("ours", *frame_times(scenes, camera, cast_grid, lit)))
    print(_row("ours, indoor", *frame_times(rooms(asked.frames), camera, cast_grid, lit)))
    others = (("embreex", embree_rows), ("mujoco", mujoco_rows), ("mitsuba", mitsuba_rows))
    for package, measure in others:
        if importlib.util.find_spec(package) is None:
            print(f"{package}: not installed")
            continue
        for row in measure(scenes, camera):
            print(row)


if __name__ == "__main__":
    main()
