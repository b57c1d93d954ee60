# SPDX-License-Identifier: Apache-2.0
"""The numbers of an evaluation: per image, per time step, and their means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.cloud_quality import ImageCloud, image_cloud_from_dict
from mono_depth_ros.evaluation.method_depths import METHODS, PUBLISHED
from mono_depth_ros.evaluation.metrics import DepthMetrics, mean_metrics
from mono_depth_ros.evaluation.protocols import Protocol
from mono_depth_ros.evaluation.score_slices import RATIO_BINS, SCORED
from mono_depth_ros.evaluation.temporal import (
    PairStability,
    TemporalStability,
    pair_stability_from_dict,
    temporal_stability,
)
from mono_depth_ros.evaluation.uncertainty import (
    Calibration,
    ImageUncertainty,
    calibration,
    image_uncertainty_from_dict,
)


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One image.

    Attributes:
        name, camera_name, stamp_ns: of the sample.
        points: cells of the truth's grid with an input point.
        pixels: slice (`score_slices`) -> how many pixels.
        metrics: slice -> method -> errors.
        factors: method -> factor of the scaling by truth; 1 without.
        ratios: method -> pixels per bin of prediction over truth, among the scored ones.
        withheld: pixels of truth that would be scored, had the node published a depth there.
        uncertainty: method -> how its sigma tells its errors, of methods that have one.
        stability: what the node published, against what it published of the image before; None where it cannot be told.
        cloud: how good the node's cloud is; None where it made none.
    """

    name: str
    camera_name: str
    stamp_ns: int
    points: int
    pixels: dict[str, int]
    metrics: dict[str, dict[str, DepthMetrics]]
    factors: dict[str, float]
    ratios: dict[str, tuple[int, ...]]
    withheld: int = 0
    uncertainty: dict[str, ImageUncertainty] = field(default_factory=dict)
    stability: PairStability | None = None
    cloud: ImageCloud | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "name": self.name,
            "camera": self.camera_name,
            "stamp_ns": self.stamp_ns,
            "points": self.points,
            "pixels": self.pixels,
            "metrics": {
                part: {method: list(astuple(errors)) for method, errors in found.items()}
                for part, found in self.metrics.items()
            },
            "factors": self.factors,
            "ratios": {method: list(counts) for method, counts in self.ratios.items()},
            "withheld": self.withheld,
            "uncertainty": {method: asdict(found) for method, found in self.uncertainty.items()},
            "stability": None if self.stability is None else self.stability.to_dict(),
            "cloud": None if self.cloud is None else self.cloud.to_dict(),
        }


