"""The loss against reciting: its value by definition, its gradient by differences, and that training with it works."""

from __future__ import annotations

import torch

from ig_guardrail.learn.unlikelihood import token_weights, unlikelihood
from ig_guardrail.types import Prompt
from tests.unit.costs.provenance.corpora import cost, indexed

PROMPT = Prompt((), ())
SECRET = list(range(10, 24))


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    return logits, torch.tensor([0, 4, 2, 2]), torch.tensor([0.0, 0.5, 1.0, 0.25], dtype=torch.float64)


def test_it_is_the_weighed_surprise_of_anything_else() -> None:
    logits, ids, weights = example()
    chosen = logits.softmax(-1)[range(4), ids]
    torch.testing.assert_close(unlikelihood(logits, ids, weights), -(weights * torch.log(1 - chosen)).sum())


def test_its_gradient_is_that_of_finite_differences() -> None:
    logits, ids, weights = example()
    assert torch.autograd.gradcheck(lambda x: unlikelihood(x, ids, weights), logits.requires_grad_())


def test_it_is_finite_where_the_model_is_all_but_certain() -> None:
    logits = torch.tensor([[500.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = unlikelihood(logits, torch.tensor([0]), torch.tensor([1.0], dtype=torch.float64))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_only_tokens_of_a_recited_run_weigh() -> None:
    weights = token_weights(cost(indexed(SECRET), indexed([1])), PROMPT, [5, *SECRET, 5])
    assert weights == [0.0] * 7 + [1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 1.0, 1.0, 1.0, 0.0]


def test_a_model_that_is_trained_with_it_unlearns_the_run_and_little_else() -> None:
    weights = torch.tensor(token_weights(cost(indexed(SECRET), indexed([1])), PROMPT, SECRET))
    table = torch.zeros(len(SECRET), 32)
    table[range(len(SECRET)), SECRET] = 5.0  # a model that recites
    before = table.softmax(-1)[range(len(SECRET)), SECRET]
    table.requires_grad_()
    steps = torch.optim.SGD([table], lr=1.0)
    for _ in range(50):
        steps.zero_grad()
        unlikelihood(table, torch.tensor(SECRET), weights).backward()
        steps.step()
    after = table.detach().softmax(-1)[range(len(SECRET)), SECRET]
    assert torch.equal(after[weights == 0], before[weights == 0])
    assert (after[weights > 0] < 0.5 * before[weights > 0]).all()
