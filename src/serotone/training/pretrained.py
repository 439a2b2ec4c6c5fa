"""Pretrained weights for a recipe's encoder: a file, a folder, or a name on the Hugging Face hub.

Only safetensors files are read, never a pickle. What was loaded, its digest and its licence are kept in the run folder.
A bundle carries the weights that came of it, so that nothing is looked for again when it is loaded.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from serotone.errors import WeightsError
from serotone.files import cache, expanded
from serotone.modeling.encoders import Encoder
from serotone.names import first_few
from serotone.recipes.parts import Weights
from serotone.training.download import digest, download

FILE = "model.safetensors"
HUB = "https://huggingface.co"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an encoder's weights came from."""

    source: str
    sha256: str
    licence: str

    def to_dict(self) -> dict[str, str]:
        """As it is kept in a run folder's ``weights.json``, and stands in a card."""
        return asdict(self)


def load_pretrained(encoder: Encoder, weights: Weights) -> Loaded:
    """Fill an encoder with a checkpoint's weights of the same names; what else the checkpoint holds is left alone.

    Raises:
        WeightsError: The file is missing, damaged, another than ``weights.sha256``, or does not fit the encoder.
    """
    path = locate(weights)
    sha256 = digest(path)
    if weights.sha256 not in (None, sha256):
        raise WeightsError(
            f"{path}: its SHA-256 is {sha256}, but weights.sha256 is {weights.sha256}; fetch the file again, or correct"
            " weights.sha256"
        )
    _fill(encoder, path)
    return Loaded(weights.source, sha256, weights.licence)


def locate(weights: Weights) -> Path:
    """The safetensors file that ``weights.source`` names, downloaded where it must be.

    Raises:
        WeightsError: There is none.
    """
    path = expanded(weights.source)
    if path.is_dir():
        path = path / FILE
    if path.is_file():
        if path.suffix != ".safetensors":
            raise WeightsError(f"{path}: expected a .safetensors file; other formats can run code, and are not read")
        return path
    if path.suffix == ".safetensors" or not HUB_NAME.fullmatch(weights.source):
        raise WeightsError(
            f"{weights.source}: no such file; weights.source is a .safetensors file, a folder with {FILE}, or a name on"
            " the hub such as openai/whisper-base"
        )
    target = cache() / "weights" / weights.source / weights.revision.replace("/", "_") / FILE
    if not target.is_file():
        hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
        download(
            f"{hub}/{weights.source}/resolve/{weights.revision}/{FILE}",
            target,
            sha256=weights.sha256,
            remedy=f"set weights.source to the path of a {FILE} of {weights.source}",
        )
    return target


def _fill(encoder: Encoder, path: Path) -> None:
    expected = encoder.state_dict()
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            _check_heads(encoder, path, file.metadata() or {})
            names = dict(zip(expected, _names_in(path, encoder, list(file.keys())), strict=True))
            for name, tensor in expected.items():
                value = file.get_tensor(names[name])
                if value.shape != tensor.shape:
                    raise WeightsError(
                        f"{path}: {names[name]} is {tuple(value.shape)}, and the recipe's encoder has"
                        f" {tuple(tensor.shape)}; set the encoder's options, or the frontend's bands, to match"
                    )
                tensor.copy_(value)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a complete safetensors file: {error}; download it again") from None


def _names_in(path: Path, encoder: Encoder, names: list[str]) -> list[str]:
    """The encoder's tensors by their names in the file, which has a prefix or none."""
    wanted = list(encoder.state_dict())
    known = set(names)

    def named(prefix: str, name: str) -> str:
        others = (name.removesuffix(ending) + other for ending, other in encoder.aliases if name.endswith(ending))
        return next((prefix + other for other in others if prefix + other in known), prefix + name)

    candidates = [[named(prefix, name) for name in wanted] for prefix in ("", *encoder.options_type.prefixes)]
    best = max(candidates, key=lambda candidate: len(known & set(candidate)))
    missing = [name for name in best if name not in known]
    if missing:
        raise WeightsError(
            f"{path}: has no {first_few(missing, 1)}, which the recipe's"
            " encoder needs; is it a checkpoint of this encoder, and has it as many layers as encoder.layers asks for?"
        )
    return best


def _check_heads(encoder: Encoder, path: Path, metadata: Mapping[str, str]) -> None:
    """No shape shows the number of heads; where the file says it, it must be the recipe's."""
    told = metadata.get("encoder_attention_heads")
    heads = getattr(encoder, "heads", None)
    if told is not None and heads is not None and int(told) != heads:
        raise WeightsError(f"{path}: has {told} attention heads; the recipe says encoder.heads {heads}")
