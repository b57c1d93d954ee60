# SPDX-License-Identifier: Apache-2.0
"""`mono-depth evaluate`: how good the node's depth of a bag, or a model's depth of any data set, is against truth."""

import argparse
import datetime
import operator
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_depth_ros.cli.data_url import add_bag_options, data_path, data_url
from mono_depth_ros.cli.protocol_options import add_protocol_options, chosen_protocol
from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.datasets.bags.bag_samples import BagSamples
    from mono_depth_ros.datasets.sample import DepthSample
    from mono_depth_ros.evaluation.evaluate import ImageDepths
    from mono_depth_ros.evaluation.evaluation_result import Evaluation, StepScore
    from mono_depth_ros.evaluation.protocols import Protocol
    from mono_depth_ros.evaluation.results_folder import ResultsFolder
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.stream.config import DepthNodeConfig

# What to say in place of a model to score the baselines only.
NO_MODEL = "none"
_FILE_WIDTH = 150

_EPILOG = """\
--data is the URL of a data set (docs/datasets.md), or the path of a bag with its topics as options. Repeat it for the
cameras of a rig. Every method is scored on the same pixels.

Of a bag, what the node would publish is scored: same intake, dial, LiDAR memory, scale and limits of depth, image by
image from the beginning of the drive, with the parameters of --params and --param; --model, --provider and --precision
go before theirs.

  published                 the node's depth in metres, at the pixels where it publishes one

With --network-only, and for all other data sets, the network is scored on each sample by itself. Samples with points
(of a bag: the nearest scan, also one that comes after the image) are completed and predicted, others predicted only:

  prediction                the model from the image alone, metres as they come
  prediction_median_scaled  the same, times the median ratio of the points to it
  completion                the model with the points, anchored and mixed with their fill
  completion_network        the network alone with the points

Beside either, where there are points:

  nearest                   every pixel takes the depth of the nearest point
  classical                 image morphology, no learning

--out gets results.json, results.csv and report.html with a picture per frame. An interrupted evaluation goes on where
it stopped when the same command runs again.

examples:
  mono-depth evaluate --data drive --camera /camera_02 --points /lidar/points_4beam --gt-points /lidar/points
  mono-depth evaluate --data 'kitti_raw:/data/kitti?split=eigen_test&points=none' --protocol kitti_eigen_improved \\
      --scaling median --out out/eigen
  mono-depth evaluate --data 'ddad:/data/ddad?camera=CAMERA_01&beams=4' \\
      --data 'ddad:/data/ddad?camera=CAMERA_05&beams=4' --protocol ddad --scaling shared_median --out out/ddad
  mono-depth evaluate --data 'bag:out/street?points=/lidar/points&gt_points=/truth/depth' --protocol synthetic
  mono-depth evaluate --data drive --gt-points /lidar/points --params depth_node.yaml --param lidar.memory_s:=0.5
  mono-depth evaluate --data drive --gt-points /lidar/points --network-only      each image by itself
  mono-depth evaluate --model none ...                                           the baselines only
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score the depth of a bag or a data set against its truth",
        description="Scores what the node would publish of a bag, or a network on any data set, and two baselines "
        "against truth, by a protocol.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help=f"folder, name or {NO_MODEL!r} (default: that of --params, or street)")
    parser.add_argument(
        "--data", required=True, action="append", metavar="URL", help="data set or bag; again for a further camera"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write results.json, results.csv and report.html here")
    parser.add_argument("--limit", type=int, metavar="N", help="score the first N samples only")
    parser.add_argument("--provider", action="append", help="ONNX Runtime execution provider; may be repeated")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="bfloat16: faster with OpenVINOExecutionProvider, float32 with any other (default: float32)",
    )
    node = parser.add_argument_group("what the node would publish, of a bag")
    node.add_argument("--network-only", action="store_true", help="score the network on each sample instead")
    node.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node (YAML)")
    node.add_argument("--param", action="append", default=[], metavar="NAME:=VALUE", help="one parameter of it")
    add_bag_options(parser)
    add_protocol_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scores, prints the tables, writes the folder; returns the exit code."""
    from mono_depth_ros.datasets.open_dataset import open_dataset

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {args.limit}")
    protocol = chosen_protocol(args)
    urls = [data_url(text, _bag_options(args)) for text in args.data]
    engine = _open_model(args)
    data_sets, node = _as_published(args, [open_dataset(url) for url in urls], engine, protocol)
    folder = None if args.out is None else _folder(args.out, urls, engine, protocol, args.limit, node)
    print(f"scores {node or 'the network on each sample by itself'}")
    try:
        evaluation = _evaluate(data_sets, None if node else engine, protocol, folder, args.limit)
    except KeyboardInterrupt:
        if folder is not None:
            print(f"what is scored is kept in {folder.partial}; the same command goes on from there", file=sys.stderr)
        raise
    finally:
        if folder is not None:
            folder.close()
    origin = _origin(args, urls, engine)
    _print(evaluation, origin)
    _print_notes(data_sets)
    if engine is not None and not engine.contract.metric and protocol.scaling.value == "none":
        print("the model's depth has no metric scale: its prediction means something with --scaling median only")
    if folder is not None:
        _write(folder, evaluation, origin)
        print(f"{args.out / 'report.html'}")
    return 0


