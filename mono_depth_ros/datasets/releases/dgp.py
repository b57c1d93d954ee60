# SPDX-License-Identifier: Apache-2.0
"""DGP v1, the format of DDAD: scenes described by JSON (protobuf's), several cameras, one merged laser scan."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.releases.data_files import path_inside, read_json, read_npz_array, read_rgb, require_shape
from mono_depth_ros.datasets.sample import ContextFrame, DepthSample
from mono_depth_ros.errors import ConfigError, DataError, FrameError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, rigid_from_quaternion, transform_points
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense

SPLITS = {"train": "0", "val": "1", "test": "2"}
TRUTHS = ("lidar", "cached", "none")
MAX_SKEW_PX = 1e-3
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True, eq=False)
class DgpFrame:
    """One image of one camera and the scan that goes with it, as a scene's JSON describes them.

    Attributes:
        scene: folder of the scene.
        calibration, image, scan: files.
        T_world_camera, T_world_lidar: float64 [4,4], each at the time of its own sensor.
    """

    scene: Path
    stamp_ns: int
    camera_name: str
    calibration: Path
    image: Path
    scan: Path
    point_format: tuple[str, ...]
    T_world_camera: RigidTransform
    T_world_lidar: RigidTransform


class DgpReader:
    """The images of one camera in the scenes of a split, read when they are asked for.

    Points are the merged scan, carried to the camera through both poses, without occlusion filtering; its frame is the
    vehicle's, where no LiDAR sits, so that beams are counted from the camera. Truth "lidar" is
    the same scan on the image grid: hold the input out of it (`sparse_patterns`). "cached" is <scene>/depth/lidar/
    <camera>/<name>.npz, array depth. The format records no speed. Samples in which the camera or the scan is missing
    are left out and counted.

    Args:
        root: folder of the data set's JSON.
        split: "train", "val" or "test".
        camera: name, for example CAMERA_01.
        truth: "lidar", "cached" or "none".
        lidar: name of the scan's datum.

    Attributes:
        left_out: samples of the split without this camera or scan.

    Raises:
        ConfigError: another split or truth.
        DataError: a JSON is missing or broken, names a path outside its folder, or no sample has this camera.
    """

    def __init__(
        self, root: Path, split: str = "val", camera: str = "CAMERA_01", truth: str = "lidar", lidar: str = "LIDAR"
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        if truth not in TRUTHS:
            raise ConfigError(f"truth: expected one of {', '.join(TRUTHS)}, got {truth!r}")
        self._truth = truth
        self._cameras: dict[tuple[Path, int, int], PinholeCamera] = {}
        self.left_out = 0
        self._frames: list[DgpFrame] = []
        names: set[str] = set()
        for scene in scene_files(root, split):
            for sample in read_scene(scene):
                names |= sample.keys()
                if camera in sample and lidar in sample:
                    self._frames.append(_frame(sample, scene, camera, lidar))
                else:
                    self.left_out += 1
        if not self._frames:
            raise DataError(
                f"{root}: expected samples with {camera} and {lidar} in split {split}, got none of {self.left_out}; "
                f"they have: {', '.join(sorted(names)) or 'nothing'}"
            )

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, index: int) -> DepthSample:
        """Sample `index`.

        Raises:
            DataError: a file is missing or broken.
        """
        frame = self._frames[index]
        image_rgb = read_rgb(frame.image)
        camera = self._camera(frame, image_rgb.shape[0], image_rgb.shape[1])
        T_camera_lidar = invert_rigid(frame.T_world_camera) @ frame.T_world_lidar
        points_m = transform_points(T_camera_lidar, _read_points(frame))
        points_m = points_m[points_m[:, 2] > 0]
        truth_m = self._truth_depth(frame, camera, points_m)
        return DepthSample(
            name=f"{frame.scene.name}_{frame.camera_name}_{frame.image.stem}",
            stamp_ns=frame.stamp_ns,
            camera_name=frame.camera_name,
            image_rgb=image_rgb,
            camera=camera,
            points_camera_m=points_m,
            truth_depth_m=truth_m,
            truth_camera=None if truth_m is None else camera,
            T_world_camera=frame.T_world_camera,
        )

    def read_context(self, index: int, step: int) -> ContextFrame | None:
        """The image `step` samples after sample `index` (before it: negative) of the same scene and camera.

        Returns:
            None where the scene has no such sample.

        Raises:
            DataError: a file is missing or broken, or the image has another size.
        """
        frame, place = self._frames[index], index + step
        if not 0 <= place < len(self._frames) or self._frames[place].scene != frame.scene:
            return None
        other = self._frames[place]
        image_rgb = read_rgb(other.image)
        require_shape(image_rgb, read_rgb(frame.image).shape, other.image, "the sample's image")
        T_context_sample = invert_rigid(other.T_world_camera) @ frame.T_world_camera
        return ContextFrame(other.stamp_ns, image_rgb, T_context_sample)

    def _camera(self, frame: DgpFrame, height_px: int, width_px: int) -> PinholeCamera:
        key = (frame.calibration, height_px, width_px)
        if key not in self._cameras:
            self._cameras[key] = _read_camera(frame, height_px, width_px)
        return self._cameras[key]

    def _truth_depth(
        self, frame: DgpFrame, camera: PinholeCamera, points_m: NDArray[np.float32]
    ) -> NDArray[np.float32] | None:
        if self._truth == "none":
            return None
        if self._truth == "lidar":
            return sparse_to_dense(project_points(points_m, camera))
        path = frame.scene / "depth" / "lidar" / frame.camera_name / f"{frame.image.stem}.npz"
        stored = read_npz_array(path, "depth")
        if stored.dtype.kind != "f":
            raise DataError(f"{path}: expected depth of floats, got {stored.dtype}")
        require_shape(stored, (camera.height_px, camera.width_px), path, "its image")
        depth_m = stored.astype(np.float32)
        depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
        return depth_m


def scene_files(root: Path, split: str) -> list[Path]:
    """The scene JSON files of a split, from the only JSON file of the folder (ddad.json).

    Raises:
        DataError: there is none or several, it is broken, or the split has no scenes.
    """
    found = [root] if root.suffix == ".json" else sorted(root.glob("*.json"))
    if len(found) != 1:
        raise DataError(f"{root}: expected one JSON file of the data set (ddad.json), got {len(found)}; name it")
    path = found[0]
    splits = _field(_object(read_json(path), path), "scene_splits", path)
    files = _object(splits, path).get(SPLITS[split])
    names = _list(_field(_object(files, path), "filenames", path), path) if files is not None else []
    if not names:
        raise DataError(f"{path}: expected scenes of split {split} (scene_splits {SPLITS[split]}), got none")
    return [path_inside(path.parent, _text(name, path), path) for name in names]


def read_scene(path: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """The samples of a scene: sensor -> its datum as the JSON has it, with the sample's calibration_key beside.

    Raises:
        DataError: the JSON is broken.
    """
    scene = _object(read_json(path), path)
    data = [_object(entry, path) for entry in _list(_field(scene, "data", path), path)]
    by_key = {_text(_field(entry, "key", path), path): entry for entry in data}
    for sample in _list(_field(scene, "samples", path), path):
        keys = [_text(key, path) for key in _list(_field(sample, "datum_keys", path), path)]
        if missing := [key for key in keys if key not in by_key]:
            raise DataError(f"{path}: expected data for key {missing[0]!r}, got none")
        calibration = {"calibration_key": _field(sample, "calibration_key", path)}
        names = [_text(_field(_field(by_key[key], "id", path), "name", path), path) for key in keys]
        yield {name: by_key[key] | calibration for name, key in zip(names, keys, strict=True)}


def _frame(named: dict[str, dict[str, Any]], path: Path, camera: str, lidar: str) -> DgpFrame:
    image = _field(_field(named[camera], "datum", path), "image", path)
    cloud = _field(_field(named[lidar], "datum", path), "point_cloud", path)
    calibration = _text(named[camera]["calibration_key"], path)
    folder = path.parent
    return DgpFrame(
        scene=folder,
        stamp_ns=_stamp_ns(_text(_field(_field(named[camera], "id", path), "timestamp", path), path), path),
        camera_name=camera,
        calibration=path_inside(folder, f"calibration/{calibration}.json", path),
        image=path_inside(folder, _text(_field(image, "filename", path), path), path),
        scan=path_inside(folder, _text(_field(cloud, "filename", path), path), path),
        point_format=tuple(_text(name, path) for name in _list(_field(cloud, "point_format", path), path)),
        T_world_camera=_pose(_field(image, "pose", path), path),
        T_world_lidar=_pose(_field(cloud, "pose", path), path),
    )


def _read_camera(frame: DgpFrame, height_px: int, width_px: int) -> PinholeCamera:
    path = frame.calibration
    calibration = _object(read_json(path), path)
    names = _list(_field(calibration, "names", path), path)
    intrinsics = _list(_field(calibration, "intrinsics", path), path)
    if frame.camera_name not in names or len(names) != len(intrinsics):
        raise DataError(
            f"{path}: expected {frame.camera_name} among as many names as intrinsics, got {names} and {len(intrinsics)}"
        )
    entry = _object(intrinsics[names.index(frame.camera_name)], path)
    fx, fy, cx, cy, skew = (_number(entry, key, path) for key in ("fx", "fy", "cx", "cy", "skew"))
    if abs(skew) > MAX_SKEW_PX:
        raise DataError(f"{path}: expected a camera without skew, got {skew}")
    try:
        return PinholeCamera(width_px, height_px, fx, fy, cx, cy)
    except DataError as error:
        raise DataError(f"{path}: {frame.camera_name}: {error}") from error


def _read_points(frame: DgpFrame) -> NDArray[np.float32]:
    """Finite points [N,3] in the frame of the scan."""
    stored = read_npz_array(frame.scan, "data")
    if missing := [name for name in "XYZ" if name not in frame.point_format]:
        raise DataError(f"{frame.scan}: expected X, Y, Z in its point_format, got {frame.point_format}: no {missing}")
    if stored.dtype.names is not None:  # one record per point
        if not {"X", "Y", "Z"} <= set(stored.dtype.names) or stored.ndim != 1:
            raise DataError(f"{frame.scan}: expected records with X, Y, Z, got {stored.dtype} {stored.shape}")
        columns = [stored[name] for name in "XYZ"]
    elif stored.ndim == 2 and stored.shape[1] == len(frame.point_format) and stored.dtype.kind == "f":
        columns = [stored[:, frame.point_format.index(name)] for name in "XYZ"]
    else:
        raise DataError(
            f"{frame.scan}: expected floats [N,{len(frame.point_format)}] of {frame.point_format}, "
            f"got {stored.dtype} {stored.shape}"
        )
    if any(column.dtype.kind != "f" or column.ndim != 1 for column in columns):
        raise DataError(f"{frame.scan}: expected one float each for X, Y, Z, got {stored.dtype}")
    points = np.stack(columns, axis=1).astype(np.float32)
    return points[np.isfinite(points).all(axis=1)]


def _pose(value: Any, path: Path) -> RigidTransform:
    """T_world_sensor; protobuf leaves out numbers that are zero."""
    translation = _object(_field(value, "translation", path), path)
    rotation = _object(_field(value, "rotation", path), path)
    numbers = [_number(translation, key, path) for key in "xyz"]
    quaternion_xyzw = [_number(rotation, key, path) for key in ("qx", "qy", "qz", "qw")]
    try:
        return rigid_from_quaternion(numbers, quaternion_xyzw)
    except FrameError as error:
        raise DataError(f"{path}: {error}") from error


def _stamp_ns(text: str, path: Path) -> int:
    """Of an RFC 3339 time in UTC, exactly."""
    found = _STAMP.fullmatch(text)
    try:
        moment = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S") if found else None
    except ValueError:
        moment = None
    if found is None or moment is None:
        raise DataError(f"{path}: expected a timestamp like 2019-04-29T12:34:56.789Z, got {text[:40]!r}")
    since = moment.replace(tzinfo=timezone.utc) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int((found[2] or "0").ljust(9, "0"))


def _field(value: Any, name: str, path: Path) -> Any:
    """A field by its name in the definition, or as protobuf's JSON spells it otherwise (datum_keys or datumKeys)."""
    first, *others = name.split("_")
    camel = first + "".join(word.capitalize() for word in others)
    entries = _object(value, path)
    if name not in entries and camel not in entries:
        raise DataError(f"{path}: expected a field {name!r}, got {', '.join(list(entries)[:20]) or 'none'}")
    return entries[name if name in entries else camel]


def _object(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object, got {type(value).__name__} {str(value)[:60]!r}")
    return value


def _list(value: Any, path: Path) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list, got {type(value).__name__} {str(value)[:60]!r}")
    return value


def _text(value: Any, path: Path) -> str:
    if not isinstance(value, str) or not value:
        raise DataError(f"{path}: expected a text, got {type(value).__name__} {str(value)[:60]!r}")
    return value


def _number(entries: dict[str, Any], key: str, path: Path) -> float:
    value = entries.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise DataError(f"{path}: expected a number {key}, got {str(value)[:60]!r}")
    return float(value)
