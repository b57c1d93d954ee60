# SPDX-License-Identifier: Apache-2.0
"""The sweeps of a drop-out curve: which values, and what points one image has at each of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bags.scan_history import AgedScan
from mono_depth_ros.datasets.bags.truth import scaled_camera
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.evaluation.dropout.sample_history import FadingInput
from mono_depth_ros.evaluation.dropout.sensor_fading import (
    AZIMUTH_SECTORS,
    HeldOut,
    hold_out,
    mount_error,
    outside_cells,
    without_lost_packets,
)
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.lidar_beams import BEAM_COUNTS, ELEVATION_BINS, elevation_bins, in_beams, require_beams
from mono_depth_ros.geometry.rigid import transform_points
from mono_depth_ros.geometry.sparse_depth import cells_of_points

BEAMS, POINTS, PACKET_LOSS = "beams", "points", "packet_loss"
AGE_CARRIED, AGE_AS_IS = "age_carried", "age_as_is"
ROTATION, TRANSLATION = "rotation", "translation"
_AGE_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Sweep:
    """One panel of the figure.

    Attributes:
        name: key in the files.
        title, x_label: for people.
        values: from a sensor that fades in to one that is whole, or the other way round; ascending.
        points_grow: 1 where a larger value means added points, -1 where it means fewer, 0 where neither.
    """

    name: str
    title: str
    x_label: str
    values: tuple[float, ...]
    points_grow: int


@dataclass(frozen=True, slots=True)
class FadingPlan:
    """How the sensors of a drive are made to fade.

    Attributes:
        max_depth_m: truth beyond it is not scored.
        truth_scale: size of the grid of truth relative to the image.
        seed: of everything random; each image draws by this and its stamp.
        reference_beams: of the scans in the sweeps of age, packet loss and calibration error.
        max_age_s: longest age of a scan; images without a scan that long before them are left out. 0 leaves the
            sweeps of age out.
        carries: whether there is odometry to carry old scans with; without, that sweep is left out.

    Raises:
        ConfigError: a value is out of range.
    """

    max_depth_m: float = 80.0
    truth_scale: float = 0.5
    seed: int = 0
    reference_beams: int = 16
    max_age_s: float = 2.0
    carries: bool = True

    def __post_init__(self) -> None:
        require_beams(self.reference_beams)
        if not 0.0 < self.truth_scale <= 1.0 or not 0.0 <= self.max_age_s <= 10.0 or self.seed < 0:
            raise ConfigError(
                "drop-out curve: expected truth_scale in (0, 1], max_age_s in [0, 10] and a seed of at least 0, got "
                f"{self.truth_scale}, {self.max_age_s} and {self.seed}"
            )

    def ages_s(self) -> tuple[float, ...]:
        """0, 0.1, ... up to the longest."""
        return tuple(round(step * _AGE_STEP_S, 3) for step in range(int(self.max_age_s / _AGE_STEP_S + 1e-6) + 1))

    def sweeps(self) -> tuple[Sweep, ...]:
        """All of them, in the order of the figure."""
        beams = f"{self.reference_beams} beams"
        age = f"age of the scan [s], {beams}"
        carried = (Sweep(AGE_CARRIED, "LiDAR age, carried by odometry", age, self.ages_s(), 0),)
        as_is = (Sweep(AGE_AS_IS, "LiDAR age, not compensated", age, self.ages_s(), 0),)
        ages = (*(carried if self.carries else ()), *as_is) if self.max_age_s > 0 else ()
        return (
            Sweep(BEAMS, "beams", f"beams of {ELEVATION_BINS}", BEAM_COUNTS, 1),
            Sweep(POINTS, "random points", "points in view", (0, 1, 5, 50, 500, 5000), 1),
            *ages,
            Sweep(PACKET_LOSS, "packet loss", f"sectors lost [%], {beams}", tuple(range(0, 100, 10)), -1),
            Sweep(ROTATION, "calibration: rotation", f"error [deg], {beams}", (0.0, 0.25, 0.5, 1.0, 1.5, 2.0), 0),
            Sweep(TRANSLATION, "calibration: translation", f"error [cm], {beams}", (0, 2, 5, 10, 15, 20), 0),
        )


class FadingImage:
    """One image with its scored truth, and the points it has at each value of each sweep.

    Args:
        given: with a scan for each of `plan.ages_s()`.
        plan: what fades.

    Attributes:
        truth_camera: of the grid of truth.
        held_out: the scored cells, the same for every sweep and value; no input point falls into them.
    """

    def __init__(self, given: FadingInput, plan: FadingPlan) -> None:
        image = given.image
        self._image, self._plan = image, plan
        own = image.scans[0]
        self._bins = elevation_bins(own.points_lidar_m)
        self._points_camera_m = _seen_from_image(own, own.points_lidar_m)
        self.truth_camera: PinholeCamera = given.truth_camera or scaled_camera(image.camera, plan.truth_scale)
        random = np.random.default_rng((plan.seed, image.stamp_ns % 2**63))
        self.held_out: HeldOut = hold_out(
            self._points_camera_m, self._bins, self.truth_camera, plan.max_depth_m, random, given.truth_m
        )
        in_view = cells_of_points(self._allowed(self._points_camera_m), self.truth_camera)[0]
        self._drawn = random.permutation(in_view)
        self._sectors: NDArray[np.int64] = random.permutation(AZIMUTH_SECTORS)
        self._axis, self._direction = random.normal(size=3), random.normal(size=3)

    def points(self, sweep: str, value: float) -> Points:
        """Input points in the camera frame at the image stamp, float32 [N, 3]; none in a scored cell.

        Args:
            sweep: name of one of `plan.sweeps()`.
            value: one of its values.

        Raises:
            ConfigError: no such sweep.
        """
        if sweep == POINTS:
            return self._allowed(self._points_camera_m)[self._drawn[: int(value)]]
        return self._allowed(self._faded(sweep, value))

    def _faded(self, sweep: str, value: float) -> Points:
        own = self._image.scans[0]
        reference = in_beams(self._bins, self._plan.reference_beams)
        if sweep == BEAMS:
            return self._points_camera_m[in_beams(self._bins, int(value))]
        if sweep == PACKET_LOSS:
            return self._points_camera_m[
                reference & without_lost_packets(own.points_lidar_m, value / 100.0, self._sectors)
            ]
        if sweep in (AGE_CARRIED, AGE_AS_IS):
            scan = self._image.scans[self._plan.ages_s().index(value)]
            points_lidar_m = scan.points_lidar_m[
                in_beams(elevation_bins(scan.points_lidar_m), self._plan.reference_beams)
            ]
            if sweep == AGE_AS_IS:
                return transform_points(scan.T_camera_lidar, points_lidar_m)
            return _seen_from_image(scan, points_lidar_m)
        if sweep in (ROTATION, TRANSLATION):
            rotation_deg, translation_m = (value, 0.0) if sweep == ROTATION else (0.0, value / 100.0)
            bump = mount_error(rotation_deg, translation_m, self._axis, self._direction)
            return _seen_from_image(own, transform_points(bump, own.points_lidar_m[reference]))
        raise ConfigError(f"sweep: expected one of {[known.name for known in self._plan.sweeps()]}, got {sweep!r}")

    def _allowed(self, points_camera_m: Points) -> Points:
        return points_camera_m[outside_cells(points_camera_m, self.truth_camera, self.held_out.cells)]


def _seen_from_image(scan: AgedScan, points_lidar_m: Points) -> Points:
    """Carried to the image stamp where odometry says how, else as they are."""
    T_image_lidar = scan.T_camera_lidar if scan.T_image_scan is None else scan.T_image_scan @ scan.T_camera_lidar
    return transform_points(T_image_lidar, points_lidar_m)
