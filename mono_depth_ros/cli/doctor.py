# SPDX-License-Identifier: Apache-2.0
"""`mono-depth doctor`: looks at a running graph and says in plain words why there is no depth."""

import argparse
from typing import TYPE_CHECKING, Any

from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.ros.doctor.findings import Finding

_EPILOG = """\
examples:
  mono-depth doctor
  mono-depth doctor --node /front/depth_node --seconds 10
  ROS_DOMAIN_ID=5 mono-depth doctor

Needs ROS 2 and the built package (`make build && . install/setup.bash`). Exit code: 0 when every depth node gives
depth, 1 when one does not, or there is none.
"""
_STYLES = {"ERROR": "bold red", "WARNING": "yellow", "NOTE": "cyan", "GOOD": "green"}


def add_parser(subparsers: Any) -> None:
    """Adds the command to `mono-depth`."""
    parser = subparsers.add_parser(
        "doctor",
        help="why there is no depth: looks at the running ROS graph",
        description="Listens for a few seconds to what the running depth nodes listen to, asks them, and says in plain "
        "words what is wrong and what to do: topics that nobody publishes, quality of service that does not fit, "
        "missing transforms, stamps that do not belong together, calibration, clock, model, provider.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--node", metavar="NAME", help="full name of one node (default: all depth nodes)")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to listen (default: %(default)s)")
    parser.add_argument(
        "--ros-args", nargs=argparse.REMAINDER, default=[], metavar="...", help="the rest goes to ROS, such as -r or -p"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when there is depth, 1 when there is not."""
    if not 0 < args.seconds <= 600:
        raise ConfigError(f"--seconds: expected more than 0 and at most 600, got {args.seconds}")
    import rclpy
    from rich.console import Console

    from mono_depth_ros.ros.doctor.collector import DoctorCollector
    from mono_depth_ros.ros.doctor.diagnosis import diagnose, gives_depth

    console = Console(highlight=False, soft_wrap=True)
    rclpy.init(args=["--ros-args", *args.ros_args] if args.ros_args else [])
    node = args.node if args.node is None or args.node.startswith("/") else f"/{args.node}"
    collector = DoctorCollector(only=node)
    try:
        with console.status(f"listening for {args.seconds:g} s"):
            facts = collector.look(args.seconds)
    finally:
        collector.close()
        rclpy.try_shutdown()
    findings = diagnose(facts)
    for name, found in findings.items():
        console.print(f"[bold]{name or 'no depth node'}[/bold]", markup=True)
        for finding in found:
            _print(console, finding)
    return 0 if gives_depth(findings) else 1


def _print(console: Any, finding: "Finding") -> None:
    from rich.text import Text

    style = _STYLES[finding.severity.name]
    console.print(Text.assemble((f"  {finding.severity.name:8}", style), finding.what, (f"  [{finding.name}]", "dim")))
    if finding.why:
        console.print(Text(f"          {finding.why}"))
    if finding.to_do:
        console.print(Text.assemble(("       -> ", "bold"), finding.to_do))
