# SPDX-License-Identifier: Apache-2.0
"""`mono-depth import-checkpoint`: weights of the original PackNet release become one of our checkpoints."""

import argparse
from pathlib import Path

_DESCRIPTION = """\
Read a checkpoint of the original PackNet release (PackNetSAN01, PackNet01, PoseNet) and write OUT/checkpoint.pt, which
`mono-depth export` turns into a model for the robot. The file is a Python pickle from the internet: it is read by
allow-list, nothing in it is run, and whatever is not a tensor, a plain value or the configuration of that release is
refused by name.

Nothing is downloaded. docs/original_checkpoints.md names the official files.
"""

_EPILOG = """\
examples:
  mono-depth import-checkpoint PackNetSAN01_HR_sup_K.ckpt --out models/packnet_san_kitti
  mono-depth export models/packnet_san_kitti/checkpoint.pt --out models/packnet_san_kitti

  # the same weights at a smaller size, for a slower computer (multiples of 32):
  mono-depth export models/packnet_san_kitti/checkpoint.pt --out models/packnet_san_small --height 192 --width 640
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of this command."""
    parser = subparsers.add_parser(
        "import-checkpoint",
        help="read a checkpoint of the original PackNet release, without running code from it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help=".ckpt or .pth.tar file of the original release")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint.pt, for example models/NAME")
    parser.add_argument("--name", help="name of the model (default: name of the folder)")
    parser.add_argument("--height", type=int, help="rows of the training images (default: as embedded in the file)")
    parser.add_argument("--width", type=int, help="columns of the training images (default: as embedded in the file)")
    parser.add_argument(
        "--trained-fx",
        type=float,
        metavar="PX",
        help="focal length of the training camera at the training image size, so that other cameras are corrected for",
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--metric",
        action="store_const",
        const=True,
        default=None,
        help="its predictions are in metres (default: as embedded in the file: trained with speed or LiDAR)",
    )
    scale.add_argument(
        "--relative", dest="metric", action="store_const", const=False, help="its predictions lack a common scale"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Import one file."""
    from mono_depth_ros.errors import ConfigError
    from mono_depth_ros.training.checkpoint import save_checkpoint
    from mono_depth_ros.training.original_checkpoint import describe, read_original_checkpoint

    if (args.height is None) != (args.width is None):
        raise ConfigError("--height and --width: expected both or neither")
    if args.trained_fx is not None and not args.trained_fx > 0:
        raise ConfigError(f"--trained-fx: expected pixels > 0, got {args.trained_fx}")
    original = read_original_checkpoint(args.file)
    size_px = None if args.height is None else (args.height, args.width)
    name = args.name or args.out.resolve().name
    metadata = describe(original, args.file, name, size_px, args.metric, args.trained_fx)
    path = args.out / "checkpoint.pt"
    save_checkpoint(path, metadata, depth=original.depth, pose=original.pose)
    parts = original.network if original.depth is None or original.pose is None else f"{original.network} and PoseNet"
    scale = "metric" if metadata.metric else "no common scale"
    print(f"{path}: {parts}, {metadata.height_px}x{metadata.width_px}, up to {metadata.max_depth_m:g} m, {scale}")
    if original.depth is not None:
        print(f"next: mono-depth export {path} --out {args.out}")
    return 0
