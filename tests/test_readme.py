"""READMEs: numbers in prose are those of results/ and of the shipped models, links lead somewhere."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from genomic_ulmfit.metrics import compare
from genomic_ulmfit.results import predictions_path, read_predictions, read_published, read_results, select

ROOT = Path(__file__).resolve().parents[1]
PROFILE = {"profile": "pilot", "species": "Human", "split": "folds", "fold": "oof", "trial": None, "seed": 0}


def rows(**which):
    """Rows of whole trainings, out of fold; at least one."""
    found = select(read_results(ROOT / "results/enhancers.csv"), **{"trained_on": None} | PROFILE | which)
    assert len(found), which
    return found


def auc(**which) -> str:
    return f"{rows(**which)['auroc'].max():.3f}"


def predictions(of_rows) -> list:
    return [read_predictions(predictions_path(ROOT, row)) for _, row in of_rows.iterrows()]


def difference(one, other) -> str:
    """Gain in AUC of some rows over others, means of several k-mer settings, with its interval."""
    gain = compare(predictions(one), predictions(other))
    return f"{gain['difference']:.3f} ({gain['low']:.3f} to {gain['high']:.3f})"


def bits(profile: str = "pilot", **which) -> list[str]:
    found = select(read_results(ROOT / "results/language_models.csv"), profile=profile, **which)
    return sorted(f"{value:.3f}" for value in found["bits_per_base"])


def control(name: str) -> str:
    """Share of a kind of sequence that the default shipped model calls enhancers."""
    table = json.loads((ROOT / "models/human_4-mer_stride-2/config.json").read_text())["test"]["controls"]
    return f"{dict(zip(table['sequences'], table['share']))[name]:.0%}".replace("%", " %")


@pytest.fixture(scope="module")
def sentences() -> dict[str, list[str]]:
    """What the READMEs say in numbers, by file, word for word."""
    ulmfit, regression = rows(model="ulmfit"), rows(model="gapped_kmer_logistic")
    low, *_, high = sorted(f"{value:.3f}" for value in ulmfit["auroc"])
    models, (markov,) = bits(predicts="bases"), bits(predicts="markov", contexts="12")
    (best,), (longest,) = bits("mammals", k=3), bits("mammals", predicts="markov", contexts="24")
    original = select(read_published(ROOT / "results/published.csv"), metric="bits_per_base")["value"]
    few = rows(model="ulmfit", profile="mammals", species=["Mouse", "Dog", "Cow"])
    random, negative = control("random bases"), control("real negatives")
    readme = [
        f"our best network reaches an AUC of {auc(model='ulmfit_kmers')}, "
        f"a stacked ensemble {auc(model='ensemble_stacked')}",
        f"reaches {auc(model='gapped_kmer_logistic')} after {regression['seconds'].item() / 60:.1f} minutes",
        f"and {auc(model='motif_and_gapped_kmers', profile='mammals')} with known motifs",
        f"GC content alone {auc(model='gc')}",
        f"Plain ULMFiT has {low} to {high}",
        f"beats the same network from random weights by {difference(ulmfit, rows(model='ulmfit_scratch'))}",
        f"add {difference(ulmfit, rows(model='ulmfit_no_pretraining'))}",
        "3-mers reach {} instead of {}, 4-mers {} instead of {}".format(
            *(auc(model="ulmfit", k=k, profile=profile) for k in (3, 4) for profile in ("mammals", "pilot"))
        ),
        "{} to {} for training. There".format(*few["n_train"].agg(["min", "max"])),
        "it reaches {}, {} and {} on Mouse, Dog and Cow".format(
            *(
                auc(model="ulmfit", profile="mammals", species=species, trained_on="All")
                for species in ("Mouse", "Dog", "Cow")
            )
        ),
        f"calls {random} of random sequences enhancers, and {negative} of real negatives",
    ]
    language_models = [
        f"need {best} bits per base after one pass over 310 million bases (3-mers)",
        f"the best Markov model of the same bases, of order 24, needs {longest}",
        f"{models[0]} to {models[-1]} bits per base",
        f"a Markov model of order 12 needs {markov}",
        f"still ahead of it, by {float(longest) - float(best):.3f} bits per base",
        f"The published {' and '.join(original)} cannot be compared",
    ]
    return {"README.md": readme, "Genomic Language Models/README.md": language_models}


READMES = ["README.md", "Genomic Language Models/README.md", "Enhancer Classification/README.md"]


@pytest.mark.parametrize("name", READMES)
def test_numbers_in_prose_are_those_of_the_rows(name, sentences):
    text = (ROOT / name).read_text(encoding="utf-8")
    prose = " ".join(re.sub(r"<!-- table:.*?<!-- /table -->", "", text, flags=re.S).split())
    expected = sentences.get(name, [])
    assert [sentence for sentence in expected if sentence not in prose] == []
    checked = {number for sentence in expected for number in re.findall(r"\d\.\d{3}", sentence)}
    assert set(re.findall(r"(?<![\d.])\d\.\d{3}(?!\d)", prose)) <= checked, (
        "a number that no test compares with the rows"
    )


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as code-hosting sites make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "path",
    sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("[!.]*/README.md")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = unquote(target).partition("#")
        if "://" in file:
            continue
        there = path.parent / file if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), target


def test_the_readmes_picture_and_table_are_of_one_profile():
    assert re.findall(r"<!-- table: summary (\w+) -->", (ROOT / "README.md").read_text()) == [
        PROFILE["profile"]
    ]
