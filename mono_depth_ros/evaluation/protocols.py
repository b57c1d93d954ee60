# SPDX-License-Identifier: Apache-2.0
"""Named evaluation protocols: everything besides the model and the data that decides a number.

The order is the same for all of them: bring the prediction to the truth's grid, choose the pixels (limits of truth,
crop, input pixels), scale, clip, take the metrics, average over images. `protocol_steps.py` does it.

Where the conventions come from: Eigen et al. 2014 and Garg et al. 2016 (KITTI), the evaluations of PackNet-SfM and
Monodepth2 (grids, limits, flip average), the KITTI depth completion benchmark (units), Ma and Karaman 2018 (completion
on NYU).
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any

from mono_depth_ros.errors import ConfigError


class Crop(Enum):
    """Part of the truth's grid that counts."""

    NONE = "none"
    GARG = "garg"  # shares of height and width, truncated to whole pixels
    NYU_EIGEN = "nyu_eigen"  # rows 45 to 470 and columns 41 to 600 of 480 x 640


class Resize(Enum):
    """What is interpolated bilinearly on the way to the truth's grid."""

    DEPTH = "depth"
    INVERSE_DEPTH = "inverse_depth"


class Grid(Enum):
    """Which pixels of prediction and truth correspond."""

    CAMERA = "camera"  # by the intrinsics of both; for an image that was stretched: borders on borders
    CORNERS = "corners"  # centres of the corner pixels on each other, as PackNet-SfM


class Fit(Enum):
    """How an image gets the size of the network."""

    STRETCH = "stretch"
    CROP_BOTTOM = "crop_bottom"  # a window at the bottom, in the middle; depth outside it is 0 before clipping


class Scaling(Enum):
    """Factor on the depth, from the scored pixels of the truth."""

    NONE = "none"
    MEDIAN = "median"  # one per image: median of truth over median of prediction
    SHARED_MEDIAN = "shared_median"  # one for all cameras of a time step, medians over their pixels together


class Preparation(Enum):
    """What is done to a sample before anything else."""

    NONE = "none"
    NYU_HALF = "nyu_half"  # half size, then the 228 x 304 pixels in the middle


