"""LayerNorms that run more than once are handed to the converter in a form that it does not fold."""

from __future__ import annotations

from typing import Any

import torch

from edgebert.litert_sharing import unfolded


class Rounds(torch.nn.Module):  # type: ignore[misc]
    """A layer that runs three times behind a LayerNorm that runs once."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = torch.nn.LayerNorm(6), torch.nn.LayerNorm(6, eps=1e-3)
        self.layer = torch.nn.Linear(6, 6)
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter)

    def forward(self, x: Any) -> Any:
        x = self.before(x)
        for _ in range(3):
            x = self.after(x + self.layer(x))
        return x


def one_dimensional(program: Any) -> set[str]:
    """LayerNorms whose factors the exported program hands to the operator itself."""
    norms = [node for node in program.graph.nodes if "layer_norm" in str(node.target)]
    return {str(node.args[2]) for node in norms if len(node.args) > 2 and node.args[2] is not None}


def test_only_what_is_shared_changes_its_form_and_only_within() -> None:
    torch.manual_seed(0)
    model, x = Rounds().eval(), torch.randn(1, 4, 6)
    expected = model(x)
    assert one_dimensional(torch.export.export(model, (x,))) == {"p_before_weight", "p_after_weight"}
    with unfolded(model, {"x": x}):
        assert one_dimensional(torch.export.export(model, (x,))) == {"p_before_weight"}
        torch.testing.assert_close(model(x), expected)
    assert one_dimensional(torch.export.export(model, (x,))) == {"p_before_weight", "p_after_weight"}
    assert torch.equal(model(x), expected)
