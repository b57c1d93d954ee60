# SPDX-License-Identifier: Apache-2.0
"""The scored pixels of one image taken apart: with and without the input's, by range, by semantic label."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mono_depth_ros.evaluation.protocol_steps import Mask
from mono_depth_ros.evaluation.protocols import Protocol
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth

# The pixels that the protocol scores: the numbers of the table.
SCORED = "scored"
ALL_TRUTH, OFF_INPUT = "all truth", "off input"
RANGE, LABEL = "range ", "label "

# Bins of log2(prediction / truth), -2 to 2, that is a quarter to four times; what is beyond counts in the last bins.
RATIO_BINS = 64
_RATIO_LIMIT = 2.0
UNKNOWN_LABEL = 255


def slices_of(
    truth_m: DepthMap,
    scored: Mask,
    scored_with_inputs: Mask,
    sparse: SparseDepth,
    protocol: Protocol,
    labels: npt.NDArray[np.uint8] | None,
    label_names: Mapping[int, str],
) -> dict[str, Mask]:
    """Name -> bool [H, W]; those without a pixel are left out.

    Args:
        truth_m: float32 [H, W].
        scored: what the protocol scores.
        scored_with_inputs: the same with the pixels of input points.
        sparse: input points on the truth's grid.
        protocol: for its ranges.
        labels: uint8 [H, W], 255 unknown; None without.
        label_names: of the labels; one without a name keeps its number.
    """
    inputs = np.zeros_like(scored)
    inputs[sparse.rows, sparse.cols] = True
    found = {SCORED: scored, ALL_TRUTH: scored_with_inputs, OFF_INPUT: scored_with_inputs & ~inputs}
    edges = protocol.range_edges_m
    for low, high in pairwise(edges):
        with np.errstate(invalid="ignore"):
            found[f"{RANGE}{low:g}-{high:g} m"] = scored & (truth_m > low) & (truth_m <= high)
    if labels is not None:
        for label in np.unique(labels[scored]).tolist():
            if label != UNKNOWN_LABEL:
                found[f"{LABEL}{label_names.get(label, str(label))}"] = scored & (labels == label)
    return {name: mask for name, mask in found.items() if mask.any()}


def ratio_counts(predicted_m: npt.NDArray[np.float32], truth_m: npt.NDArray[np.float32]) -> list[int]:
    """Pixels per bin of log2(prediction / truth).

    >>> [at for at, count in enumerate(ratio_counts(np.array([1.0, 9.0, 0.01]), np.array([1.0, 1.0, 1.0]))) if count]
    [0, 32, 63]
    """
    place = (np.log2(predicted_m / truth_m) + _RATIO_LIMIT) * (RATIO_BINS / (2.0 * _RATIO_LIMIT))
    bins = np.clip(np.floor(place), 0, RATIO_BINS - 1).astype(np.int64)
    counts: list[int] = np.bincount(bins, minlength=RATIO_BINS).tolist()
    return counts


def ratio_edges() -> npt.NDArray[np.float64]:
    """float64 [65], prediction / truth at the borders of the bins."""
    return 2.0 ** np.linspace(-_RATIO_LIMIT, _RATIO_LIMIT, RATIO_BINS + 1)
