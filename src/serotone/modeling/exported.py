"""The form of a module that an ONNX graph can hold, made as a copy."""

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def exported(module: Module) -> Module:
    """A copy in which every part that has two forms takes the one for a graph.

    A part says so by its attribute ``exported``: the clips of a batch are then as long as the batch, and nothing lies
    beyond them. A frontend's DFT becomes a matrix product as well.
    """
    whole = copy.deepcopy(module)
    for part in whole.modules():
        if hasattr(part, "exported"):
            part.exported = True  # type: ignore[assignment]
        if hasattr(part, "engine"):
            part.engine = "matmul"  # type: ignore[assignment]
    return whole
