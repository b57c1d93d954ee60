# SPDX-License-Identifier: Apache-2.0
"""One factor to metres for all cameras of a rig: they look with the same network, so they err alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mono_depth_ros.perception.scale import DEFAULT_SCALE_POLICY, ScaleEstimate, ScalePolicy, ScaleSource


@dataclass(frozen=True, slots=True)
class SharedScale:
    """What is remembered from one moment to the next.

    Attributes:
        applied: log factor that was applied last; None before the first.
        stamp_ns: of that.
    """

    applied: float | None = None
    stamp_ns: int = 0


def share_scale(
    state: SharedScale,
    estimates: Sequence[ScaleEstimate],
    stamp_ns: int,
    policy: ScalePolicy = DEFAULT_SCALE_POLICY,
) -> tuple[SharedScale, ScaleEstimate]:
    """The factor of the rig from those of its cameras.

    The cameras whose source is the best one that any camera has are asked (by ``policy.order``; several sources fused
    are better than one): a camera without points takes the factor of those with points. Of these the median counts, so
    that fewer than half may be wrong by any amount. It moves no faster than ``policy.max_rate``, whoever comes or goes.

    Args:
        state: what the previous call returned.
        estimates: one per camera that has an image.
        stamp_ns: of the moment.
        policy: which source is better, and how fast the factor may move.

    Returns:
        The state for the next call, and the factor; 1 by NONE when no camera has a source. Its sigma is the cameras'
        median sigma and their spread together, NaN where the cameras know none.

    >>> wheel = ScaleEstimate(1.5, 0.05, ScaleSource.ODOMETRY, 0.1)
    >>> odd = ScaleEstimate(9.0, 0.05, ScaleSource.ODOMETRY, 0.1)
    >>> round(share_scale(SharedScale(), [wheel, odd, wheel], 0)[1].value, 6)
    1.5
    """
    known = [estimate for estimate in estimates if estimate.metric]
    if not known:
        return state, ScaleEstimate(1.0, float("nan"), ScaleSource.NONE, 0.0)
    best = min(_rank(estimate.source, policy) for estimate in known)
    asked = [estimate for estimate in known if _rank(estimate.source, policy) == best]
    logs = np.log([estimate.value for estimate in asked])
    wanted = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - wanted))) / math.sqrt(len(asked))
    sigma = math.hypot(float(np.median([estimate.sigma / estimate.value for estimate in asked])), spread)
    applied = wanted
    if state.applied is not None:
        step = policy.max_rate * abs(stamp_ns - state.stamp_ns) * 1e-9
        applied = min(max(wanted, state.applied - step), state.applied + step)
    value = math.exp(applied)
    age_s = min(estimate.age_s for estimate in asked)
    # A factor that still lags behind the cameras is as wrong as it lags.
    shared = ScaleEstimate(value, value * math.hypot(sigma, applied - wanted), asked[0].source, age_s)
    return SharedScale(applied, stamp_ns), shared


def _rank(source: ScaleSource, policy: ScalePolicy) -> int:
    return policy.order.index(source) if source in policy.order else -1
