# SPDX-License-Identifier: Apache-2.0
"""Files that people take for checkpoints, given to `mono-depth import-checkpoint`: refused in a sentence."""

import argparse
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from street_recording import command

torch: Any = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 99000000\n"
WEIGHT = {"a.weight": torch.zeros(3)}


def saved(content: object, **options: object) -> bytes:
    """What torch.save writes."""
    import io

    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def scripted() -> bytes:
    """A TorchScript archive."""
    import io

    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(Twice(), torch.zeros(1)), file)
    return file.getvalue()


# What is in the file, and a pattern of what has to be told.
FILES = {
    "a pointer of Git LFS": (POINTER.encode, "git lfs"),
    "a web page": (b"<!DOCTYPE html><html><title>Sign in</title></html>".strip, "web page"),
    "nothing": (bytes, "empty"),
    "the encoder of another network": (
        lambda: saved({"encoder.conv1.weight": torch.zeros(64, 3, 7, 7), "height": 192, "use_stereo": False}),
        "state_dict.*got entries",
    ),
    "unknown names of DataParallel": (
        lambda: saved({"state_dict": {"module.model.depth_net.foo.weight": torch.zeros(3)}}), "do not fit: missing",
    ),
    "no weights": (lambda: saved({"state_dict": OrderedDict(), "epoch": 3}), "state_dict.*got entries"),
    "arguments beside the weights": (
        lambda: saved({"state_dict": WEIGHT, "hyper_parameters": argparse.Namespace(lr=1)}), "argparse.Namespace",
    ),
    "a whole module": (lambda: saved(torch.nn.Conv2d(3, 3, 1)), "Conv2d"),
    "the format of old torch": (
        lambda: saved({"state_dict": WEIGHT}, _use_new_zipfile_serialization=False), "do not fit: missing",
    ),
    "TorchScript": (scripted, "torch file"),
    "a plain pickle": (lambda: pickle.dumps({"state_dict": {}}, protocol=2), "not a torch checkpoint"),
}  # fmt: skip


def imported(capsys: pytest.CaptureFixture[str], file: Path) -> str:
    """What the command says of a file that it refuses."""
    exit_code, told = command(capsys, "import-checkpoint", str(file), "--out", str(file.parent / "model"))
    assert exit_code == 1
    assert told.startswith("mono-depth import-checkpoint: ") and file.name in told and "Traceback" not in told
    assert not (file.parent / "model/checkpoint.pt").exists()
    return told


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_checkpoint_is_refused_in_a_sentence(name, tmp_path, capsys):
    content, pattern = FILES[name]
    (tmp_path / "net.ckpt").write_bytes(content())
    told = imported(capsys, tmp_path / "net.ckpt")
    assert re.search(pattern, told, re.IGNORECASE), told


def test_a_folder_is_no_checkpoint(tmp_path, capsys):
    (tmp_path / "net.ckpt").mkdir()
    assert "folder" in imported(capsys, tmp_path / "net.ckpt")
