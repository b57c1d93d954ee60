# SPDX-License-Identifier: Apache-2.0
import json

import pytest
from dial_model import write_model

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.inference.contract import load_contract, save_contract


def edit(model_dir, **changes):
    path = model_dir / "model.json"
    fields = json.loads(path.read_text())
    fields.update(changes)
    path.write_text(json.dumps({name: value for name, value in fields.items() if value != "delete"}))


def test_a_contract_survives_writing_and_reading(tmp_path):
    contract = load_contract(write_model(tmp_path / "a", trained_fx_px=55.5))
    (tmp_path / "b").mkdir()
    save_contract(contract, tmp_path / "b")
    assert load_contract(tmp_path / "b") == contract
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["model.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height_px": 0}, "height_px: expected 1..8192, got 0"),
        ({"height_px": True}, "height_px: expected a whole number, got True"),
        ({"width_px": "64"}, "width_px: expected a whole number"),
        ({"schema_version": 2}, "schema_version: expected 1, got 2"),
        ({"kind": "metric"}, "kind: expected one of dial, metric_depth, relative_inverse_depth"),
        ({"trained_fx_px": -1.0}, "trained_fx_px: expected > 0"),
        ({"max_depth_m": 0.05}, "depth limits"),
        ({"onnx_sha256": "abc"}, "onnx_sha256: expected 64"),
        ({"shape": 3}, "unknown field 'shape'"),
        ({"metric": "delete"}, "missing field 'metric'"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(tmp_path, changes, message):
    model_dir = write_model(tmp_path)
    edit(model_dir, **changes)
    with pytest.raises(ModelContractError, match=message):
        load_contract(model_dir)


def test_all_wrong_fields_are_named_at_once(tmp_path):
    model_dir = write_model(tmp_path)
    edit(model_dir, height_px=0, schema_version=7)
    with pytest.raises(ModelContractError, match=r"schema_version.*height_px"):
        load_contract(model_dir)


@pytest.mark.parametrize("text", ["", "[1]", "{", "nonsense"])
def test_a_file_that_is_no_contract_is_refused(tmp_path, text):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelContractError, match=r"model\.json"):
        load_contract(tmp_path)


def test_a_missing_contract_says_how_to_write_one(tmp_path):
    with pytest.raises(ModelContractError, match="mono-depth export"):
        load_contract(tmp_path)
