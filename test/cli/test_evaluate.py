# SPDX-License-Identifier: Apache-2.0
"""`mono-depth evaluate` on a tiny bag: tables, files, and going on after an interrupt."""

import csv
import json

import pytest
from bag_maker import HEIGHT_PX, IMAGE_TOPIC, POINTS_TOPIC, TRUTH_TOPIC, WIDTH_PX, drive_messages, write_bag
from dial_model import write_model
from free_size_model import write_free_model

from mono_depth_ros.cli.data_url import data_url, is_url
from mono_depth_ros.cli.main import main
from mono_depth_ros.errors import ConfigError

METRICS = {"abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3", "mae", "irmse", "imae", "silog"}
IMAGES = 5


@pytest.fixture
def bag(tmp_path):
    return write_bag(tmp_path / "bag", drive_messages(images=IMAGES, depth_m=10.0))


@pytest.fixture
def run(tmp_path, bag):
    """Evaluates the closed-form model (2 m + red, plus the mean of the points) before a wall at 10 m."""
    model = write_model(tmp_path / "model")

    def evaluate_bag(*options, data=None, network_only=True):
        given = [] if data else ["--points", POINTS_TOPIC, "--gt-points", TRUTH_TOPIC]
        given += ["--network-only"] if network_only else []
        return main(["evaluate", "--model", str(model), "--data", data or str(bag), *given, *options])

    return evaluate_bag


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_the_json_has_every_number_and_the_protocol(run, tmp_path):
    out = tmp_path / "new" / "scores"
    assert run("--out", str(out)) == 0
    content = results(out)
    scores = content["scores"]
    assert {"prediction", "completion", "nearest", "classical"} <= set(scores)
    for score in scores.values():
        assert set(score) == METRICS | {"images", "pixels"}
        assert (score["images"], score["pixels"]) == (IMAGES, IMAGES * (HEIGHT_PX * WIDTH_PX - 8 * 16))
    # At red = 0, 5 ... 20 of 255 the model says 2 m and a little, or 12 m and a little with points; these lie at 10 m.
    assert scores["prediction"]["mae"] == pytest.approx(8.0 - 10 / 255, rel=1e-4)
    assert scores["completion_network"]["mae"] == pytest.approx(2.0 + 10 / 255, rel=1e-4)
    assert scores["completion"]["mae"] == pytest.approx(0.0, abs=0.01)
    assert scores["nearest"]["abs_rel"] == pytest.approx(0.0, abs=1e-5)
    assert content["protocol"]["name"] == "plain" and content["protocol"]["max_truth_m"] == 80.0
    assert content["parts"]["all truth"]["prediction"]["pixels"] == IMAGES * HEIGHT_PX * WIDTH_PX
    assert content["model"] == "closed_form" and POINTS_TOPIC in content["data"][0]


def test_the_folder_has_all_files_and_nothing_else(run, tmp_path):
    out = tmp_path / "scores"
    run("--out", str(out))
    assert {path.name for path in out.iterdir()} == {"results.json", "results.csv", "report.html", "frames"}
    assert len(list((out / "frames").glob("*.jpg"))) == IMAGES
    assert not (tmp_path / "scores.partial").exists()
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (IMAGES + 1) * 6
    mean = [float(row["abs_rel"]) for row in rows if row["method"] == "prediction"]
    assert sum(mean[:-1]) / IMAGES == pytest.approx(mean[-1], rel=1e-5)
    assert {row["protocol"] for row in rows} == {"plain"}


def test_the_report_shows_what_it_rests_on_and_links_to_its_pictures(run, tmp_path):
    out = tmp_path / "scores"
    run("--out", str(out), "--clip-min-m", "1")
    text = (out / "report.html").read_text()
    for word in ("plain, clip_min_m=1.0", "Worst frames by completion", "left out", "1 m to 80 m, after scaling"):
        assert word in text
    for picture in (out / "frames").iterdir():
        assert f'src="frames/{picture.name}"' in text
    assert "http:" not in text and "https:" not in text


def test_the_tables_name_methods_metrics_and_protocol(run, capsys):
    run("--max-depth-m", "50")
    text = capsys.readouterr().out
    for word in ("prediction", "completion", "nearest", "classical", "abs_rel", "irmse (1/km)", "5 images"):
        assert word in text
    for word in (
        "off input",
        "range 0-10 m",
        "protocol: plain, max_truth_m=50.0, clip_max_m=50.0",
        "scaling by truth: none",
    ):
        assert word in text


