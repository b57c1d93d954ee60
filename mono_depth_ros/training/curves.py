# SPDX-License-Identifier: Apache-2.0
"""What a run leaves to be looked at: TensorBoard curves and pictures, and the same numbers as lines of JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from mono_depth_ros.training.batches import Batch
from mono_depth_ros.training.model import Outputs
from mono_depth_ros.training.validation import DriveScores, Scores
from mono_depth_ros.whole_file import write_whole

HISTORY = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step, max_steps: steps done and planned.
        share: of the run that is done, 0..1; by steps or minutes, whichever is nearer the end.
        elapsed_s, left_s: time spent in training, time left as far as can be told.
        steps_per_s: over the last steps.
        losses: each term, mean over the last steps.
        ratio: median of depth / measured depth at the points of the last steps; NaN without points.
        rate: learning rate.
        scores: of the last validation, None before the first.
    """

    step: int
    max_steps: int
    share: float
    elapsed_s: float
    left_s: float
    steps_per_s: float
    losses: dict[str, float]
    ratio: float
    rate: float
    scores: Scores | DriveScores | None


class Curves:
    """Writes curves below a folder; TensorBoard's only where tensorboard is installed."""

    def __init__(self, out: Path, step: int) -> None:
        """Open, and forget what was written after `step`: a resumed run writes it again."""
        self._path = out / HISTORY
        kept = [line for line in read_history(out) if line["step"] <= step] if step else []
        write_whole(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._lines = open(self._path, "a", encoding="utf-8")  # noqa: SIM115
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(out / "curves"), purge_step=step + 1)

    def log(self, progress: Progress) -> None:
        """Write the numbers of a step."""
        scores = {} if progress.scores is None else progress.scores.to_dict()
        line = {
            "step": progress.step,
            "elapsed_s": round(progress.elapsed_s, 3),
            "rate": progress.rate,
            "ratio": progress.ratio,
            "losses": progress.losses,
            "scores": scores,
        }
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        if self._board is None:
            return
        values = {**progress.losses, "rate": progress.rate, **{f"val_{name}": value for name, value in scores.items()}}
        if np.isfinite(progress.ratio):
            values["ratio_at_points"] = progress.ratio
        for name, value in values.items():
            self._board.add_scalar(name, value, progress.step)

    def show(self, batch: Batch, outputs: Outputs, step: int) -> None:
        """Write pictures of a batch's first image."""
        if self._board is not None:
            self._board.add_image("image, prediction, completion, truth or points", panel(batch, outputs), step)

    def close(self) -> None:
        """Finish the files."""
        self._lines.close()
        if self._board is not None:
            self._board.close()


def read_history(out: Path) -> list[dict[str, Any]]:
    """The lines of a run's history, in order; a last line that was cut off is left out."""
    path = out / HISTORY
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def panel(batch: Batch, outputs: Outputs) -> npt.NDArray[np.uint8]:
    """uint8 [3, rows, W]: image, inverse depths of the modes and what supervises, one above the other."""
    image = (batch.rgb[0].detach().cpu().numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
    rows = [image]
    for inv_depths in (outputs.predicted, outputs.completed):
        if inv_depths is not None:
            rows.append(_coloured(inv_depths[0][0, 0]))
    rows.append(_coloured(1.0 / batch.truth_depth_m[0, 0]))
    return np.ascontiguousarray(np.concatenate(rows, axis=0).transpose(2, 0, 1))


def _coloured(inv_depth: Tensor) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]; near is bright, unknown black."""
    values = inv_depth.detach().float().cpu().numpy()
    known = np.isfinite(values)
    top = float(np.quantile(values[known], 0.98)) if known.any() else 1.0
    scaled = np.clip(np.where(known, values, 0.0) / max(top, 1e-6), 0.0, 1.0)
    picture = cv2.applyColorMap((255 * scaled).astype(np.uint8), cv2.COLORMAP_MAGMA)[..., ::-1].copy()
    picture[~known] = 0
    return np.asarray(picture)
