# SPDX-License-Identifier: Apache-2.0
"""The page and the pictures of an evaluation."""

import dataclasses

import cv2
import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.evaluation.contact_sheet import draw_contact_sheet, shown_depths_m
from mono_depth_ros.evaluation.evaluate import evaluate
from mono_depth_ros.evaluation.evaluation_report import ranked, report_html
from mono_depth_ros.evaluation.protocols import PLAIN, PROTOCOLS
from mono_depth_ros.evaluation.results_files import results_csv
from mono_depth_ros.geometry.camera import PinholeCamera

CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)
ORIGIN = {"model": "<b>model", "data": ["<script>alert(1)</script>"], "command": 'mono-depth "&"'}


def sample(name, depth_m):
    """A wall; its points say 10 m."""
    points = CAMERA.unproject(np.full((32, 64), 10.0, np.float32))[::4, ::4].reshape(-1, 3)
    return DepthSample(
        name,
        0,
        "<i>front",
        np.zeros((32, 64, 3), np.uint8),
        CAMERA,
        points,
        np.full((32, 64), depth_m, np.float32),
        CAMERA,
    )


@pytest.fixture(scope="module")
def scored():
    """Baselines before walls at 10, 30 and 20 m, and what the pictures are drawn from."""
    pictures = []
    walls = [sample("good", 10.0), sample("../<script>bad", 30.0), sample("middle", 20.0)]
    return evaluate(walls, None, on_image=pictures.append), pictures


def test_the_worst_frames_come_first(scored):
    assert [image.name for image in ranked(scored[0])] == ["../<script>bad", "middle", "good"]


def test_the_page_escapes_every_name_and_needs_no_network(scored):
    text = report_html(scored[0], ORIGIN).decode()
    for raw in ("<script>", "<i>front", "<b>model", "../", "http://", "https://"):
        assert raw not in text.replace("..&#x2F;", "").replace("../&lt;script&gt;bad (", "")
    assert "&lt;script&gt;bad (&lt;i&gt;front" in text and "&lt;b&gt;model" in text
    assert text.count("<figure>") == 6  # three of the worst, and all three again


def test_a_picture_has_every_panel(scored):
    for depths in scored[1]:
        picture = cv2.imdecode(np.frombuffer(draw_contact_sheet(depths, PLAIN), np.uint8), cv2.IMREAD_COLOR)
        # Two columns; three lines of a 2:1 picture with its title; the bars.
        assert picture.shape == (3 * (310 + 26) + 46, 1240, 3)
        assert picture.std() > 20


def test_the_error_map_is_dark_where_depth_is_right_and_bright_where_not(scored):
    def error_panel(depths):
        sheet = cv2.imdecode(np.frombuffer(draw_contact_sheet(depths, PLAIN), np.uint8), cv2.IMREAD_GRAYSCALE)
        return sheet[2 * 336 + 26 : 3 * 336, :600].astype(float)

    right, wrong, _ = (error_panel(depths) for depths in scored[1])
    assert np.median(right) < 20 and np.median(wrong) > 200


def test_every_protocol_has_a_range_of_colours():
    for protocol in PROTOCOLS.values():
        low, high = shown_depths_m(protocol)
        assert 0 < low < high < 1000


def test_a_single_method_has_four_panels(scored):
    depths = scored[1][0]
    one = dataclasses.replace(depths, depths_m={"nearest": depths.depths_m["nearest"]})
    picture = cv2.imdecode(np.frombuffer(draw_contact_sheet(one, PLAIN), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (2 * 336 + 46, 1240, 3)


def test_what_the_node_published_is_drawn_before_the_baselines(scored):
    depths = scored[1][0]
    of_nearest = {part: {**found, "published": found["nearest"]} for part, found in depths.score.metrics.items()}
    shown = dataclasses.replace(
        depths,
        depths_m={**depths.depths_m, "published": np.full((32, 64), 40.0, np.float32)},
        score=dataclasses.replace(depths.score, metrics=of_nearest),
    )
    alone = dataclasses.replace(shown, depths_m={"published": shown.depths_m["published"]})
    assert draw_contact_sheet(shown, PLAIN) == draw_contact_sheet(alone, PLAIN)


def test_names_with_commas_and_quotes_survive_the_csv():
    text = results_csv(evaluate([sample('a,"b"', 10.0)], None)).decode()
    assert '"a,""b"""' in text