def test_millimetres_are_shown_where_the_protocol_says_so(run, capsys):
    run("--protocol", "kitti_dc", "--model", "none")
    text = capsys.readouterr().out
    assert "rmse (mm)" in text and "mae (mm)" in text and "irmse (1/km)" in text and "sq_rel (m)" in text


def test_a_url_says_the_same_as_a_path_with_options(run, bag, tmp_path):
    url = f"bag:{bag}?points={POINTS_TOPIC}&gt_points={TRUTH_TOPIC}"
    run("--out", str(tmp_path / "path"))
    run("--out", str(tmp_path / "url"), data=url)
    assert results(tmp_path / "path")["scores"] == results(tmp_path / "url")["scores"]


def test_without_points_there_is_the_prediction(run, bag, tmp_path):
    run("--out", str(tmp_path / "out"), data=f"bag:{bag}?points=none&gt_points={TRUTH_TOPIC}")
    assert list(results(tmp_path / "out")["scores"]) == ["prediction"]


def test_two_data_sets_are_two_cameras_of_one_evaluation(run, bag, tmp_path):
    url = f"bag:{bag}?points={POINTS_TOPIC}&gt_points={TRUTH_TOPIC}"
    run("--data", url, "--out", str(tmp_path / "out"), data=url)
    assert results(tmp_path / "out")["images"] == 2 * IMAGES


def test_a_synthetic_world_is_scored_by_label_too(run, tmp_path, capsys):
    url = f"synthetic:street?seed=3&seconds=0.2&size=96x64&samples=1&cache={tmp_path / 'cache'}"
    assert run("--protocol", "synthetic", "--out", str(tmp_path / "out"), data=url) == 0
    content = results(tmp_path / "out")
    assert content["images"] == 2 and "completion" in content["scores"]
    labels = {part: found for part, found in content["parts"].items() if part.startswith("label ")}
    assert "label road" in labels
    # Every scored pixel has a label, and is in one range.
    assert sum(found["nearest"]["pixels"] for found in labels.values()) == content["scores"]["nearest"]["pixels"]
    ranges = [found["nearest"]["pixels"] for part, found in content["parts"].items() if part.startswith("range ")]
    assert sum(ranges) == content["scores"]["nearest"]["pixels"]
    assert "label road" in capsys.readouterr().out


def test_a_model_without_a_metric_scale_is_told_to_be_one(run, tmp_path, capsys):
    write_model(tmp_path / "model", metric=False)
    run("--limit", "1")
    assert "no metric scale" in capsys.readouterr().out
    run("--limit", "1", "--scaling", "median")
    assert "no metric scale" not in capsys.readouterr().out


def test_median_scaling_makes_a_wall_right(run, tmp_path):
    run("--scaling", "median", "--out", str(tmp_path / "out"))
    assert results(tmp_path / "out")["scores"]["prediction"]["abs_rel"] == pytest.approx(0.0, abs=1e-5)


def test_the_baselines_can_be_scored_without_a_model(run, tmp_path):
    run("--model", "none", "--out", str(tmp_path / "out"), "--limit", "2")
    content = results(tmp_path / "out")
    assert list(content["scores"]) == ["nearest", "classical"]
    assert content["images"] == 2 and content["model"] == "none"


def interrupt_after(monkeypatch, calls):
    """The network is interrupted, as by Ctrl-C, when it has run so often."""
    from mono_depth_ros.inference.engine import OnnxEngine

    infer, ran = OnnxEngine.infer, []

    def counted(self, *arrays):
        ran.append(1)
        if len(ran) > calls:
            raise KeyboardInterrupt
        return infer(self, *arrays)

    monkeypatch.setattr(OnnxEngine, "infer", counted)
    return ran


def test_an_interrupted_evaluation_goes_on_where_it_stopped(run, tmp_path, monkeypatch, capsys):
    run("--out", str(tmp_path / "whole"))
    out = tmp_path / "scores"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2 * (IMAGES - 1))  # prediction and completion of all images but one
        assert run("--out", str(out)) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert not out.exists()
    _key, *kept = (tmp_path / "scores.partial" / "steps.jsonl").read_text().splitlines()
    assert 1 <= len(kept) <= IMAGES - 1
    # A line that was cut off by a loss of power is not a step.
    with (tmp_path / "scores.partial" / "steps.jsonl").open("a") as file:
        file.write('{"samples": 1, "ima')
    with monkeypatch.context() as patch:
        ran = interrupt_after(patch, 99)
        assert run("--out", str(out)) == 0
    assert len(ran) == 2 * (IMAGES - len(kept))
    assert f"goes on after {len(kept)} samples" in capsys.readouterr().err
    assert results(out)["scores"] == results(tmp_path / "whole")["scores"]
    assert len(list((out / "frames").glob("*.jpg"))) == IMAGES


