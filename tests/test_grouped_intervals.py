"""Where whole groups are held out, intervals come from drawing groups: from the tables to the result rows and
comparisons.
"""

import numpy as np
import pandas as pd
import pytest

from genomic_ulmfit.metrics import bootstrap_over_groups, compare, delong_interval, paired_auc_difference
from genomic_ulmfit.results import predictions_path, read_predictions, record_run, write_predictions
from genomic_ulmfit.splits import fold_parts, with_groups

IDENTITY = dict(
    profile="p", species="Cat", model="gc", split="grouped", seed=0, device="c", version="v", command="c"
)


def table_of_groups(groups=40, of_each=6, seed=0) -> pd.DataFrame:
    """Groups of one label whose members score alike, whole groups in five folds."""
    rng, n = np.random.default_rng(seed), groups * of_each
    group = np.arange(n) // of_each
    label = group % 2
    score = 0.15 * label + rng.random(groups)[group] / 2 + rng.random(n) / 10
    ids = [f"Cat_{i:03}" for i in range(n)]
    return pd.DataFrame({"id": ids, "label": label, "group": group, "fold": group % 10 // 2, "score": score})


def predictions_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[["id", "label"]].assign(fold=table.fold.astype(str), probability=table.score)


EFFORT = pd.DataFrame({"n_train": 192, "seconds": 1.0}, index=range(5))


def test_groups_come_from_the_tables_where_a_split_holds_them_out():
    table = table_of_groups()
    scored = predictions_of(table).sample(frac=1, random_state=0)
    grouped = with_groups(scored, table, "grouped 2")
    assert grouped.set_index("id").group.to_dict() == table.set_index("id").group.astype(str).to_dict()
    regions = table.rename(columns={"group": "region"})
    assert with_groups(scored, regions, "folds").group.tolist() == grouped.group.tolist()
    for rows, split in (
        (table, "folds"),  # random folds
        (regions, "original"),
        (regions.assign(region=regions.region.where(regions.index > 0)), "folds"),  # not all lie in one
    ):
        assert with_groups(scored, rows, split) is scored


def test_rows_have_intervals_from_groups_and_comparisons_find_them_in_the_stored_predictions(tmp_path):
    table = table_of_groups()
    scored = predictions_of(table)
    plain = record_run(tmp_path, {**IDENTITY, "model": "composition"}, scored, EFFORT)
    rows = record_run(tmp_path, IDENTITY, with_groups(scored, table, "grouped"), EFFORT)
    pooled, drawn = rows.iloc[-1], bootstrap_over_groups(table.label, table.score, table.group)
    assert pooled.fold == "oof" and [pooled.auroc, pooled.auroc_low, pooled.auroc_high] == list(
        drawn.values()
    )
    assert pooled.auroc_high - pooled.auroc_low > 1.5 * (plain.auroc_high - plain.auroc_low).iloc[-1]
    assert rows.auroc.tolist() == pytest.approx(plain.auroc.tolist())
    stored = read_predictions(predictions_path(tmp_path, rows.iloc[0]))
    other = scored.assign(probability=np.random.default_rng(1).random(len(scored)))
    expected = bootstrap_over_groups(table.label, table.score, table.group, other.probability)
    for one, two, sign in ((stored, other, 1), (other, stored, -1), ([stored], other, 1)):
        found = compare(one, two)
        assert found["difference"] == pytest.approx(sign * expected["difference"])
        assert found["high"] - found["low"] == pytest.approx(expected["high"] - expected["low"])
    assert compare(scored, other) == {
        "n": len(scored),
        **paired_auc_difference(table.label, table.score, other.probability),
    }


def test_too_few_groups_are_not_drawn_from(tmp_path):
    table = table_of_groups(groups=4, of_each=30).assign(fold=lambda t: t.id.str[-1].astype(int) % 2)
    scored = with_groups(predictions_of(table), table, "grouped")
    (*_, pooled) = record_run(tmp_path, IDENTITY, scored, EFFORT[:2]).to_dict("records")
    assert [pooled["auroc"], pooled["auroc_low"], pooled["auroc_high"]] == list(
        delong_interval(table.label, table.score)
    )


def test_a_sequence_without_a_group_among_others_is_refused(tmp_path):
    scored = predictions_of(table_of_groups()).assign(group="a")
    scored.loc[3, "group"] = None
    with pytest.raises(ValueError, match="'Cat_003' has no group"):
        write_predictions(tmp_path / "p.parquet", scored)


@pytest.mark.parametrize("groups, of_each", [(40, 6), (200, 1), (24, 10)])
def test_validation_consists_of_whole_groups_and_has_both_classes(groups, of_each):
    """Also where hardly a sequence is without a relative."""
    table = table_of_groups(groups, of_each)
    for fold in range(5):
        train, valid, test = fold_parts(table, fold, group_column="group")
        assert not {*valid.group} & {*train.group} and len(train) + len(valid) + len(test) == len(table)
        assert valid.label.nunique() == train.label.nunique() == 2 and len(valid) <= max(
            len(train) / 8, 2 * of_each
        )
        again = fold_parts(table.sample(frac=1, random_state=1), fold, group_column="group")
        assert {*again[1].id} == {*valid.id}


def test_groups_that_cannot_be_parted_are_named():
    table = table_of_groups(groups=10, of_each=20)
    table["group"] = table.fold
    table.loc[table.fold > 0, "group"] = 9
    with pytest.raises(ValueError, match="1 groups of group cannot be parted"):
        fold_parts(table, 0, group_column="group")
