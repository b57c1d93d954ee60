# SPDX-License-Identifier: Apache-2.0
"""Dense metric depth from a camera, odometry and sparse LiDAR.

Importing the package imports nothing: ROS tools import it with the messages that live under the same name. Each name
of ``__all__`` is imported when it is first asked for (PEP 562).
"""

# Type checkers take a name so called for true; `typing` itself would be an import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mono_depth_ros.datasets.bags.bag_samples import read_bag
    from mono_depth_ros.datasets.open_dataset import open_dataset
    from mono_depth_ros.datasets.sample import DepthSample
    from mono_depth_ros.errors import MonoDepthError
    from mono_depth_ros.estimator import DepthEstimator
    from mono_depth_ros.geometry.camera import PinholeCamera
    from mono_depth_ros.inference.completion import CompletionPolicy
    from mono_depth_ros.perception.dial import DialPolicy, Mode
    from mono_depth_ros.perception.result import DepthResult
    from mono_depth_ros.perception.scale import ScalePolicy, ScaleSource

__version__ = "0.1.0"

__all__ = [
    "CompletionPolicy",
    "DepthEstimator",
    "DepthResult",
    "DepthSample",
    "DialPolicy",
    "Mode",
    "MonoDepthError",
    "PinholeCamera",
    "ScalePolicy",
    "ScaleSource",
    "__version__",
    "open_dataset",
    "read_bag",
]

_MODULE_OF = {
    "CompletionPolicy": "inference.completion",
    "DepthEstimator": "estimator",
    "DepthResult": "perception.result",
    "DepthSample": "datasets.sample",
    "DialPolicy": "perception.dial",
    "Mode": "perception.dial",
    "MonoDepthError": "errors",
    "PinholeCamera": "geometry.camera",
    "ScalePolicy": "perception.scale",
    "ScaleSource": "perception.scale",
    "open_dataset": "datasets.open_dataset",
    "read_bag": "datasets.bags.bag_samples",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
