# SPDX-License-Identifier: Apache-2.0
"""`--protocol` and the options that change single values of it."""

import argparse
from typing import Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.evaluation.protocols import (
    PLAIN,
    PROTOCOLS,
    Crop,
    Fit,
    Grid,
    Preparation,
    Protocol,
    Resize,
    Scaling,
    changed,
    named_protocol,
)

_CHOICES = {"crop": Crop, "resize": Resize, "grid": Grid, "fit": Fit, "scaling": Scaling, "preparation": Preparation}
_HELP = {
    "crop": "part of the truth that counts",
    "resize": "what is interpolated on the way to the truth's grid",
    "grid": "which pixels of prediction and truth correspond",
    "fit": "how images get the network's size",
    "scaling": "factor from the truth: none, per image, or one per time step of a rig",
    "preparation": "what is done to samples first",
}
_NUMBERS = {
    "min_truth_m": "truth has to be more than this",
    "max_truth_m": "truth has to be less than this",
    "clip_min_m": "predictions are at least this",
    "clip_max_m": "predictions are at most this",
}


def add_protocol_options(parser: argparse.ArgumentParser) -> None:
    """One option for the name, and one for each value that may be changed."""
    group = parser.add_argument_group("protocol (a change is told in every table and file)")
    group.add_argument(
        "--protocol", default=PLAIN.name, metavar="NAME", help=f"{', '.join(PROTOCOLS)} (default: %(default)s)"
    )
    for name, kind in _CHOICES.items():
        group.add_argument(f"--{name}", choices=[value.value for value in kind], help=_HELP[name])
    group.add_argument("--max-depth-m", type=float, help="--max-truth-m and --clip-max-m in one")
    for name, text in _NUMBERS.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="M", help=text)
    for name, text in (
        ("flip_average", "mean with the result for the mirrored image"),
        ("score_inputs", "score pixels of input points"),
    ):
        group.add_argument(f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, help=text)
    group.add_argument("--random-points", type=int, metavar="N", help="input for samples without, drawn from the truth")
    group.add_argument("--ranges", metavar="M,M,...", help="borders of the table by true depth, for example 0,5,10,20")


def chosen_protocol(args: argparse.Namespace) -> Protocol:
    """The protocol that the options say.

    Raises:
        ConfigError: no such protocol, or a value that it cannot have.
    """
    changes: dict[str, Any] = {}
    if args.max_depth_m is not None:
        changes = {"max_truth_m": args.max_depth_m, "clip_max_m": args.max_depth_m}
    for name, kind in _CHOICES.items():
        if (value := getattr(args, name)) is not None:
            changes[name] = kind(value)
    for name in (*_NUMBERS, "flip_average", "score_inputs", "random_points"):
        if (value := getattr(args, name)) is not None:
            changes[name] = value
    if args.ranges is not None:
        changes["range_edges_m"] = _edges(args.ranges)
    return changed(named_protocol(args.protocol), changes)


def _edges(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--ranges: expected numbers with commas between, got {text!r}") from error
