# SPDX-License-Identifier: Apache-2.0
"""Recordings as people have them: `mono-depth replay` gives the depth that they allow, or says what is wrong."""

import re
from pathlib import Path

import numpy as np
import pytest
import recorded_cameras
import recorded_frames
import recorded_points
from bag_maker import write_bag
from dial_model import write_model
from recorded_images import PICTURES, REFUSED
from street_model import write_street_model
from street_recording import HEIGHT_PX, IMAGE, IMAGES, WIDTH_PX, Recording, abs_rel, pixels, replay, stamp_of

CASES = (*recorded_points.CASES, *recorded_cameras.CASES, *recorded_frames.CASES)


@pytest.fixture(scope="module")
def street(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose errors tell whether points went into its depth."""
    return write_street_model(tmp_path_factory.mktemp("street"), recording.truth.values())


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose predictions are 2 m, and the red of the picture."""
    return write_model(tmp_path_factory.mktemp("red"), height_px=HEIGHT_PX, width_px=WIDTH_PX)


def test_every_case_has_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_recording_gives_the_depth_that_it_allows(case, recording, street, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", case.edit(recording.messages))
    got = replay(bag, tmp_path / "out", capsys, "--model", str(street), *case.options)
    fewest = case.depths if case.at_least is None else case.at_least
    assert fewest <= len(got.depths) <= case.depths, got.told
    assert (got.exit_code == 0) == (case.depths > 0), got.told
    if case.dial is not None:
        assert got.dial == (case.dial[0], case.dial[1] or got.dial[1])
    if case.abs_rel is not None and case.depths:
        assert abs_rel(got.depths, recording.truth) < case.abs_rel
    for pattern in case.told:
        assert re.search(pattern, got.told, re.IGNORECASE), f"{pattern}: {got.told}"
    for pattern in case.untold:
        assert not re.search(pattern, got.told, re.IGNORECASE), f"{pattern}: {got.told}"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_an_image_is_read_in_the_encoding_of_its_driver(picture, recording, red, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", picture.edit(recording.messages))
    got = replay(bag, tmp_path / "out", capsys, "--model", str(red), "--points", "none", "--odom", "none")
    assert (got.exit_code, len(got.depths)) == (0, IMAGES), got.told
    # Of cameras with fewer bits than 16 the first images may tell how many; after them it is known.
    for message in [message for topic, _, message in recording.messages if topic == IMAGE][2:]:
        seen = (got.depths[stamp_of(message)] - 2.0) * 255.0
        error = np.abs(seen - picture.red(pixels(message)).astype(float))
        assert error.mean() < picture.error


@pytest.mark.parametrize("name", REFUSED)
def test_an_encoding_that_says_too_little_is_refused_by_its_name(name, recording, red, tmp_path, capsys):
    edit, words = REFUSED[name]
    got = replay(write_bag(tmp_path / "bag", edit(recording.messages)), tmp_path / "out", capsys, "--model", str(red))
    assert words in got.told and "image encoding" in got.told
    assert (got.exit_code, got.depths) == (1, {})
