# SPDX-License-Identifier: Apache-2.0
"""One image of a drive with what is known about its depth."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.perception.result import DepthResult


@dataclass(frozen=True, slots=True, eq=False)
class DepthSample:
    """An image, the sparse points that go with it, and the truth to compare with.

    Attributes:
        name: identifies the sample in tables and files.
        stamp_ns: stamp of the image.
        camera_name: which camera of the robot it was.
        image_rgb: uint8 [H,W,3].
        camera: intrinsics of the image.
        points_camera_m: float32 [N,3] in the camera frame at the image stamp, the sparse input; None without any.
        truth_depth_m: float32 [h,w], metres, NaN where unknown; None without truth.
        truth_camera: intrinsics of the truth, whose grid may be coarser than the image's; None without truth.
        speed_mps: of the robot, never negative; None where it was not recorded.
        T_world_camera: float64 [4,4], pose in a frame that all images of a drive share; None without.
        labels: uint8 [H,W], true class of each pixel of the image (Cityscapes train ids, our own from 19 on, 255
            unknown); None without.
        published: what the node made of this image; None where it was not asked, or made no depth.
        cloud_m: float32, depth of ``published`` at the pixels that became points of the node's cloud, NaN elsewhere;
            None with it.
        T_camera_lidar: float64 [4,4], where the points were measured: the LiDAR (z up) at its scan, seen from the
            camera at the image; None where nobody knows, or where several LiDARs are merged.

        T_base_camera: float64 [4,4], where the camera is mounted; None where nobody knows.

    Raises:
        DataError: an array has another shape than its camera or another type.
    """

    name: str
    stamp_ns: int
    camera_name: str
    image_rgb: NDArray[np.uint8]
    camera: PinholeCamera
    points_camera_m: NDArray[np.float32] | None
    truth_depth_m: NDArray[np.float32] | None
    truth_camera: PinholeCamera | None
    speed_mps: float | None = None
    T_world_camera: NDArray[np.float64] | None = None
    labels: NDArray[np.uint8] | None = None
    published: DepthResult | None = None
    cloud_m: NDArray[np.float32] | None = None
    T_camera_lidar: NDArray[np.float64] | None = None
    T_base_camera: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        _check("image_rgb", self.image_rgb, np.uint8, (self.camera.height_px, self.camera.width_px, 3))
        if self.points_camera_m is not None:
            _check("points_camera_m", self.points_camera_m, np.float32, (len(self.points_camera_m), 3))
        if (self.truth_depth_m is None) != (self.truth_camera is None):
            raise DataError(f"sample {self.name}: expected truth_depth_m and truth_camera together, got only one")
        if self.truth_depth_m is not None and self.truth_camera is not None:
            shape = (self.truth_camera.height_px, self.truth_camera.width_px)
            _check("truth_depth_m", self.truth_depth_m, np.float32, shape)
        for name in ("T_world_camera", "T_camera_lidar", "T_base_camera"):
            transform = getattr(self, name)
            if transform is not None:
                _check(name, transform, np.float64, (4, 4))
        if self.labels is not None:
            _check("labels", self.labels, np.uint8, (self.camera.height_px, self.camera.width_px))
        if self.speed_mps is not None and not 0.0 <= self.speed_mps < float("inf"):
            raise DataError(f"speed_mps: expected a finite speed of at least 0, got {self.speed_mps}")

    def T_self_other(self, other: "DepthSample") -> NDArray[np.float64]:
        """Points of another image of the same drive in this camera's frame: T_self_other float64 [4,4].

        Raises:
            DataError: one of the two has no pose.
        """
        if self.T_world_camera is None or other.T_world_camera is None:
            raise DataError(f"samples {self.name} and {other.name}: expected both with a pose, got one without")
        return invert_rigid(self.T_world_camera) @ other.T_world_camera


@dataclass(frozen=True, slots=True, eq=False)
class ContextFrame:
    """Another image of a sample's camera, shortly before or after it, with the same size and intrinsics.

    Attributes:
        stamp_ns: stamp of this image.
        image_rgb: uint8 [H,W,3].
        T_context_sample: float64 [4,4], takes points of the sample's camera frame into this image's.

    Raises:
        DataError: an array has another shape or type.
    """

    stamp_ns: int
    image_rgb: NDArray[np.uint8]
    T_context_sample: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check("image_rgb", self.image_rgb, np.uint8, (*self.image_rgb.shape[:2], 3))
        _check("T_context_sample", self.T_context_sample, np.float64, (4, 4))


class DepthSamples(Protocol):
    """Samples of a data set in a fixed order, each read when it is asked for.

    `samples[index]` raises IndexError beyond the end and DataError where a file is missing or broken.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> DepthSample: ...

    def __iter__(self) -> Iterator[DepthSample]: ...

    def context(self, index: int, step: int) -> ContextFrame | None:
        """The image `step` frames after sample `index` of its drive (before it: negative), and the motion to it.

        Returns:
            None where the drive has no such image or its motion is unknown.

        Raises:
            IndexError: there is no sample `index`.
            DataError: a file is missing or broken, or the image has another size.
        """
        ...


class SampleReader(Protocol):
    """Reads the samples of one format. `Samples` asks it for indices that exist only."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> DepthSample: ...

    def read_context(self, index: int, step: int) -> ContextFrame | None: ...


class Samples:
    """The samples that a reader reads, as `DepthSamples`.

    Attributes:
        reader: of the format.
    """

    def __init__(self, reader: SampleReader) -> None:
        self.reader = reader

    def __len__(self) -> int:
        return len(self.reader)

    def __iter__(self) -> Iterator[DepthSample]:
        return (self.reader.read(index) for index in range(len(self.reader)))

    def __getitem__(self, index: int) -> DepthSample:
        """Sample `index`. Raises IndexError beyond the end, and what the reader raises."""
        self._check(index)
        return self.reader.read(index)

    def context(self, index: int, step: int) -> ContextFrame | None:
        """See `DepthSamples.context`."""
        self._check(index)
        return self.reader.read_context(index, step)

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self.reader):
            raise IndexError(index)


@runtime_checkable
class Preparable(Protocol):
    """Samples that take long to make, and are kept."""

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None: ...


def prepare(samples: Iterable[DepthSample], on_progress: Callable[[int, int], None] | None = None) -> None:
    """Makes samples that have to be made, as rendered ones, all at once; may be interrupted and called again.

    Without it they are made when they are asked for. Samples that lie on the disk need nothing, and nothing is done.

    Args:
        samples: of `open_dataset`.
        on_progress: is told (samples that are there, all samples).
    """
    if isinstance(samples, Preparable):
        samples.prepare(on_progress)


def _check(name: str, array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise DataError(f"{name}: expected {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")
