"""Sizes are those of the formulas, and the page that tells them tells the truth."""

from __future__ import annotations

import pytest

from edgebert import architectures, members, sizes
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "---" not in line
    for cells in [[cell.strip() for cell in line.strip("| ").split("|")]]
    if cells[0] != "shape"
}
SMALL = ("bert-tiny", "minilm-l6-h384", "tinybert-4", "distilbert-base")


def size(shape: str, tokens: int = sizes.TOKENS) -> sizes.Size:
    name, values = architectures.named(shape)
    return sizes.of(members.find("architectures", name), values, tokens)


@pytest.mark.parametrize("tokens", [1, 16, 128])
@pytest.mark.parametrize(
    ("shape", "layers", "hidden", "ffn"), [("bert-tiny", 2, 128, 512), ("tinybert-4", 4, 312, 1200)]
)
def test_multiply_adds_are_those_of_the_matrices_of_bert(
    shape: str, layers: int, hidden: int, ffn: int, tokens: int
) -> None:
    """Four projections, Q.K and attention.V, two matrices of the FFN; the pooler reads one token."""
    projections = layers * (4 * hidden**2 + 2 * hidden * ffn) * tokens
    attention = layers * 2 * tokens**2 * hidden
    assert size(shape, tokens).multiply_adds == projections + attention + hidden**2


def test_a_shared_layer_is_counted_as_often_as_it_runs() -> None:
    albert = members.find("architectures", "albert")
    values = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "embedding_size": 16}
    one, two, three = (sizes.of(albert, {**values, "num_hidden_layers": n}) for n in (1, 2, 3))
    assert one.parameters == two.parameters == three.parameters
    assert one.multiply_adds < two.multiply_adds
    assert three.multiply_adds - two.multiply_adds == two.multiply_adds - one.multiply_adds


def test_the_page_tells_every_published_size_and_no_other() -> None:
    published = {name for member in members.names("architectures") for name in shapes(member)}
    assert {*ROWS, *(f"albert-{size}-v1" for size in ("base", "large", "xlarge", "xxlarge"))} == published
    for version in ("base", "xxlarge"):
        assert f"albert-{version}-v1" in PAGE


def shapes(architecture: str) -> list[str]:
    return list(members.find("architectures", architecture).SHAPES)


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=[] if shape in SMALL else pytest.mark.slow) for shape in ROWS]
)
def test_the_page_tells_a_size_as_it_is(shape: str) -> None:
    layers_and_hidden, parameters, in_embeddings, multiply_adds, *_ = ROWS[shape]
    found = size(shape)
    name, values = architectures.named(shape)
    config = members.find("architectures", name).config(values)
    assert layers_and_hidden == f"{config.num_hidden_layers} x {config.hidden_size}"
    assert parameters == f"{found.parameters:,}"
    assert in_embeddings == f"{100 * found.embeddings / found.parameters:.0f} %"
    assert multiply_adds == f"{found.multiply_adds / 1e9:.2f}"


@pytest.mark.slow
def test_what_the_page_says_beside_its_table_holds() -> None:
    base, distil, albert = (size(shape) for shape in ("bert-base", "distilbert-base", "albert-base-v2"))
    assert "39 % fewer parameters" in TEXT
    assert round(100 * (1 - distil.parameters / base.parameters)) == 39
    assert 1.99 < base.multiply_adds / distil.multiply_adds < 2.01
    assert "11.19 against 11.17 G" in TEXT
    assert (f"{albert.multiply_adds / 1e9:.2f}", f"{base.multiply_adds / 1e9:.2f}") == ("11.19", "11.17")
    assert "7.1 of 85.1 million" in TEXT
    layer = 4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768) + 4 * 768
    assert (round(layer / 1e6, 1), round(12 * layer / 1e6, 1)) == (7.1, 85.1)
    assert "3.9 of 23.4 million" in TEXT
    assert (round((30000 + 768) * 128 / 1e6, 1), round(30522 * 768 / 1e6, 1)) == (3.9, 23.4)
    assert 3.9 < base.multiply_adds / size("mobilebert").multiply_adds < 4.3  # a quarter
    for shape, times in (("albert-xlarge-v2", 14), ("albert-xxlarge-v2", 28)):
        assert ROWS[shape][-1] == f"compute: {times} times bert-base"
        assert round(size(shape).multiply_adds / base.multiply_adds) == times
