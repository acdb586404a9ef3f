"""A reporter assay's elements and measured effects as FASTA and VCF. `fetch.py` and `simulate.py` call this.

The assay of Kircher et al. (2019): each base of a regulatory element changed to each other base, the effect
on the expression of a reporter gene measured in cultured cells. An element is a contig of `elements.fa`, a
change a line of `effects.vcf` with its effect in the INFO column, so that every reader of FASTA and VCF takes
them.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["ELEMENTS", "Change", "Element", "make_elements", "write_experiment"]

RELEASE = "GRCh38"  # the table has every row twice, with coordinates of two assemblies
COLUMNS = ("Chrom", "Pos", "Ref", "Alt", "Barcodes", "Coefficient", "pValue", "Element", "Release")
# Name in the table: role here, kind of element, cells that it was measured in (Kircher et al. 2019, table 1),
# and, for an experiment done again, the element that it repeats. Targets: all elements measured in liver
# cells. Controls: of the elements of other tissues the enhancer and the promoter with most effects of
# |log2| >= 1; PKLR has more than TERT, but its gene is active in liver, and a labelled sequence lies 141
# bases from it. They were chosen by the measurements alone.
ELEMENTS = {
    "SORT1": ("target", "enhancer", "HepG2", ""),
    "F9": ("target", "promoter", "HepG2", ""),
    "LDLR": ("target", "promoter", "HepG2", ""),
    "IRF4": ("control", "enhancer", "SK-MEL-28", ""),
    "TERT-GBM": ("control", "promoter", "SF7996", ""),
    "SORT1.2": ("repeat", "enhancer", "HepG2", "SORT1"),
    "SORT1-flip": ("repeat", "enhancer", "HepG2", "SORT1"),
    "LDLR.2": ("repeat", "promoter", "HepG2", "LDLR"),
    "BCL11A": ("other", "enhancer", "HEL_92.1.7", ""),
    "FOXE1": ("other", "promoter", "HeLa", ""),
    "GP1BA": ("other", "promoter", "HEL_92.1.7", ""),
    "HBB": ("other", "promoter", "HEL_92.1.7", ""),
    "HBG1": ("other", "promoter", "HEL_92.1.7", ""),
    "HNF4A": ("other", "promoter", "HEK293T", ""),
    "IRF6": ("other", "enhancer", "HaCaT", ""),
    "MSMB": ("other", "promoter", "HEK293T", ""),
    "MYCrs11986220": ("other", "enhancer", "LNCaP", ""),
    "MYCrs6983267": ("other", "enhancer", "HEK293T", ""),
    "PKLR-24h": ("other", "promoter", "K562", ""),
    "PKLR-48h": ("other", "promoter", "K562", ""),
    "RET": ("other", "enhancer", "Neuro-2a", ""),
    "TCF7L2": ("other", "enhancer", "MIN6", ""),
    "TERT-GAa": ("other", "promoter", "SF7996", ""),
    "TERT-GSc": ("other", "promoter", "SF7996", ""),
    "TERT-HEK": ("other", "promoter", "HEK293T", ""),
    "UC88": ("other", "enhancer", "Neuro-2a", ""),
    "ZFAND3": ("other", "enhancer", "MIN6", ""),
    "ZRSh-13": ("other", "enhancer", "NIH/3T3", ""),
    "ZRSh-13h2": ("other", "enhancer", "NIH/3T3", ""),
}
LINE = 60  # letters of a line of FASTA


class Change(NamedTuple):
    """One base changed: position in the element from 1, log2 effect on expression, p, number of barcodes."""

    position: int
    ref: str
    alt: str
    effect: float
    p_value: float
    barcodes: int


class Element(NamedTuple):
    """An element: its name, what is known of it (`role`, `kind`, `cells` and so on), bases and changes."""

    name: str
    facts: Mapping[str, object]
    sequence: str
    changes: list[Change]


def make_elements(table: Path, target: Path) -> list[Path]:
    """Write `elements.fa` and `effects.vcf` from the published table (gzipped TSV); returns their paths.

    The reference base that the table gives for each position makes up an element's sequence; a position that
    it lacks is N. Deletions and rows without a position are left out, and counted in a printed line. Raises
    ValueError with the line for a row that is none, an element that is not in `ELEMENTS`, and two reference
    bases for one position.
    """
    rows, left_out = _read(table)
    elements = [_element(name, rows[name], facts) for name, facts in ELEMENTS.items() if name in rows]
    print(
        f"  {sum(len(e.changes) for e in elements):,} changes of a base in {len(elements)} elements; "
        f"left out: {left_out['deletion']:,} deletions, {left_out['NA']:,} rows without a position"
    )
    return write_experiment(target, elements)


def _read(table: Path) -> tuple[dict[str, dict], Counter]:
    """Element -> {"chrom", "refs": {position: base}, "changes": {(position, alt): Change}}; how much was left
    out."""
    rows: dict[str, dict] = {}
    left_out: Counter[str] = Counter()
    with gzip.open(table, "rt", encoding="ascii", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines, delimiter="\t"), start=2):
            where = f"{table}, line {number:,}"
            if missing := [column for column in COLUMNS if not row.get(column)]:
                raise ValueError(f"{where}: no {', '.join(missing)}. It is not the published table")
            if row["Release"] != RELEASE:
                continue
            if row["Element"] not in ELEMENTS:
                raise ValueError(f"{where}: element {row['Element']!r} is not one of the published ones")
            if row["Pos"] == "NA":
                left_out["NA"] += 1
                continue
            found = rows.setdefault(row["Element"], {"chrom": row["Chrom"], "refs": {}, "changes": {}})
            try:
                place, ref, alt = int(row["Pos"]), row["Ref"], row["Alt"]
                change = Change(
                    place, ref, alt, float(row["Coefficient"]), float(row["pValue"]), int(row["Barcodes"])
                )
            except ValueError as error:
                raise ValueError(f"{where}: not a measured change ({error})") from error
            if found["refs"].setdefault(place, ref) != ref or len(ref) != 1 or ref not in "ACGT":
                raise ValueError(
                    f"{where}: the reference base is {ref}, in another line {found['refs'][place]}"
                )
            if (place, alt) in found["changes"]:
                raise ValueError(f"{where}: this change of {row['Element']} stands in an earlier line")
            if alt == "-":
                left_out["deletion"] += 1
                continue
            if len(alt) != 1 or alt not in "ACGT":
                raise ValueError(f"{where}: {ref} to {alt!r} is no change of a base")
            found["changes"][place, alt] = change
    return rows, left_out


def _element(name: str, rows: dict, facts: tuple[str, str, str, str]) -> Element:
    first, last = min(rows["refs"]), max(rows["refs"])
    role, kind, cells, repeats = facts
    known = {"role": role, "kind": kind, "cells": cells} | ({"of": repeats} if repeats else {})
    known |= {"chrom": f"chr{rows['chrom']}", "start": first - 1, "end": last}
    changes = [
        change._replace(position=place - first + 1) for (place, _), change in sorted(rows["changes"].items())
    ]
    return Element(
        name, known, "".join(rows["refs"].get(place, "N") for place in range(first, last + 1)), changes
    )


def write_experiment(folder: Path, elements: Iterable[Element]) -> list[Path]:
    """Write elements as `elements.fa` and their changes as `effects.vcf` into `folder`; returns both paths.

    What is known of an element stands in its header as `name=value`. INFO has EFFECT (log2 of the change's
    expression over the reference's), P and BARCODES.
    """
    elements = list(elements)
    folder.mkdir(parents=True, exist_ok=True)
    fasta, vcf = folder / "elements.fa", folder / "effects.vcf"
    with open(fasta, "w", encoding="ascii", newline="\n") as file:
        for element in elements:
            words = " ".join(f"{name}={value}" for name, value in element.facts.items())
            file.write(f">{element.name} {words}\n")
            text = element.sequence
            file.writelines(f"{text[i : i + LINE]}\n" for i in range(0, len(text), LINE))
    with open(vcf, "w", encoding="ascii", newline="\n") as file:
        file.write("##fileformat=VCFv4.2\n")
        for key, number, kind, meaning in (
            ("EFFECT", 1, "Float", "log2 of expression, alternative over reference"),
            ("P", 1, "Float", "p-value of the effect"),
            ("BARCODES", 1, "Integer", "barcodes with this change"),
        ):
            file.write(f'##INFO=<ID={key},Number={number},Type={kind},Description="{meaning}">\n')
        file.writelines(f"##contig=<ID={e.name},length={len(e.sequence)}>\n" for e in elements)
        file.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for element in elements:
            file.writelines(
                f"{element.name}\t{c.position}\t.\t{c.ref}\t{c.alt}\t.\t.\t"
                f"EFFECT={c.effect:.6g};P={c.p_value:.6g};BARCODES={c.barcodes}\n"
                for c in element.changes
            )
    return [fasta, vcf]
