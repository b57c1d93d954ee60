# SPDX-License-Identifier: Apache-2.0
"""`mono-depth train`: render what is missing, then train."""

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mono_depth_ros.training.trainer import Progress


def add_parser(subparsers: Any) -> None:
    """Add the command to `mono-depth`."""
    parser = subparsers.add_parser(
        "train",
        help="train a network from a recipe",
        description="Train a network from a recipe. The images it needs are rendered first (and kept); both parts may "
        "be interrupted with Ctrl-C and go on with --resume.",
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.yaml", help="for example config/train/street_tiny.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="fields of the recipe, e.g. max_minutes=10")
    parser.add_argument("--out", type=Path, help="folder for checkpoints and curves (default: out/train/NAME)")
    parser.add_argument("--data", type=Path, default=Path("out/train/data"), help="folder of rendered images")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; 0 when trained to the end."""
    from mono_depth_ros.datasets.synthetic_dataset import prepare
    from mono_depth_ros.errors import ConfigError
    from mono_depth_ros.training.config import read_recipe
    from mono_depth_ros.training.trainer import LAST, train

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill saves a checkpoint, as Ctrl-C does
    config = read_recipe(args.recipe, args.overrides)
    out = args.out or Path("out/train") / config.name
    if not args.resume and (out / LAST).exists():
        raise ConfigError(f"{out / LAST} exists; go on with --resume, or train into another folder with --out")
    bar = _Bar()
    with bar:
        for done, total in prepare(config.data, args.data, config.render_workers):
            bar.show("render", done / total, f"{done}/{total} shards of {config.data.shard_images} images")
        checkpoint = train(config, args.data, out, args.resume, bar.training)
    print(f"wrote {checkpoint}; next: mono-depth export {checkpoint} --out models/{config.name}")
    return 0


class _Bar:
    """A rich progress bar on a terminal, and a plain line now and then elsewhere."""

    def __init__(self, line_every_s: float = 15.0) -> None:
        self._line_every_s = line_every_s
        self._last_line = -line_every_s
        self._rich: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "_Bar":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description:>8}"),
                BarColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
            )
            self._rich = Progress(*columns, console=Console(stderr=True))
            self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._rich is not None:
            self._rich.stop()

    def show(self, task: str, share: float, note: str) -> None:
        """Show how far a task is."""
        if self._rich is not None:
            if task not in self._tasks:
                self._tasks[task] = self._rich.add_task(task, total=1.0, note="")
            self._rich.update(self._tasks[task], completed=share, note=note)
        elif share >= 1.0 or time.monotonic() - self._last_line >= self._line_every_s:
            self._last_line = time.monotonic()
            print(f"{task} {100 * share:5.1f} %  {note}", file=sys.stderr, flush=True)

    def training(self, progress: "Progress") -> None:
        """Show a training step."""
        terms = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        note = f"step {progress.step} {terms} rate {progress.rate:.1e} left {progress.left_s / 60:.0f} min"
        if progress.scores is not None:
            scores = progress.scores
            note += (
                f" | AbsRel street prediction {scores.street_prediction:.3f} 4 beams {scores.street_4_beams:.3f} "
                f"32 {scores.street_32_beams:.3f} chaos 4 {scores.chaos_4_beams:.3f} 32 {scores.chaos_32_beams:.3f}"
            )
        self.show("train", progress.share, note)
