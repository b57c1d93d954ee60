# SPDX-License-Identifier: Apache-2.0
"""A recording is not thrown away for one message: `mono-depth evaluate` scores the rest and tells what it left out."""

import json
import re
from dataclasses import dataclass

import pytest
from bag_maker import write_bag
from dial_model import write_model
from recorded_frames import mounts_on_tf
from street_recording import (
    IMAGE,
    IMAGES,
    INFO,
    ODOMETRY,
    POINTS,
    TRUTH,
    Edit,
    chain,
    changed,
    command,
    cut_in_half,
    each,
    same,
    shifted,
    without,
)

BY_DEPTH = ("--points", POINTS, "--gt-points", TRUTH)
BY_SCANS = ("--points", "none", "--gt-points", POINTS)

# What is scored: the depth that the node would publish, or that of the network.
METHODS = {"published": (), "prediction": ("--network-only",)}


@dataclass(frozen=True)
class Evaluated:
    """What is scored of a recording: images, and patterns of what must be told.

    Attributes:
        at_least: so many images are enough, where it is a matter of patience.
    """

    name: str
    edit: Edit
    images: int = IMAGES
    options: tuple[str, ...] = BY_DEPTH
    told: tuple[str, ...] = ()
    at_least: int | None = None


CASES = (
    Evaluated("as it should be", same),
    Evaluated("as it should be, by its scans", same, options=BY_SCANS),
    Evaluated("the first camera_info are missing", each(INFO, lambda message: None, only={0, 1}),
              at_least=IMAGES - 2),
    Evaluated("an image is truncated", each(IMAGE, cut_in_half, only={5}), IMAGES - 1, told=("1 x:? .*truncated",)),
    Evaluated("a cloud is truncated", each(POINTS, cut_in_half, only={5}), at_least=IMAGES - 1,
              told=("1 x:? .*truncated",)),
    Evaluated("odometry's base is not placed",
              each(ODOMETRY, lambda message: changed(message, child_frame_id="base_footprint")),
              told=("base_footprint",)),
    Evaluated("odometry's base has no name", each(ODOMETRY, lambda message: changed(message, child_frame_id=""))),
    Evaluated("mounts are on /tf", mounts_on_tf, options=BY_SCANS),
    Evaluated("every scan 9 ms late", shifted(POINTS, 0.009), options=BY_SCANS),
    Evaluated("no odometry, and every scan 9 ms late", chain(shifted(POINTS, 0.009),
              without(ODOMETRY)), options=BY_SCANS),
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Says 2 m and the red of the picture; how well is not the question here."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_can_be_scored_is_scored_and_the_rest_is_told(case, method, recording, model, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", [*case.edit(recording.messages), *recording.truth_messages])
    places = ("--data", str(bag), "--model", str(model), "--out", str(tmp_path / "scores"))
    exit_code, told = command(capsys, "evaluate", *places, *case.options, *METHODS[method])
    assert exit_code == 0, told
    scored = json.loads((tmp_path / "scores/results.json").read_text())["scores"][method]["images"]
    assert (case.at_least or case.images) <= scored <= case.images
    for pattern in case.told:
        assert re.search(pattern, told, re.IGNORECASE), f"{pattern}: {told}"


def test_a_recording_without_an_image_that_can_be_read_is_an_error_with_its_topic(recording, model, tmp_path, capsys):
    messages = each(IMAGE, cut_in_half)(recording.messages)
    bag = write_bag(tmp_path / "bag", [*messages, *recording.truth_messages])
    exit_code, told = command(capsys, "evaluate", "--data", str(bag), "--model", str(model), *BY_DEPTH)
    assert exit_code == 1
    assert IMAGE in told and "truncated" in told
