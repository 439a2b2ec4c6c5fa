"""Every tensor is made where its module is: a system on the device "meta", with every operation watched."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from serotone.modeling.system import WholeClips
from serotone.training.objective import Objective
from test_system import SHAPES, SYSTEMS, system_of


class OneDevice(TorchDispatchMode):
    """Refuses an operation over tensors of two devices, as a GPU would; a number on the CPU may go with any."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        devices = {tensor.device.type for tensor in tensors if tensor.ndim or tensor.device.type != "cpu"}
        assert len(devices) <= 1, f"{func} over tensors on {' and '.join(sorted(devices))}"
        return func(*args, **(kwargs or {}))


def test_the_watch_sees_what_a_gpu_would_refuse() -> None:
    with OneDevice(), pytest.raises(AssertionError, match="over tensors on cpu and meta"):
        torch.ones(3, 4, device="meta").gather(1, torch.zeros(3, 1, dtype=torch.int64))


@pytest.mark.parametrize("name", SHAPES)
def test_a_system_runs_where_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which "meta" does not have
    system = system_of(name)
    # The exported form, as it never asks for a value; the frontend and what follows the encoder in their own as well.
    whole = WholeClips(system).to("meta")
    waveforms, lengths = torch.empty(2, 50_000, device="meta"), torch.empty(2, dtype=torch.int64, device="meta")
    with OneDevice():
        logits, probabilities, embedding = whole(waveforms)
        objective = Objective(
            SYSTEMS[name], system, labels=("angry", "happy", "neutral", "sad"), counts=(1, 2, 3, 4), longest=9
        )
        targets = torch.empty(2, dtype=torch.int64, device="meta")
        if SYSTEMS[name].loss.alpha is None or isinstance(SYSTEMS[name].loss.alpha, str):
            assert objective.to("meta")(logits, embedding, targets, lengths, step=0).device.type == "meta"
        assert {answer.device.type for answer in (logits, probabilities, embedding)} == {"meta"}
        system.to("meta")
        frames, counts = system.frontend(waveforms, lengths)
        system.standardiser(frames, counts)
        states = torch.empty(2, 9, system.encoder.num_outputs, device="meta")
        system.head(system.pooling(states, torch.empty(2, dtype=torch.int64, device="meta")))