def test_another_protocol_does_not_go_on_with_the_numbers_of_the_first(run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "scores"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        run("--out", str(out))
    capsys.readouterr()
    with monkeypatch.context() as patch:
        ran = interrupt_after(patch, 99)
        assert run("--out", str(out), "--clip-min-m", "3") == 0
    assert len(ran) == 2 * IMAGES and "goes on" not in capsys.readouterr().err


def test_an_older_evaluation_is_replaced_and_anything_else_is_not(run, tmp_path, capsys):
    out = tmp_path / "scores"
    run("--out", str(out), "--limit", "1")
    assert run("--out", str(out), "--limit", "2") == 0
    assert results(out)["images"] == 2
    assert len(list((out / "frames").iterdir())) == 2
    (out / "thesis.tex").write_text("years of work")
    assert run("--out", str(out)) == 1
    assert "got one with 'thesis.tex'" in capsys.readouterr().err
    assert (out / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--limit", "0"], "--limit: expected at least 1, got 0"),
        (["--protocol", "kitti"], "protocol: expected one of plain"),
        (["--max-depth-m", "9"], "at least one image with truth in view"),
        (["--gt-points", "/velodyne"], f"got no such topic; the bag has: .*{TRUTH_TOPIC}"),
        (["--ranges", "1,b"], "--ranges: expected numbers"),
        (["--clip-min-m", "100"], "expected 0 <= clip_min_m < clip_max_m"),
        (["--fit", "crop_bottom", "--crop", "nyu_eigen"], "crop nyu_eigen: expected truth of"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_told_in_one_line(run, tmp_path, capsys, options, message):
    import re

    assert run("--out", str(tmp_path / "scores"), *options) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "scores").exists()


def test_results_that_cannot_be_written_are_an_error(run, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert run("--model", "none", "--out", str(tmp_path / "file" / "scores")) == 1
    assert "expected a folder to write to" in capsys.readouterr().err
    assert run("--model", "none", "--out", str(tmp_path / "file")) == 1
    assert "expected a folder, got a file" in capsys.readouterr().err


def test_options_beside_a_url_are_refused():
    assert is_url("kitti_raw:/data/kitti?split=val") and not is_url("/data/drive") and not is_url("drives/a:b")
    with pytest.raises(ConfigError, match=r"expected its keys in the URL .* got the option\(s\) camera"):
        data_url("bag:a", {"camera": "/left", "points": None})
    assert data_url("my drive", {"points": "/a b&c"}) == "bag:my drive?points=/a%20b%26c"


def test_of_a_bag_it_scores_what_the_node_would_publish_and_says_so(run, tmp_path, capsys):
    out = tmp_path / "scores"
    assert run("--out", str(out), network_only=False) == 0
    said = capsys.readouterr().out
    assert "scores what the node would publish" in said and f"{IMAGES} images COMPLETION: points_used" in said
    scores = results(out)["scores"]
    assert set(scores) == {"published", "nearest", "classical"}
    assert scores["published"]["mae"] == pytest.approx(0.0, abs=0.01)


def test_of_a_bag_with_poses_it_tells_how_still_the_depth_holds_and_of_a_sigma_whether_it_knows_its_errors(
    run, tmp_path, capsys
):
    free, out = write_free_model(tmp_path / "free"), tmp_path / "scores"
    assert run("--out", str(out), "--model", str(free), network_only=False) == 0
    content, said = results(out), capsys.readouterr().out
    assert content["temporal"]["all_pairs"]["pairs"] == IMAGES - 1 and "90th percentile" in said
    # Sigma is 0.1 + blue / 255, at blue = 0, 5 ... 20.
    assert content["uncertainty"]["published"]["mean_sigma"] == pytest.approx(0.1 + 10 / 255, rel=1e-3)
    assert "68.3 % are within" in said
    assert run("--out", str(out)) == 0
    assert not {"temporal", "uncertainty"} & results(out).keys()
    assert "90th percentile" not in capsys.readouterr().out


def test_the_parameters_of_the_node_decide_what_is_scored(run, tmp_path, capsys):
    out = tmp_path / "scores"
    assert run("--out", str(out), "--param", "mode:=prediction", network_only=False) == 0
    assert f"{IMAGES} images PREDICTION: prediction_forced" in capsys.readouterr().out
    score = results(out)["scores"]["published"]
    # Nothing went in, so nothing is left out of the truth: the model says 2 m and a little of a wall at 10 m.
    assert score["pixels"] == IMAGES * HEIGHT_PX * WIDTH_PX
    assert score["mae"] == pytest.approx(8.0 - 10 / 255, rel=1e-4)


def test_the_nodes_cloud_is_scored_beside_its_depth(run, tmp_path, capsys):
    assert run("--out", str(tmp_path / "scores"), network_only=False) == 0
    told = capsys.readouterr().out
    assert "flying" in told and "right edge points lost" in told
    clouds = results(tmp_path / "scores")["cloud"]
    assert len(clouds) == IMAGES and all(cloud["flying"] == 0 and cloud["points"] > 100 for cloud in clouds)
    assert "<h2>Cloud</h2>" in (tmp_path / "scores" / "report.html").read_text()


def test_a_node_that_withholds_predictions_has_nothing_to_score_but_completions(run, capsys):
    withholds = ("--param", "output.in_prediction:=withhold")
    assert run(*withholds, "--param", "mode:=prediction", network_only=False) == 1
    assert "expected at least one image" in capsys.readouterr().err
    assert run(*withholds, network_only=False) == 0


def test_depth_that_the_node_withholds_is_in_no_mean_and_its_share_is_told(tmp_path, bag, capsys):
    model = write_model(tmp_path / "near", max_depth_m=2.05)
    given = ["--points", "none", "--gt-points", TRUTH_TOPIC, "--out", str(tmp_path / "scores")]
    assert main(["evaluate", "--model", str(model), "--data", str(bag), *given]) == 0
    # Of the images at red = 0, 5 ... 20 of 255, the last two lie beyond 2.05 m and nothing is published of them.
    assert results(tmp_path / "scores")["scores"]["published"]["images"] == 3


def test_images_recorded_out_of_order_are_scored_with_their_own_depth(run, tmp_path, bag):
    out, swapped = tmp_path / "scores", drive_messages(images=IMAGES, depth_m=10.0)
    one, other = [n for n, (topic, _, _) in enumerate(swapped) if topic == IMAGE_TOPIC][1:3]
    (_, first_ns, first), (_, then_ns, then) = swapped[one], swapped[other]
    swapped[one], swapped[other] = (IMAGE_TOPIC, first_ns, then), (IMAGE_TOPIC, then_ns, first)
    data = f"bag:{write_bag(tmp_path / 'swapped', swapped)}?points=none&gt_points={TRUTH_TOPIC}"
    assert run("--out", str(out), data=data, network_only=False) == 0
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))[:IMAGES]
    per_image = [float(row["mae"]) for row in rows]
    assert per_image == pytest.approx([8.0 - 5 * n / 255 for n in range(IMAGES)], rel=1e-4)


def test_parameters_of_a_node_that_is_not_asked_are_refused(run, capsys):
    assert run("--param", "mode:=prediction") == 1
    assert "expected a bag and a model without --network-only" in capsys.readouterr().err


def test_what_was_left_out_of_a_bag_is_told_and_the_rest_is_scored(tmp_path, capsys):
    messages = drive_messages(images=IMAGES)
    broken = next(n for n, (topic, _, _) in enumerate(messages) if topic == POINTS_TOPIC)
    messages[broken][2].data = messages[broken][2].data[:40]
    bag, model = write_bag(tmp_path / "broken", messages), write_model(tmp_path / "model")
    given = ["--points", POINTS_TOPIC, "--gt-points", TRUTH_TOPIC, "--network-only"]
    assert main(["evaluate", "--model", str(model), "--data", str(bag), *given]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"left out 1 x: {POINTS_TOPIC}: point cloud: expected" in said and "4 images" in said


def test_images_without_points_count_in_the_mean_of_what_the_node_publishes(tmp_path, capsys):
    messages = [m for n, m in enumerate(drive_messages(images=IMAGES)) if m[0] != POINTS_TOPIC or n > 12]
    gone = IMAGES - sum(topic == POINTS_TOPIC for topic, _, _ in messages)
    assert 0 < gone < IMAGES
    bag, model, out = write_bag(tmp_path / "late", messages), write_model(tmp_path / "model"), tmp_path / "scores"
    given = ["--points", POINTS_TOPIC, "--gt-points", TRUTH_TOPIC, "--param", "lidar.memory_s:=0.0"]
    given += ["--param", "dial.max_points_age_s:=0.05", "--param", "dial.resume_points_age_s:=0.05"]
    assert main(["evaluate", "--model", str(model), "--data", str(bag), *given, "--out", str(out)]) == 0
    scores = results(out)["scores"]
    assert (scores["published"]["images"], scores["nearest"]["images"]) == (IMAGES, IMAGES - gone)
    assert f"nearest of {IMAGES - gone}" in " ".join(capsys.readouterr().out.split())
