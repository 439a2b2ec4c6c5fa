"""What torch's GRU computes, by hand: crnn was published with another one (trap 15 of the specification)."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from serotone.modeling.recurrence import recur

STEPS, WIDTH, HIDDEN = 5, 4, 3


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def by_hand(gru: torch.nn.GRU, steps: NDArray[np.float64], *, reset_after: bool) -> NDArray[np.float64]:
    """States (T, H) of one direction over steps (T, F); the reset gate acts on U h + b, or on h alone."""
    parts = (np.split(parameter.numpy(force=True), 3) for parameter in gru.parameters())
    (w_r, w_z, w_n), (u_r, u_z, u_n), (b_r, b_z, b_n), (c_r, c_z, c_n) = parts
    state, states = np.zeros(HIDDEN), []
    for x in steps:
        reset = sigmoid(w_r @ x + b_r + u_r @ state + c_r)
        update = sigmoid(w_z @ x + b_z + u_z @ state + c_z)
        recalled = reset * (u_n @ state + c_n) if reset_after else u_n @ (reset * state) + c_n
        state = (1 - update) * np.tanh(w_n @ x + b_n + recalled) + update * state
        states.append(state)
    return np.stack(states)


@pytest.mark.parametrize("packed", [True, False])
def test_the_reset_gate_acts_after_the_matrix_product_and_not_before(packed: bool) -> None:
    torch.manual_seed(0)
    gru = torch.nn.GRU(WIDTH, HIDDEN, batch_first=True)
    steps = torch.randn(1, STEPS, WIDTH)
    with torch.no_grad():
        states = recur(gru, steps, torch.tensor([STEPS]), packed=packed)[0].numpy()
    np.testing.assert_allclose(states, by_hand(gru, steps[0].double().numpy(), reset_after=True), atol=1e-6)
    assert np.abs(states - by_hand(gru, steps[0].double().numpy(), reset_after=False)).max() > 0.01
