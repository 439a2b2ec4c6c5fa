"""Weights as they are validated, tested and exported: averaged over steps, batch norm's statistics taken anew."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from serotone.modeling.system import System
from serotone.training.data import Batch


class Average:
    """An exponential moving average of a system's trained parameters.

    After step k, counted from 0, average <- d average + (1 - d) parameter with d = min(decay, (1 + k) / (10 + k)): the
    first steps are forgotten soon (as in Abadi et al., TensorFlow, 2016). Sums are kept in the parameters' precision.
    """

    def __init__(self, system: System, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in system.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, system: System, step: int) -> None:
        """Take a step's parameters in."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in system.named_parameters():
            if name in self.values:
                mine = self.values[name].to(parameter.device)  # a checkpoint brings them back on the CPU
                self.values[name] = mine.lerp_(parameter.detach(), 1.0 - decay)


@contextmanager
def counted(
    system: System, *, average: Average | None, batches: Iterable[Batch] | None, device: torch.device
) -> Iterator[None]:
    """The system with the weights that count; its training weights and statistics come back afterwards.

    Args:
        system: In any mode, which it keeps.
        average: Whose parameters it takes; None leaves its own.
        batches: The training part, to take batch norm's statistics of; None leaves the running ones.
        device: Where the system is.
    """
    before = {name: value.detach().clone() for name, value in system.state_dict().items()}
    if average is not None:
        system.load_state_dict(average.values, strict=False)
    if batches is not None:
        take_statistics(system, batches, device=device)
    try:
        yield
    finally:
        system.load_state_dict(before)


@torch.no_grad()
def take_statistics(system: System, batches: Iterable[Batch], *, device: torch.device) -> None:
    """Set batch norm's means and variances to the mean over batches of those of each batch; nothing else changes.

    Dropout is off meanwhile, and no random number is drawn. Batch norm of a part that is frozen keeps its own.
    """
    trained = [
        module
        for module in system.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and any(p.requires_grad for p in module.parameters())
    ]
    if not trained:
        return
    modes = {module: module.training for module in system.modules()}
    momenta = {norm: norm.momentum for norm in trained}
    system.eval()
    for norm in trained:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
        norm.train()
    with torch.random.fork_rng(devices=[]):  # a loader draws a seed for workers that it does not have
        for batch in batches:
            system(batch.waveforms.to(device), batch.lengths.to(device))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    for module, mode in modes.items():
        module.training = mode


def tensors(system: System) -> dict[str, Tensor]:
    """A copy of the system's state as it stands."""
    return {name: value.clone() for name, value in system.state_dict().items()}