def image_score_from_dict(content: Mapping[str, Any]) -> ImageScore:
    """The opposite of `to_dict`.

    Raises:
        DataError: it is not what `to_dict` gives.
    """
    try:
        return ImageScore(
            name=str(content["name"]),
            camera_name=str(content["camera"]),
            stamp_ns=int(content["stamp_ns"]),
            points=int(content["points"]),
            pixels={str(part): int(count) for part, count in content["pixels"].items()},
            metrics={
                str(part): {str(method): DepthMetrics(*map(float, errors)) for method, errors in found.items()}
                for part, found in content["metrics"].items()
            },
            factors={str(method): float(factor) for method, factor in content["factors"].items()},
            ratios={str(method): tuple(map(int, counts)) for method, counts in content["ratios"].items()},
            withheld=int(content.get("withheld", 0)),
            uncertainty={
                str(method): image_uncertainty_from_dict(found)
                for method, found in content.get("uncertainty", {}).items()
            },
            stability=None if content.get("stability") is None else pair_stability_from_dict(content["stability"]),
            cloud=None if content.get("cloud") is None else image_cloud_from_dict(content["cloud"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"score of an image: expected what an evaluation writes, got {error!r}") from error


@dataclass(frozen=True, slots=True)
class StepScore:
    """Images that share a factor: those of a rig's time step, or one alone.

    Attributes:
        samples: how many were read.
        images: those that could be scored.
    """

    samples: int
    images: tuple[ImageScore, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"samples": self.samples, "images": [image.to_dict() for image in self.images]}


def step_score_from_dict(content: Mapping[str, Any]) -> StepScore:
    """The opposite of `to_dict`.

    Raises:
        DataError: it is not what `to_dict` gives.
    """
    try:
        images = tuple(image_score_from_dict(image) for image in content["images"])
        return StepScore(int(content["samples"]), images)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"score of a time step: expected what an evaluation writes, got {error!r}") from error


@dataclass(frozen=True, slots=True)
class MethodScore:
    """Mean metrics of one method, and how many images and pixels they rest on."""

    metrics: DepthMetrics
    images: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out.

    Attributes:
        protocol: by which.
        steps: in the order of the samples.
    """

    protocol: Protocol
    steps: tuple[StepScore, ...]

    @property
    def every_image(self) -> tuple[ImageScore, ...]:
        """All that could be scored."""
        return tuple(image for step in self.steps for image in step.images)

    @property
    def images(self) -> tuple[ImageScore, ...]:
        """Those that the means rest on: if some images have points and others none, those that have.

        A mean of predictions over more images than the mean of completions could not be compared with it. What the node
        publishes is asked of every image, with points or without.
        """
        every = self.every_image
        methods = {method for image in every for method in image.factors}
        if PUBLISHED in methods:
            return every
        return tuple(image for image in every if image.factors.keys() == methods)

    @property
    def skipped(self) -> int:
        """Samples of which nothing could be scored."""
        return sum(step.samples - len(step.images) for step in self.steps)

    @property
    def without_points(self) -> int:
        """Scored images that no mean rests on, since others have points."""
        return len(self.every_image) - len(self.images)

    def withheld_share(self) -> float:
        """Share of the truth that the means leave out since the node publishes no depth there; 0 for other methods."""
        withheld = sum(image.withheld for image in self.images)
        return withheld / (withheld + sum(image.pixels.get(SCORED, 0) for image in self.images)) if withheld else 0.0

    def scores(self, part: str = SCORED, choose: Callable[[ImageScore], bool] | None = None) -> dict[str, MethodScore]:
        """Method -> mean over the chosen images that have pixels in a slice; empty where none has."""
        chosen = [image for image in self.images if part in image.metrics and (choose is None or choose(image))]
        if not chosen:
            return {}
        found = {}
        for method in METHODS:
            having = [image for image in chosen if method in image.factors]
            if having:
                metrics = mean_metrics([image.metrics[part][method] for image in having])
                found[method] = MethodScore(metrics, len(having), sum(image.pixels[part] for image in having))
        return found

    def calibrations(self) -> dict[str, Calibration]:
        """Method -> how well its sigma tells its errors, over all images; of methods that have one."""
        found = {}
        for method in METHODS:
            known = [image.uncertainty[method] for image in self.images if method in image.uncertainty]
            if any(image.pixels for image in known):
                found[method] = calibration(known)
        return found

    def stability(self) -> TemporalStability | None:
        """How still what the node published holds; None where no two images can be compared."""
        pairs = [image.stability for image in self.every_image if image.stability is not None]
        return temporal_stability(pairs) if any(pair.pixels for pair in pairs) else None

    def clouds(self) -> list[ImageCloud]:
        """How good the node's clouds are, of all images that have one."""
        return [image.cloud for image in self.every_image if image.cloud is not None]

    def parts(self, prefix: str) -> list[str]:
        """Slices whose names begin so, in the order in which they were first seen; ranges from near to far."""
        found = dict.fromkeys(part for image in self.images for part in image.pixels if part.startswith(prefix))
        return sorted(found, key=_first_number)

    def cameras(self) -> list[str]:
        """In the order in which they were first seen."""
        return list(dict.fromkeys(image.camera_name for image in self.images))

    def ratios(self) -> dict[str, Sequence[int]]:
        """Method -> pixels per bin of prediction over truth, of all images."""
        total: dict[str, list[int]] = {}
        for image in self.images:
            for method, counts in image.ratios.items():
                so_far = total.setdefault(method, [0] * RATIO_BINS)
                total[method] = [a + b for a, b in zip(so_far, counts, strict=True)]
        return {method: total[method] for method in METHODS if method in total}


def _first_number(part: str) -> float:
    word = part.split(" ", 1)[-1].split("-")[0]
    try:
        return float(word)
    except ValueError:
        return 0.0