def _open_model(args: argparse.Namespace) -> "OnnxEngine | None":
    """The model of the options, or else of the node's parameters; None for the baselines only."""
    from mono_depth_ros.cli.node_options import parameters
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.share import model_path
    from mono_depth_ros.stream.parameter_file import config_from

    given = parameters(args.params, args.param)
    options = (("model", args.model), ("providers", args.provider), ("precision", args.precision))
    config = config_from(given | {name: value for name, value in options if value is not None})
    if config.model == NO_MODEL:
        return None
    return OnnxEngine(model_path(config.model), config.providers, config.intra_op_threads, config.precision)


def _as_published(
    args: argparse.Namespace, data_sets: list[Any], engine: "OnnxEngine | None", protocol: "Protocol"
) -> tuple[list[Any], str]:
    """The data sets with what the node makes of them, and words for its parameters; as they are where it is not asked.

    Raises:
        ConfigError: parameters of a node that is not asked, a parameter that cannot be used, or a protocol that does to
            images what the node does not.
    """
    from mono_depth_ros.datasets.bags.bag_samples import BagSamples
    from mono_depth_ros.evaluation.protocols import Fit, Preparation
    from mono_depth_ros.inference.pose_engine import open_pose_model
    from mono_depth_ros.replay.published_samples import PublishedSamples
    from mono_depth_ros.share import model_path

    bags = [data for data in data_sets if isinstance(data, BagSamples)]
    if engine is None or args.network_only or len(bags) < len(data_sets):
        if args.params is not None or args.param:
            raise ConfigError("--params, --param: expected a bag and a model without --network-only, got another")
        return data_sets, ""
    if protocol.fit is not Fit.STRETCH or protocol.preparation is not Preparation.NONE or protocol.flip_average:
        raise ConfigError(
            f"--protocol {protocol.name}: expected one that takes images as the node does, got one that crops or "
            "mirrors them; add --network-only"
        )
    published = []
    for bag in bags:
        config = node_config_of(args, bag)
        folder = model_path(config.pose_model) if config.pose_model else None
        pose = open_pose_model(folder, engine, config.providers, config.intra_op_threads)
        published.append(PublishedSamples(bag, config, engine, pose))
    given = [str(text) for text in (args.params, *args.param) if text]
    return published, ", ".join(["what the node would publish", *given])


def node_config_of(args: argparse.Namespace, bag: "BagSamples") -> "DepthNodeConfig":
    """The node's parameters by the options and the keys of a bag's URL."""
    from mono_depth_ros.cli.node_options import parameters
    from mono_depth_ros.replay.published_samples import node_parameters
    from mono_depth_ros.stream.parameter_file import config_from

    return config_from(node_parameters(bag) | parameters(args.params, args.param))


