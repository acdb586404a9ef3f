"""Colours by family, places of labels, and what the pictures of results hold."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from genomic_ulmfit import pictures

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    "model, family",
    [
        ("gc", "composition"),
        ("composition", "composition"),
        ("gapped_kmer_logistic", "k-mer counts"),
        ("kmer_boosting", "k-mer counts"),
        ("motif_logistic", "known motifs"),
        ("motif_and_gapped_kmers", "k-mer counts"),
        ("cohn_cnn_both_strands", "CNN"),
        ("ulmfit_no_pretraining", "ULMFiT"),
        ("ulmfit_scratch_kmers", "ULMFiT from k-mer log-odds"),
        ("two_language_models", "two language models"),
        ("ensemble_ulmfit", "ensemble"),
    ],
)
def test_a_model_has_the_colour_of_its_family(model, family):
    assert pictures.family_of(model) == family and pictures.colour_of(model) == pictures.COLOURS[family]


def test_no_two_families_share_a_colour():
    assert len(set(pictures.COLOURS.values())) == len(pictures.COLOURS)


@pytest.mark.parametrize(
    "values, placed",
    [
        ([1, 5, 9], [1, 5, 9]),
        ([5, 1, 5], [4.5, 1, 5.5]),
        ([3, 3, 3], [2, 3, 4]),
        ([0, 1.5, 2.1], [0, 1.3, 2.3]),
        ([0, 0.5, 2], [-0.25, 0.75, 2]),
    ],
)
def test_labels_are_moved_apart_and_no_further(values, placed):
    found = pictures.spread(values, 1)
    assert np.diff(np.sort(found)).min(initial=1) >= 1 - 1e-9
    assert list(np.argsort(found, kind="stable")) == list(np.argsort(values, kind="stable"))
    assert found == pytest.approx(placed)


def test_a_forest_has_a_line_for_each_row_the_first_at_the_top_with_its_value():
    rows = pd.DataFrame({"name": ["a", "b"], "auc": [0.8, 0.7], "low": [0.75, np.nan], "high": [0.9, np.nan]})
    for ax, _ in pictures.panels(["Human"], 1):
        pictures.forest(ax, rows, "auc", "low", "high")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("0.700", (0.7, "b")), ("0.800", (0.9, "a"))]
    assert min(label.get_fontsize() for label in ax.get_yticklabels()) >= 8


def test_panels_are_named_if_there_are_several_and_the_last_rows_empty_ones_are_left_out():
    found = [(ax, ax.get_title()) for ax, _ in pictures.panels(list("abcde"), 1)]
    assert [title for _, title in found] == list("abcde")
    assert sum(ax.axison for ax in found[0][0].get_figure().axes) == 5
    assert [ax.get_title() for ax, _ in pictures.panels(["a"], 1)] == [""]
    assert list(pictures.panels([], 1)) == []


def test_lines_bear_their_names_where_they_end():
    lines = {"one": ([100, 1000], [0.6, 0.8], "red"), "two": ([100, 1000], [0.7, 0.801], "blue")}
    for ax, _ in pictures.panels(["a"], 3):
        pictures.labelled_lines(ax, lines, log=True)
    assert {(text.get_text(), text.xy) for text in ax.texts} == {
        (" one", (1000, 0.8)),
        (" two", (1000, 0.801)),
    }
    assert [label.get_text() for label in ax.get_xticklabels()] == ["100", "1,000"]
    heights = [text.xyann[1] for text in ax.texts]
    assert abs(heights[0] - heights[1]) > 0.005


def test_neighbours_of_one_height_have_their_labels_on_two_sides():
    rows = pd.DataFrame({"name": list("abcd"), "minutes": [1, 2, 3, 4], "auroc": [0.6, 0.799, 0.8, 0.801]})
    rows["colour"] = "black"
    for ax, _ in pictures.panels(["a"], 3):
        pictures.price(ax, rows, rows)
    assert [text.get_text() for text in ax.texts] == list("abcd")
    assert [text.xyann[1] > 0 for text in ax.texts] == [True, True, False, True]
