# SPDX-License-Identifier: Apache-2.0
import pytest

from mono_depth_ros.cli.main import build_parser, main

COMMANDS = (
    "demo",
    "simulate",
    "replay",
    "evaluate",
    "dropout-curve",
    "train",
    "export",
    "import-checkpoint",
    "contract",
    "doctor",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "mono-depth " + command in shown and len(shown.splitlines()) > 10


def test_an_error_is_one_line_and_exit_code_1(capsys, tmp_path):
    assert main(["export", str(tmp_path / "absent.ckpt"), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("mono-depth export: ") and "absent.ckpt" in captured.err
    assert "Traceback" not in captured.err


def test_an_unknown_command_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fly"])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert all(command in shown for command in COMMANDS)


def test_the_readme_names_only_commands_and_targets_that_exist(repository):
    import re
    import shlex

    text = (repository / "README.md").read_text()
    makefile = (repository / "Makefile").read_text()
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    for target in re.findall(r"^make (\w+)", blocks, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    commands = [line.split("#")[0] for line in blocks.splitlines() if line.startswith("mono-depth ")]
    assert commands
    for command in commands:
        build_parser().parse_args(shlex.split(command)[1:])
    for name in re.findall(r"ros2 launch mono_depth_ros (\S+)", blocks):
        assert (repository / "launch" / name).is_file(), name
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (repository / link).exists(), link
