from typing import Any

import pytest
import torch

from retrieval.encoders.networks.precision import in_halves


@pytest.mark.parametrize(
    ("capabilities", "native"), [({"amx_bf16": True}, True), ({"avx512_bf16": True}, False)]
)
def test_halves_are_for_processors_that_multiply_in_them(
    capabilities: Any, native: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert in_halves("auto") is native
    assert in_halves("bfloat16")
    assert not in_halves("float32")


def test_a_torch_that_cannot_tell_computes_in_whole_numbers_of_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)

    assert not in_halves("auto")