@dataclass(frozen=True, slots=True)
class Protocol:
    """How depth is compared with truth.

    Attributes:
        name: under which the numbers are known; changes are appended to it by `changed`.
        about: in a sentence.
        min_truth_m: truth has to be more than this.
        max_truth_m: truth has to be less than this; or at most this, if `includes_max_truth`.
        clip_min_m, clip_max_m: predictions are clipped to these after scaling.
        crop, resize, grid, fit, scaling, preparation: see their types.
        flip_average: mean of the network's inverse depth and of that for the mirrored image, the 5 % at each border
            taken from the one that saw beyond it.
        score_inputs: whether pixels count on which an input point falls.
        millimetres: whether errors in metres are shown in millimetres.
        random_points: a sample without points gets so many, drawn from its truth; 0 for none.
        range_edges_m: of the table by true depth.

    Raises:
        ConfigError: limits that are not in order, or a value that is none.
    """

    name: str
    about: str
    min_truth_m: float = 0.0
    max_truth_m: float = 80.0
    includes_max_truth: bool = False
    clip_min_m: float = 1e-3
    clip_max_m: float = 80.0
    crop: Crop = Crop.NONE
    resize: Resize = Resize.DEPTH
    grid: Grid = Grid.CAMERA
    fit: Fit = Fit.STRETCH
    scaling: Scaling = Scaling.NONE
    flip_average: bool = False
    score_inputs: bool = False
    millimetres: bool = False
    preparation: Preparation = Preparation.NONE
    random_points: int = 0
    range_edges_m: tuple[float, ...] = (0.0, 10.0, 20.0, 40.0, 80.0, 200.0)

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_truth_m < self.max_truth_m:
            raise ConfigError(
                f"protocol {self.name}: expected 0 <= min_truth_m < max_truth_m, got {self.min_truth_m} and "
                f"{self.max_truth_m}"
            )
        if not 0.0 <= self.clip_min_m < self.clip_max_m:
            raise ConfigError(
                f"protocol {self.name}: expected 0 <= clip_min_m < clip_max_m, got {self.clip_min_m} and "
                f"{self.clip_max_m}"
            )
        if self.random_points < 0 or list(self.range_edges_m) != sorted(set(self.range_edges_m)):
            raise ConfigError(
                f"protocol {self.name}: expected random_points of at least 0 and ascending range_edges_m, got "
                f"{self.random_points} and {self.range_edges_m}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON can hold it; a limit that is not there is None."""
        plain: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            plain[name] = value.value if isinstance(value, Enum) else None if value == inf else value
        plain["range_edges_m"] = list(self.range_edges_m)
        return plain

    def facts(self) -> dict[str, str]:
        """What a reader of a number has to know, in words."""
        most = (
            "no limit"
            if self.max_truth_m == inf
            else f"{'<=' if self.includes_max_truth else '<'} {self.max_truth_m:g} m"
        )
        clip = "no limit" if self.clip_max_m == inf else f"{self.clip_max_m:g} m"
        return {
            "protocol": self.name,
            "truth": f"> {self.min_truth_m:g} m, {most}",
            "crop": self.crop.value,
            "pixels of input points": "scored" if self.score_inputs else "left out",
            "fit to the network": self.fit.value,
            "resize to the truth": f"{self.resize.value}, bilinear, grid by {self.grid.value}",
            "scaling by truth": self.scaling.value,
            "clip": f"{self.clip_min_m:g} m to {clip}, after scaling",
            "flip average": "yes" if self.flip_average else "no",
            "preparation": self.preparation.value
            + (f", {self.random_points} random points where there are none" if self.random_points else ""),
            "average": "per image, then over images",
        }


PLAIN = Protocol(
    "plain",
    "metres as they come; what the input told is not scored",
    includes_max_truth=True,
    clip_min_m=0.5,
)
_KITTI_EIGEN = Protocol(
    "kitti_eigen",
    "Eigen's test images against the raw scan (original truth), Garg crop, 80 m, as PackNet-SfM",
    min_truth_m=1e-3,
    crop=Crop.GARG,
    grid=Grid.CORNERS,
)
_PROTOCOLS = (
    PLAIN,
    _KITTI_EIGEN,
    dataclasses.replace(
        _KITTI_EIGEN,
        name="kitti_eigen_improved",
        about="the same against the accumulated truth, which has the Garg crop and 80 m too, as PackNet-SfM",
        score_inputs=True,
    ),
    Protocol(
        "kitti_eigen_benchmark",
        "the accumulated truth without crop and without limit, predictions clipped to 80 m, as Monodepth2",
        max_truth_m=inf,
        resize=Resize.INVERSE_DEPTH,
        score_inputs=True,
    ),
    Protocol("ddad", "up to 200 m, no crop, per camera", max_truth_m=200.0, clip_max_m=200.0, grid=Grid.CORNERS),
    Protocol(
        "nyu",
        "prediction: up to 10 m, Eigen crop of 480 x 640",
        min_truth_m=1e-3,
        max_truth_m=10.0,
        clip_max_m=10.0,
        crop=Crop.NYU_EIGEN,
        score_inputs=True,
        range_edges_m=(0.0, 1.0, 2.0, 3.0, 5.0, 10.0),
    ),
    Protocol(
        "nyu_completion",
        "half size and the middle 228 x 304, 500 random points, which are scored too",
        min_truth_m=1e-3,
        max_truth_m=10.0,
        clip_max_m=10.0,
        score_inputs=True,
        preparation=Preparation.NYU_HALF,
        random_points=500,
        range_edges_m=(0.0, 1.0, 2.0, 3.0, 5.0, 10.0),
    ),
    Protocol(
        "kitti_dc",
        "all truth, errors in mm and 1/km; clipping to at least 0.1 m is ours",
        max_truth_m=inf,
        clip_min_m=0.1,
        clip_max_m=inf,
        score_inputs=True,
        millimetres=True,
    ),
    Protocol(
        "void",
        "0.2 to 5 m, errors in mm and 1/km; these limits are common use, not in the data set's release",
        min_truth_m=0.2,
        max_truth_m=5.0,
        clip_min_m=0.2,
        clip_max_m=5.0,
        score_inputs=True,
        millimetres=True,
        range_edges_m=(0.0, 1.0, 2.0, 3.0, 5.0),
    ),
    Protocol(
        "synthetic",
        "perfect truth up to 80 m, sky and input pixels left out",
        includes_max_truth=True,
        clip_min_m=0.1,
        range_edges_m=(0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0),
    ),
    Protocol(
        "synthetic_indoor",
        "perfect truth up to 20 m, input pixels left out",
        max_truth_m=20.0,
        includes_max_truth=True,
        clip_min_m=0.1,
        clip_max_m=20.0,
        range_edges_m=(0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0),
    ),
)
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in _PROTOCOLS}


def named_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        ConfigError: there is none; the message has the nearest.
    """
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {name!r}{hint}")
    return PROTOCOLS[name]


def changed(protocol: Protocol, changes: Mapping[str, Any]) -> Protocol:
    """The protocol with other values, which its name then tells.

    Args:
        protocol: where to begin.
        changes: field -> value; those that change nothing are not mentioned.

    Raises:
        ConfigError: an unknown field, or a value that it cannot have.

    >>> changed(PROTOCOLS["kitti_eigen"], {"scaling": Scaling.MEDIAN, "crop": Crop.GARG}).name
    'kitti_eigen, scaling=median'
    """
    known = {field.name for field in dataclasses.fields(Protocol)}
    if unknown := [name for name in changes if name not in known]:
        raise ConfigError(f"protocol: expected fields of {', '.join(sorted(known))}, got {', '.join(unknown)}")
    real = {name: value for name, value in changes.items() if getattr(protocol, name) != value}
    words = [f"{name}={value.value if isinstance(value, Enum) else value}" for name, value in real.items()]
    return dataclasses.replace(protocol, **real, name=", ".join([protocol.name, *words]))
