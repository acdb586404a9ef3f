"""PARAMS as people type them."""

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.given import as_typed, checked, notebook_parameters, parse_parameters

KNOWN = {
    "K": 4,
    "LR": 1e-2,
    "RC_TRAIN": True,
    "KMERS": [1, 2],
    "OVERRIDES": {},
    "TRIAL": "",
    "N_TRAIN": None,
    "SPECIES": None,
    "SCALE": None,
    "INPUT": None,
    "GENOME": None,
    "REGION": None,
    "STAGE_LRS": [2e-2],
}


@pytest.mark.parametrize(
    "typed, expected",
    [
        ("K: 6, LR: 1e-3", {"K": 6, "LR": 1e-3}),
        ("K: 1e1, LR: 1", {"K": 10, "LR": 1.0}),
        ("REGION: 1", {"REGION": "1"}),
        ("REGION: chr7:115,000,000-116,000,000, K: 5", {"REGION": "chr7:115,000,000-116,000,000", "K": 5}),
        ("REGION: 'chr7:1-2'", {"REGION": "chr7:1-2"}),
        (
            "INPUT: /d/my peaks #2, [new]: final.bed, GENOME: ~/hg38.fa",
            {"INPUT": "/d/my peaks #2, [new]: final.bed", "GENOME": "~/hg38.fa"},
        ),
        ("INPUT: [a].fa", {"INPUT": "[a].fa"}),
        ("INPUT: '/d/x, GENOME: y.fa'", {"INPUT": "/d/x, GENOME: y.fa"}),
        ("INPUT: it's.fa", {"INPUT": "it's.fa"}),
        ("INPUT: null, GENOME: None", {"INPUT": None, "GENOME": None}),
        ("SPECIES: Pig", {"SPECIES": ["Pig"]}),
        ("SPECIES: Pig, Guinea pig, K: 3", {"SPECIES": ["Pig", "Guinea pig"], "K": 3}),
        ("SPECIES: [Pig, 'Cow'], SCALE: laptop", {"SPECIES": ["Pig", "Cow"], "SCALE": "laptop"}),
        ("KMERS: 6", {"KMERS": [6]}),
        ("KMERS: [], STAGE_LRS: [1e-3, .5]", {"KMERS": [], "STAGE_LRS": [1e-3, 0.5]}),
        (
            'OVERRIDES: {"Mouse": {"LM_LR": 3e-3}}, RC_TRAIN: false',
            {"OVERRIDES": {"Mouse": {"LM_LR": 3e-3}}, "RC_TRAIN": False},
        ),
        ("TRIAL: 12, N_TRAIN: 300", {"TRIAL": "12", "N_TRAIN": 300}),
        ("  K : 3 ,", {"K": 3}),
        ("", {}),
    ],
)
def test_values_are_taken_as_typed(typed, expected):
    values = checked(parse_parameters(typed), KNOWN)
    assert values == expected and [type(v) for v in values.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize(
    "typed, message",
    [
        ("EPOCH: 3", "no notebook has a parameter EPOCH"),
        ("WRITE_TO: x, GENOM: y", "GENOM, WRITE_TO; put a text that holds ', NAME:' in quotes"),
        ("K: many", "K: 'many' is not a whole number"),
        ("K: 2.5", "K: 2.5 is not a whole number"),
        ("N_TRAIN: some", "N_TRAIN: 'some' is not a whole number"),
        ("LR: fast", "LR: 'fast' is not a number"),
        ("RC_TRAIN: 2", "RC_TRAIN: 2 is not true or false"),
        ("OVERRIDES: Mouse", "OVERRIDES: 'Mouse' is not a dictionary"),
        ("k: 3", "'k: 3' is not NAME: value"),
        ("K=3", "'K=3' is not NAME: value"),
        ("K: 3, K: 4", "K is there twice"),
        ("KMERS: [1, 2", "KMERS: '[1, 2' is not closed"),
        ("INPUT: 'x.fa", "INPUT: the quote is not closed"),
        ("INPUT: 'x'.fa", "INPUT: '.fa' follows its value"),
    ],
)
def test_what_is_no_value_is_refused_in_a_line(typed, message):
    with pytest.raises(ValueError, match=r"^PARAMS: ") as error:
        checked(parse_parameters(typed), KNOWN)
    assert message in str(error.value) and "\n" not in str(error.value)


@given(st.text(st.characters(exclude_characters="'\"", exclude_categories=["C"])), st.integers())
def test_any_path_in_quotes_arrives_as_it_is(path, k):
    for quote in "'\"":
        assert checked(parse_parameters(f"INPUT: {quote}{path}{quote}, K: {k}"), KNOWN)["K"] == k
        assert parse_parameters(f"INPUT: {quote}{path}{quote}") == {"INPUT": path}


@given(
    st.dictionaries(
        st.sampled_from(["INPUT", "GENOME", "REGION"]),
        st.text(st.characters(exclude_characters="'", exclude_categories=["C"]), min_size=1),
    )
)
def test_a_command_in_the_rows_can_be_typed_again(values):
    typed = ", ".join(f"{name}: {as_typed(value)}" for name, value in values.items())
    assert parse_parameters(typed) == values


def test_both_cells_of_a_notebook_count(tmp_path):
    cells = [
        nbformat.v4.new_code_cell("K = 4  # bases\nSCALE = None", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "LR = -1e-2\nshown = dict(globals())", metadata={"tags": ["more-parameters"]}
        ),
        nbformat.v4.new_code_cell("OTHER = 1"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "x.ipynb")
    assert notebook_parameters(tmp_path / "x.ipynb") == {"K": 4, "SCALE": None, "LR": -1e-2}
    cells[0].source = "K = 2 * 2"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "x.ipynb")
    with pytest.raises(ValueError, match="x.ipynb: K is no plain value"):
        notebook_parameters(tmp_path / "x.ipynb")
