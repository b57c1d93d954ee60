# SPDX-License-Identifier: Apache-2.0
"""Does a network know how wrong its depth is? Its standard deviation of log depth against the errors that it made.

With e = ln(predicted / true) and s the standard deviation that the network gives at the scored pixels:

    coverage at k sigma   share of pixels with |e| <= k s
    calibration curve     for a probability q, the share of pixels with |e| <= k s where P(|e| <= k s) = q, were e of a
                          Laplace distribution with standard deviation s (scale s / sqrt 2): k = -ln(1 - q) / sqrt 2
    sigma_factor          the one factor on s with which the coverage at 1 sigma is 68.3 %
    AUSE                  area under the sparsification error of AbsRel: mean AbsRel of what is left without the x % of
                          the pixels whose s is largest, less the same without the x % whose AbsRel is largest (oracle),
                          both over the AbsRel of all; x from 0 to 100 % in steps of 5 %, trapezoids, the error at 100 %
                          is 0 (Ilg et al., ECCV 2018; Poggi et al., CVPR 2020, who do not divide by the AbsRel of all)

68.3 % at 1 sigma is what a normal distribution has. Errors that are Laplace with standard deviation s have 75.7 % at 1
sigma and 94.1 % at 2, and a `sigma_factor` of 0.81: with it, s is no longer their standard deviation but the half width
that holds 68.3 % of them. That is the `sigma_factor` of a model's contract (`inference/contract.py`), by which the run
time has multiplied every s that comes here: a factor measured with it multiplies it. The curve is of s as it comes, so
that with such a factor a perfect s lies off the diagonal: below it, for a factor of less than 1.

Coverage, curve and factor are of the pixels of all images together; they come from one histogram of |e| / s, whose
bins have borders at every k that is asked for, so that only the factor is interpolated. AUSE is the mean over images:
it asks for the order within an image.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.protocol_steps import Mask
from mono_depth_ros.geometry.camera import DepthMap

_Numbers = npt.NDArray[np.float64]

# Probabilities of the calibration curve, and how many sigma hold them if errors are Laplace.
EXPECTED: _Numbers = np.arange(1, 20) / 20.0
_EXPECTED_SIGMAS: _Numbers = -np.log1p(-EXPECTED) / np.sqrt(2.0)
# Shares of the pixels that sparsification removes.
REMOVED: _Numbers = np.arange(20) / 20.0
_NORMAL_COVERAGE = 0.683
# Upper borders of the bins of |e| / s, each with its bin; another bin for what is beyond. Steps of 7 %, and all k.
_EDGES: _Numbers = np.unique(np.concatenate([10.0 ** (np.arange(-96, 65) / 32.0), _EXPECTED_SIGMAS, [1.0, 2.0]]))


@dataclass(frozen=True, slots=True)
class ImageUncertainty:
    """What is kept of one image.

    Attributes:
        pixels: scored, with sigma.
        unknown: scored, but prediction, truth or sigma is NaN; in no number.
        ratio_counts: pixels per bin of |e| / s.
        sum_sigma: of the pixels.
        sparsification: mean AbsRel without the most uncertain pixels, over that of all, per share of `REMOVED`.
        oracle: the same without the pixels of the largest AbsRel.
    """

    pixels: int
    unknown: int
    ratio_counts: tuple[int, ...]
    sum_sigma: float
    sparsification: tuple[float, ...]
    oracle: tuple[float, ...]


def image_uncertainty_from_dict(content: Mapping[str, Any]) -> ImageUncertainty:
    """The opposite of `dataclasses.asdict`. Raises DataError for curves of another version's length."""
    lengths = {"ratio_counts": len(_EDGES) + 1, "sparsification": len(REMOVED), "oracle": len(REMOVED)}
    for name, length in lengths.items():
        if len(content[name]) != length:
            raise DataError(f"{name}: expected {length} numbers, got {len(content[name])}; score the images again")
    return ImageUncertainty(
        pixels=int(content["pixels"]),
        unknown=int(content["unknown"]),
        ratio_counts=tuple(map(int, content["ratio_counts"])),
        sum_sigma=float(content["sum_sigma"]),
        sparsification=tuple(map(float, content["sparsification"])),
        oracle=tuple(map(float, content["oracle"])),
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well sigma tells the errors of all images.

    Attributes:
        images, pixels: what the numbers rest on.
        unknown: scored pixels without a prediction or a sigma; in no number.
        coverage_1_sigma, coverage_2_sigma: shares of the pixels.
        expected, observed: the calibration curve; observed above expected: sigma is too large.
        sigma_factor: what sigma is to be multiplied by for 68.3 % at 1 sigma; from 0.001 to 100.
        ause: of AbsRel; 0 if sigma puts the pixels of every image in the order of their errors.
        removed, sparsification, oracle: mean curves over images.
        mean_sigma: of the pixels, as given.
    """

    images: int
    pixels: int
    unknown: int
    coverage_1_sigma: float
    coverage_2_sigma: float
    expected: tuple[float, ...]
    observed: tuple[float, ...]
    sigma_factor: float
    ause: float
    removed: tuple[float, ...]
    sparsification: tuple[float, ...]
    oracle: tuple[float, ...]
    mean_sigma: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def image_uncertainty(
    predicted_m: DepthMap, truth_m: DepthMap, sigma_log: npt.NDArray[np.float32], scored: Mask
) -> ImageUncertainty:
    """The numbers of one image.

    Args:
        predicted_m: float32 [H, W], metres; NaN unknown.
        truth_m: float32 [H, W], metres; NaN unknown.
        sigma_log: float32 [H, W], standard deviation of the natural log of `predicted_m`; NaN unknown. A factor on the
            depth, as of median scaling, leaves it as it is.
        scored: bool [H, W], the pixels that count.

    Raises:
        DataError: a shape differs, or at a scored pixel a depth is not positive and finite, or a sigma is negative or
            infinite.

    >>> depth_m, truth_m = np.full((1, 2), 2.0, np.float32), np.array([[2.0, 4.0]], np.float32)
    >>> found = image_uncertainty(depth_m, truth_m, np.array([[0.1, 0.2]], np.float32), truth_m > 0)
    >>> found.pixels, found.oracle[10], found.sparsification[10]  # without the worse half, and the more uncertain one
    (2, 0.0, 0.0)
    """
    _check_shapes(predicted_m, truth_m, sigma_log, scored)
    known = scored & ~(np.isnan(predicted_m) | np.isnan(truth_m) | np.isnan(sigma_log))
    p, g, sigma = (values[known].astype(np.float64) for values in (predicted_m, truth_m, sigma_log))
    for name, depth_m in (("predicted_m", p), ("truth_m", g)):
        if not (np.isfinite(depth_m).all() and (depth_m > 0).all()):
            raise DataError(f"{name}: expected positive, finite depths or NaN at scored pixels, got others; mask them")
    if not (np.isfinite(sigma).all() and (sigma >= 0).all()):
        raise DataError("sigma_log: expected finite values >= 0 or NaN at scored pixels, got others")
    error_log, error_rel = np.abs(np.log(p) - np.log(g)), np.abs(p - g) / g
    # Without an error the pixel is covered, also by a sigma of 0; any error is infinitely many of those.
    ratio = np.divide(error_log, sigma, out=np.where(error_log > 0, np.inf, 0.0), where=sigma > 0)
    counts = np.bincount(np.searchsorted(_EDGES, ratio), minlength=len(_EDGES) + 1)
    return ImageUncertainty(
        pixels=len(p),
        unknown=int(scored.sum()) - len(p),
        ratio_counts=tuple(counts.tolist()),
        sum_sigma=float(sigma.sum()),
        sparsification=_sparsified(error_rel, sigma),
        oracle=_sparsified(error_rel, error_rel),
    )


def calibration(images: Iterable[ImageUncertainty]) -> Calibration:
    """The numbers of all images; they are taken one by one and not kept.

    Raises:
        DataError: no image has a scored pixel with sigma.
    """
    counts = np.zeros(len(_EDGES) + 1, np.int64)
    curves = np.zeros((2, len(REMOVED)))
    with_pixels = unknown = 0
    sum_sigma = 0.0
    for image in images:
        unknown += image.unknown
        if image.pixels:
            with_pixels += 1
            counts += np.array(image.ratio_counts)
            curves += np.array([image.sparsification, image.oracle])
            sum_sigma += image.sum_sigma
    pixels = int(counts.sum())
    if not pixels:
        raise DataError(
            f"uncertainty: expected at least one scored pixel with prediction, truth and sigma, got none ({unknown} "
            "without); does the model tell a sigma?"
        )
    sparsification, oracle = curves / with_pixels
    coverage_1, coverage_2, *observed = _covered(counts, np.array([1.0, 2.0, *_EXPECTED_SIGMAS])).tolist()
    return Calibration(
        images=with_pixels,
        pixels=pixels,
        unknown=unknown,
        coverage_1_sigma=coverage_1,
        coverage_2_sigma=coverage_2,
        expected=tuple(EXPECTED.tolist()),
        observed=tuple(observed),
        sigma_factor=_ratio_at(counts, _NORMAL_COVERAGE),
        # Trapezoids: the error is 0 at both ends, where nothing and everything is removed.
        ause=float((sparsification - oracle).sum() / len(REMOVED)),
        removed=tuple(REMOVED.tolist()),
        sparsification=tuple(sparsification.tolist()),
        oracle=tuple(oracle.tolist()),
        mean_sigma=sum_sigma / pixels,
    )


def draw_calibration(found: Calibration) -> bytes:
    """A PNG: the calibration curve with its diagonal, and beside it sparsification with its oracle."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.2), layout="constrained", dpi=90)
    curve_axis, sparsification_axis = figure.subplots(1, 2)
    covered = f"1 sigma holds {found.coverage_1_sigma:.1%}, 2 sigma {found.coverage_2_sigma:.1%}"
    curve_axis.plot(
        [0, 1], [0, 1], color="#999999", linewidth=0.8, label="standard deviation of a Laplace distribution"
    )
    curve_axis.plot(found.expected, found.observed, color="#1b7837", linewidth=2.0, marker=".", label=covered)
    curve_axis.set_xlabel("expected share of pixels, of a Laplace distribution")
    curve_axis.set_ylabel("observed share of pixels")
    curve_axis.set_xlim(0.0, 1.0)
    curve_axis.set_ylim(0.0, 1.0)
    by_sigma = f"largest sigma first (AUSE {found.ause:.3f})"
    sparsification_axis.plot(found.removed, found.sparsification, color="#1b7837", linewidth=2.0, label=by_sigma)
    sparsification_axis.plot(
        found.removed, found.oracle, color="#444444", linewidth=1.2, label="largest error first (oracle)"
    )
    sparsification_axis.axhline(1.0, color="#999999", linewidth=0.8, label="in no order")
    sparsification_axis.set_xlabel("share of pixels removed")
    sparsification_axis.set_ylabel("AbsRel of the rest / AbsRel of all")
    sparsification_axis.set_xlim(0.0, 1.0)
    sparsification_axis.set_ylim(bottom=0.0)
    for axis in (curve_axis, sparsification_axis):
        axis.legend(fontsize=9)
        axis.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _check_shapes(predicted_m: DepthMap, truth_m: DepthMap, sigma_log: npt.NDArray[np.float32], scored: Mask) -> None:
    if truth_m.ndim != 2:
        raise DataError(f"truth_m: expected shape [H, W], got {truth_m.shape}")
    for name, values in (("predicted_m", predicted_m), ("sigma_log", sigma_log), ("scored", scored)):
        if values.shape != truth_m.shape:
            raise DataError(f"{name}: expected the shape {truth_m.shape} of truth_m, got {values.shape}")
    if scored.dtype != np.bool_:
        raise DataError(f"scored: expected bool, got {scored.dtype}")


def _sparsified(error: _Numbers, order_by: _Numbers) -> tuple[float, ...]:
    """Mean error of what is left per share of `REMOVED`, over that of all.

    Of pixels in a tie each one is removed as far as the others are, so the order in the image does not matter; shares
    of a pixel count. Where there is no error at all, or no pixel, neither does any order: 1 throughout.
    """
    if not error.any():
        return (1.0,) * len(REMOVED)
    _, tie = np.unique(order_by, return_inverse=True)
    pixels_until = np.concatenate([[0.0], np.cumsum(np.bincount(tie))])
    error_until = np.concatenate([[0.0], np.cumsum(np.bincount(tie, error))])
    left = len(error) * (1.0 - REMOVED)
    curve: list[float] = (np.interp(left, pixels_until, error_until) / left / error.mean()).tolist()
    return tuple(curve)


def _covered(counts: npt.NDArray[np.int64], sigmas: _Numbers) -> _Numbers:
    """Share of the pixels with |e| <= k s, for k that are borders of bins."""
    until = np.cumsum(counts) / counts.sum()
    return np.asarray(until[np.searchsorted(_EDGES, sigmas)], np.float64)


def _ratio_at(counts: npt.NDArray[np.int64], share: float) -> float:
    """The |e| / s that a share of the pixels does not exceed, interpolated in its log; the ends of the bins at most."""
    until = np.cumsum(counts) / counts.sum()
    return float(np.exp(np.interp(share, until[:-1], np.log(_EDGES))))