def _print_notes(data_sets: Sequence[Any]) -> None:
    """What was left out, refused or published, where a data set knows."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    for data in data_sets:
        for outcome, count in getattr(data, "outcomes", {}).items():
            console.print(f"{count} images {outcome}", markup=False, highlight=False)
        for notes, what in (("problems", "said"), ("left_out", "left out")):
            for text, count in sorted(getattr(data, notes, {}).items(), key=lambda note: -note[1])[:5]:
                console.print(f"{what} {count} x: {text}", style="yellow", markup=False, highlight=False)


def _bag_options(args: argparse.Namespace) -> dict[str, str | float | None]:
    keys = ("camera", "points", "gt_points", "odom", "truth_scale")
    return {key: getattr(args, key) for key in keys}


def _folder(
    out_dir: Path,
    urls: Sequence[str],
    engine: "OnnxEngine | None",
    protocol: "Protocol",
    limit: int | None,
    node: str,
) -> "ResultsFolder":
    """Opens the folder and says what it holds already."""
    from mono_depth_ros.datasets.rendered.rendered_cache import GENERATOR_VERSION
    from mono_depth_ros.evaluation.dropout.kept_lines import fingerprint
    from mono_depth_ros.evaluation.results_folder import ResultsFolder

    key = {
        "worlds": GENERATOR_VERSION,
        "data": [{"url": url, "files": fingerprint(data_path(url))} for url in urls],
        "model": None if engine is None else engine.contract.onnx_sha256,
        "provider": None if engine is None else engine.provider,
        "precision": None if engine is None else engine.precision,
        "protocol": protocol.to_dict(),
        "limit": limit,
        "node": node,
    }
    folder = ResultsFolder(out_dir, key)
    if folder.done:
        known = sum(step.samples for step in folder.done)
        print(f"goes on after {known} samples that an earlier run has scored ({folder.partial})", file=sys.stderr)
    return folder


def _evaluate(
    data_sets: "Sequence[Iterable[DepthSample]]",
    engine: "OnnxEngine | None",
    protocol: "Protocol",
    folder: "ResultsFolder | None",
    limit: int | None,
) -> "Evaluation":
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from mono_depth_ros.evaluation.contact_sheet import draw_contact_sheet
    from mono_depth_ros.evaluation.evaluate import evaluate
    from mono_depth_ros.evaluation.sample_stream import by_time
    from mono_depth_ros.synthetic.render.labels import Label

    done = () if folder is None else folder.done
    known = sum(step.samples for step in done)
    total = min(sum(operator.length_hint(samples) for samples in data_sets), limit or sys.maxsize) or None

    def draw(depths: "ImageDepths") -> None:
        if folder is not None:
            folder.add_picture(depths.score, draw_contact_sheet(depths, protocol))

    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("scoring images", total=total, completed=known)

        def keep(step: "StepScore") -> None:
            if folder is not None:
                folder.add(step)
            progress.advance(task, step.samples)

        return evaluate(
            _up_to(by_time(data_sets, known), None if limit is None else max(0, limit - known)),
            engine,
            protocol,
            label_names={int(label): label.name.lower().replace("_", " ") for label in Label},
            done=done,
            on_step=keep,
            on_image=draw,
        )


def _up_to(samples: "Iterator[DepthSample]", limit: int | None) -> "Iterator[DepthSample]":
    """The first of them; a generator, so that it can be closed."""
    if limit == 0:
        return
    for number, sample in enumerate(samples, start=1):
        yield sample
        if number == limit:
            return


def _origin(args: argparse.Namespace, urls: list[str], engine: "OnnxEngine | None") -> dict[str, Any]:
    """Where the numbers come from."""
    contract = None if engine is None else engine.contract
    return {
        "model": NO_MODEL if contract is None else contract.name,
        "model_sha256": None if contract is None else contract.onnx_sha256,
        "provider": None if engine is None else engine.provider,
        "precision": None if engine is None else engine.precision,
        "data": urls,
        "limit": args.limit,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "command": shlex.join(["mono-depth", *sys.argv[1:]]),
    }


def _write(folder: "ResultsFolder", evaluation: "Evaluation", origin: Mapping[str, Any]) -> None:
    from mono_depth_ros.evaluation.evaluation_report import report_html
    from mono_depth_ros.evaluation.results_files import results_csv, results_json
    from mono_depth_ros.evaluation.results_folder import REPORT_HTML, RESULTS_CSV, RESULTS_JSON

    folder.finish(
        {
            RESULTS_JSON: results_json(evaluation, origin),
            RESULTS_CSV: results_csv(evaluation),
            REPORT_HTML: report_html(evaluation, origin),
        }
    )


def _print(evaluation: "Evaluation", origin: Mapping[str, Any]) -> None:
    from rich.console import Console

    from mono_depth_ros.evaluation.cloud_quality import cloud_rows
    from mono_depth_ros.evaluation.evaluation_report import metric_rows, part_rows, sigma_rows, stability_rows

    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)  # a file is as wide as the table needs
    score = next(iter(evaluation.scores().values()))
    for line in (f"model: {origin['model']}", *(f"data: {url}" for url in origin["data"])):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{score.images} images, {score.pixels} pixels", highlight=False)
    _print_table(console, metric_rows(evaluation))
    console.print("deltas: higher is better; all others: lower is better", style="dim")
    console.print("\nAbsRel / RMSE of parts of the pixels")
    _print_table(console, part_rows(evaluation))
    for what, rows in (
        ("\nsigma against errors of log depth", sigma_rows(evaluation)),
        ("\nChange of the published depth from image to image", stability_rows(evaluation)),
        (
            "\nThe node's cloud at true edges, imprints of its input, dispersion of normals",
            cloud_rows(evaluation.clouds()),
        ),
    ):
        if rows:
            console.print(what)
            _print_table(console, rows)
    for name, value in evaluation.protocol.facts().items():
        console.print(f"{name}: {value}", style="dim", markup=False, highlight=False)
    fewer = {name: one.images for name, one in evaluation.scores().items() if one.images < score.images}
    if fewer:
        told = ", ".join(f"{name} of {images}" for name, images in fewer.items())
        console.print(f"of these images, those with points only: {told}", highlight=False)
    if share := evaluation.withheld_share():
        console.print(f"{share:.1%} of the truth is in no mean: the node publishes no depth there", highlight=False)
    if evaluation.skipped or evaluation.without_points:
        console.print(
            f"{evaluation.skipped} samples without anything to score; {evaluation.without_points} images without "
            "points among others with points, in no mean"
        )


def _print_table(console: Any, rows: Sequence[Mapping[str, str]]) -> None:
    """The first column is text, the others are numbers."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for at, heading in enumerate(rows[0]):
        table.add_column(heading, justify="right" if at else "left")
    for row in rows:
        table.add_row(*(Text(value) for value in row.values()))
    console.print(table)
