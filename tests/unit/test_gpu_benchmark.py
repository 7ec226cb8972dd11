"""The measurement of steps on a GPU, tried on a CPU with a shape that costs nothing: every line of it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gpu
from speed.random_models import SHAPES, config_of, write_folder

from ig_guardrail.errors import RequestError

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_steps_of_the_transformers_engine_are_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "LENGTHS", (40,))
    monkeypatch.setattr(gpu, "TOKENS", 4)
    monkeypatch.setattr(gpu, "WIDTHS", (1, 8))
    given = ["--device", "cpu", "--engine", "transformers", "--shape", "tiny", "--pairs", "1", "--out", str(tmp_path)]
    assert gpu.main(given) == 0
    told = json.loads((tmp_path / "gpu.json").read_text())
    found = {one["name"]: one["value"] for one in told["figures"]}
    assert set(found) == {
        *(f"gpu-transformers-tiny-40-{what}" for what in ("plain", "1", "8", "1-memory", "8-memory")),
        "gpu-transformers-tiny-opened-memory",
    }
    assert all(value > 0 for value in found.values())


def test_no_part_is_begun_when_the_time_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--device", "cpu", "--engine", "vllm", "--shape", "8B", "--minutes", "-1", "--out", str(tmp_path)]
    assert gpu.main(given) == 0
    assert capsys.readouterr().out == "left out, since the time is over: 8B in vllm\n"


def test_a_machine_without_a_gpu_is_told_so() -> None:
    with pytest.raises(RequestError, match="no GPU that torch can use"):
        gpu.main([])


@pytest.mark.parametrize("shape", ["tiny", "8B"])
def test_a_folder_without_weights_holds_what_vllm_asks_for(shape: str, tmp_path: Path) -> None:
    write_folder(shape, tmp_path)
    assert {"config.json", "model.safetensors", "tokenizer_config.json"} <= {one.name for one in tmp_path.iterdir()}
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) < 8 << 20
    told = json.loads((tmp_path / "config.json").read_text())
    assert (told["hidden_size"], told["architectures"]) == (SHAPES[shape][0], ["LlamaForCausalLM"])
    assert config_of(shape, 100).vocab_size == 100
