# SPDX-License-Identifier: Apache-2.0
"""`mono-depth train`: read the drives or render the images that a recipe needs, then train."""

import argparse
import math
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mono_depth_ros.training.config import TrainConfig
    from mono_depth_ros.training.curves import Progress
    from mono_depth_ros.training.sources import Source

_DESCRIPTION = """\
Train a network from a recipe: from a recorded drive (data=BAG), or from images that are rendered first where the recipe
names no data. What was read or rendered is kept. Training may be interrupted and goes on with --resume.
"""

_EPILOG = """\
examples:
  mono-depth train config/train/velocity.yaml data=my_drive            a rosbag2 with camera and odometry
  mono-depth train config/train/joint.yaml data=bag:my_drive?points=/lidar/points validation=bag:other_drive
  mono-depth train config/train/street.yaml max_minutes=10             rendered images, no data needed
  mono-depth train config/train/velocity.yaml data=my_drive init=models/street    goes on from there

Then: mono-depth export out/train/NAME/last.ckpt --out models/NAME
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to `mono-depth`."""
    parser = subparsers.add_parser(
        "train",
        help="train a network from a recipe",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml", help="for example config/train/velocity.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="fields of the recipe, e.g. max_minutes=10")
    parser.add_argument("--out", type=Path, help="folder for checkpoints and curves (default: out/train/NAME)")
    parser.add_argument("--data", type=Path, default=Path("out/train/data"), help="folder of caches of images")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; 0 when trained to the end."""
    from mono_depth_ros.errors import ConfigError
    from mono_depth_ros.training.recipe_file import read_recipe
    from mono_depth_ros.training.run_state import LAST, changed_network, initialised
    from mono_depth_ros.training.trainer import train

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill saves a checkpoint, as Ctrl-C does
    config = initialised(read_recipe(args.recipe, args.overrides))
    out = args.out or Path("out/train") / config.name
    first = os.environ.get("LOCAL_RANK", "0") == "0"  # DDP starts this command again for every other process
    if first and not args.resume and (out / LAST).exists():
        raise ConfigError(f"{out / LAST} exists; go on with --resume, or train into another folder with --out")
    bar = _Bar(quiet=not first)
    with bar.progress:
        if first:
            for change in changed_network(config):
                bar.say(f"the network of {config.init}, but {change}")
            _keep_recipe(config, out, bar)
        source = _source(config, args.data, bar)
        checkpoint = train(config, source, out, args.resume, bar.training)
    if first:
        print(f"wrote {checkpoint}; next: mono-depth export {checkpoint} --out models/{config.name}")
    return 0


def _keep_recipe(config: "TrainConfig", out: Path, bar: "_Bar") -> None:
    """Writes what is trained beside its checkpoints; says what a resumed run does otherwise than before."""
    from mono_depth_ros.errors import ConfigError
    from mono_depth_ros.training.recipe_file import changed_fields, read_recipe, write_recipe

    kept = out / "recipe.yaml"
    if kept.exists():
        try:
            for change in changed_fields(read_recipe(kept), config):
                bar.say(f"goes on with another {change}")
        except ConfigError as error:  # of another version: no reason not to go on
            bar.say(f"cannot tell what changed since the run began: {error}")
    out.mkdir(parents=True, exist_ok=True)
    write_recipe(config, kept)


def _source(config: "TrainConfig", data_root: Path, bar: "_Bar") -> "Source":
    """What the recipe learns from, made ready; says what was found in drives."""
    from mono_depth_ros.datasets.rendered.rendered_cache import prepare
    from mono_depth_ros.training.sources import drive_clips, drive_source, rendered_cache_source

    if not config.on_drives:
        for done, total in prepare(config.rendered, data_root, config.render_workers):
            bar.show("render", done / total, f"{done}/{total} shards of {config.rendered.shard_images} images")
        return rendered_cache_source(config, data_root)
    for url in (*config.data, *config.validation):
        for line in _topic_lines(url):
            bar.say(line)
    clips, held_out = drive_clips(
        config, data_root, lambda done, total: bar.show("read", done / max(total, 1), f"{done}/{total} frames")
    )
    for fact in (*clips.facts, *([] if held_out is None else held_out.facts)):
        for line in fact.lines():
            bar.say(line)
    return drive_source(config, clips, held_out)


def _topic_lines(source: str) -> list[str]:
    """Which topics of a bag are used; nothing for other data sets."""
    from mono_depth_ros.datasets.bags.bag_samples import BagSamples
    from mono_depth_ros.datasets.open_dataset import open_dataset
    from mono_depth_ros.training.drive_cache import dataset_url

    samples = open_dataset(dataset_url(source))
    if not isinstance(samples, BagSamples):
        return []
    topics = samples.topics
    used = (
        ("images", topics.image),
        ("calibration", topics.camera_info),
        ("points", topics.points),
        ("odometry", topics.odometry),
    )
    return [f"{dataset_url(source)} uses:", *(f"  {what:<12} {topic or 'none'}" for what, topic in used)]


class _Bar:
    """rich's progress on a terminal, and a plain line now and then elsewhere."""

    def __init__(self, quiet: bool, line_every_s: float = 15.0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True, quiet=quiet)
        columns = TextColumn("{task.description:>8}"), BarColumn(20), TextColumn("{task.fields[note]}", markup=False)
        self.progress = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
        self._line_every_s, self._last_line = line_every_s, -line_every_s
        self._tasks: dict[str, Any] = {}

    def say(self, line: str) -> None:
        """A line that stays."""
        self.progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def show(self, task: str, share: float, note: str) -> None:
        """Show how far a task is."""
        if task not in self._tasks:
            self._tasks[task] = self.progress.add_task(task, total=1.0, note="")
        self.progress.update(self._tasks[task], completed=share, note=note)
        if self.progress.disable and (share >= 1.0 or time.monotonic() - self._last_line >= self._line_every_s):
            self._last_line = time.monotonic()
            self.say(f"{task} {100 * share:5.1f} %  {note}")

    def training(self, progress: "Progress") -> None:
        """Show a training step."""
        terms = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        note = f"step {progress.step} {progress.steps_per_s:.1f} it/s {terms} rate {progress.rate:.1e}"
        if math.isfinite(progress.ratio):
            note += f" ratio at points {progress.ratio:.2f}"
        note += f" left {progress.left_s / 60:.0f} min"
        if progress.scores is not None:
            known = {name: value for name, value in progress.scores.to_dict().items() if math.isfinite(value)}
            note += " | val " + " ".join(f"{name} {value:.3g}" for name, value in known.items())
        self.show("train", progress.share, note)
