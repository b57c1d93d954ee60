# SPDX-License-Identifier: Apache-2.0
"""The errors that this package raises. Only ``cli/`` and ``ros/`` catch them.

A message says the name of the thing, what was expected, what was there, and what to do about it.
"""


class MonoDepthError(Exception):
    """Root of every error that the package raises on purpose."""


class ConfigError(MonoDepthError):
    """A parameter, recipe or command line that cannot be used."""


class DataError(MonoDepthError):
    """A message, bag, image or point cloud that cannot be read."""


class ModelContractError(MonoDepthError):
    """A model file, checkpoint or contract that does not hold what it promises."""


class FrameError(MonoDepthError):
    """A coordinate frame or transform that is missing or not a rigid motion."""
