"""Heads: from angles and by hand."""

import math

import pytest
import torch
from torch.nn import functional

from made_parts import made_head
from serotone.modeling.heads import HEADS, CosineHead, FeatureHead, LinearHead


def test_cosine_logits_from_angles() -> None:
    head = made_head(CosineHead, 2, 3, scale=30.0)
    with torch.no_grad():
        # Classes at 0, 90 and 180 degrees, of lengths 1, 2 and 5.
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-5.0, 0.0]]))
    vector = 7 * torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]])  # at 30 degrees, of length 7
    logits, embedding = head(vector)
    assert logits[0].tolist() == pytest.approx([30 * math.sqrt(3) / 2, 15.0, -30 * math.sqrt(3) / 2], rel=1e-5)
    assert torch.equal(embedding, vector)  # as it came: no ReLU, no normalisation


def test_cosine_logits_are_torchs_cosine_similarity() -> None:
    head, vectors = made_head(CosineHead, 5, 4), torch.randn(6, 5) * 3
    expected = 10 * functional.cosine_similarity(vectors[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(vectors)[0], expected)


def test_cosine_logits_ignore_lengths_and_keep_signs() -> None:
    head, vectors = made_head(CosineHead, 5, 4), torch.randn(6, 5)
    logits = head(vectors)[0]
    torch.testing.assert_close(head(1000 * vectors)[0], logits)
    torch.testing.assert_close(head(-vectors)[0], -logits)
    assert logits.abs().max() <= 10.0


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-7])
def test_a_vector_of_nothing_has_finite_logits_and_gradients(length: float) -> None:
    head = made_head(CosineHead, 3, 4)
    vectors = (length * torch.ones(2, 3)).requires_grad_()
    logits = head(vectors)[0]
    logits.sum().backward()
    assert logits.isfinite().all()
    assert vectors.grad.isfinite().all()
    assert head.weight.grad.isfinite().all()
    if length == 0.0:
        assert logits.abs().max() == 0.0


def test_cosine_head_has_no_bias_and_refuses_a_scale_of_0() -> None:
    assert {name: tuple(p.shape) for name, p in made_head(CosineHead, 5, 4).named_parameters()} == {"weight": (4, 5)}
    with pytest.raises(ValueError, match="scale is 0; expected more than 0"):
        made_head(CosineHead, 5, 4, scale=0)


def test_cosine_logits_are_not_rounded_by_mixed_precision() -> None:
    head, vectors = made_head(CosineHead, 5, 4), torch.randn(6, 5)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(vectors)[0]
    assert torch.equal(logits, head(vectors)[0])


def test_linear_head_by_hand() -> None:
    head = made_head(LinearHead, 2, 3)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]))
        head.classifier.bias.copy_(torch.tensor([0.0, 10.0, 100.0]))
    logits, embedding = head(torch.tensor([[2.0, 3.0]]))
    assert logits.tolist() == [[2.0, 13.0, 99.0]]
    assert embedding.tolist() == [[2.0, 3.0]]


def test_feature_head_by_hand() -> None:
    head = made_head(FeatureHead, 1, 2, features=2)
    with torch.no_grad():
        head.feature.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        head.feature.bias.zero_()
        head.activation.weight.copy_(torch.tensor([0.0, 0.5]))  # one slope per unit
        head.classifier.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 2.0]]))
        head.classifier.bias.copy_(torch.tensor([0.0, 7.0]))
    logits, embedding = head(torch.tensor([[4.0]]))
    assert embedding.tolist() == [[4.0, -2.0]]
    assert logits.tolist() == [[4.0, 7.0]]


@pytest.mark.parametrize("name", sorted(HEADS))
def test_embedding_is_as_wide_as_announced_and_every_parameter_learns(name: str) -> None:
    torch.manual_seed(2)
    head = made_head(HEADS[name], 6, 4)
    vectors = torch.randn(5, 6, requires_grad=True)
    logits, embedding = head(vectors)
    assert logits.shape == (5, 4)
    assert embedding.shape == (5, head.num_embedding)
    (logits.square().sum() + embedding.square().sum()).backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in (vectors, *head.parameters()))
