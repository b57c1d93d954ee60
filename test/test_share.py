# SPDX-License-Identifier: Apache-2.0
"""Names of models: a shipped model is found whatever lies in the current folder."""

from pathlib import Path

import pytest

from mono_depth_ros import share
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.share import model_path


def test_a_drive_of_the_same_name_does_not_hide_a_shipped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = model_path("street")  # in the source tree, or installed
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street").mkdir()
    assert model_path("street") == shipped
    assert (shipped / "model.onnx").is_file()


def test_a_model_in_the_current_folder_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street").mkdir()
    (tmp_path / "street" / "model.json").write_text("{}")
    assert model_path("street") == Path("street")


def test_a_folder_that_is_no_model_and_no_name_is_given_back_for_its_reader_to_refuse(tmp_path: Path) -> None:
    assert model_path(str(tmp_path)) == tmp_path
    with pytest.raises(ConfigError, match="absent_model"):
        model_path("absent_model")


@pytest.mark.parametrize("packages", ["lib/python3.12/site-packages", "local/lib/python3.12/dist-packages", ""])
def test_a_shipped_model_is_found_wherever_pip_puts_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: str
) -> None:
    prefix = tmp_path / packages.partition("lib/")[0]
    model = prefix / "share/mono_depth_ros/models/pip_model"
    model.mkdir(parents=True)
    monkeypatch.setattr(share, "__file__", str(tmp_path / packages / "mono_depth_ros/share.py"))
    assert model_path("pip_model") == model.resolve()
