# SPDX-License-Identifier: Apache-2.0
"""Samples on their way into an evaluation: several cameras merged by time, grouped by time step, from a place on."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import cast

from mono_depth_ros.datasets.sample import DepthSample, DepthSamples
from mono_depth_ros.evaluation.protocols import Protocol, Scaling

# Cameras of one rig are triggered together or within one rotation of its LiDAR.
TIME_STEP_S = 0.06


@dataclass(frozen=True, slots=True, eq=False)
class FollowingSample(DepthSample):
    """A sample of what a node published that knows the one before it.

    Attributes:
        previous: the sample before it in its data set, passed over or not, published or not.
    """

    previous: DepthSample = field(kw_only=True)


def by_time(data_sets: Sequence[Iterable[DepthSample]], start: int = 0) -> Iterator[DepthSample]:
    """The samples of one data set in its order, or of several in the order of their stamps.

    Those with what a node published are told the one before them (`FollowingSample`): within a data set, for two data
    sets can be two drives of one camera, and before any is passed over, so that it does not matter where one begins.

    Args:
        data_sets: one per camera of a rig, each with ascending stamps.
        start: so many samples are passed over, those of a single data set that can be indexed without reading them.
    """
    if len(data_sets) == 1:
        (samples,) = data_sets
        if start and hasattr(samples, "__getitem__") and hasattr(samples, "__len__"):
            return _from(cast(DepthSamples, samples), start)
        return islice(_following(samples), start, None)
    return islice(heapq.merge(*map(_following, data_sets), key=lambda sample: sample.stamp_ns), start, None)


def time_steps(samples: Iterable[DepthSample], protocol: Protocol) -> Iterator[tuple[DepthSample, ...]]:
    """Samples that share a factor: those of one time step where the protocol scales a rig, else each alone."""
    if protocol.scaling is not Scaling.SHARED_MEDIAN:
        for sample in samples:
            yield (sample,)
        return
    step: list[DepthSample] = []
    for sample in samples:
        same_time = step and 0 <= sample.stamp_ns - step[0].stamp_ns <= TIME_STEP_S * 1e9
        # A camera comes once in a time step, however fast it runs.
        if step and (not same_time or sample.camera_name in {other.camera_name for other in step}):
            yield tuple(step)
            step = []
        step.append(sample)
    if step:
        yield tuple(step)


def _following(samples: Iterable[DepthSample]) -> Iterator[DepthSample]:
    previous: DepthSample | None = None
    for sample in samples:
        if previous is None or sample.published is None:
            yield sample
        else:
            known = {one.name: getattr(sample, one.name) for one in fields(sample)}
            yield FollowingSample(**known, previous=previous)
        previous = sample


def _from(samples: DepthSamples, start: int) -> Iterator[DepthSample]:
    return (samples[index] for index in range(start, len(samples)))
