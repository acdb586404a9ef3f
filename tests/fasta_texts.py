"""FASTA files of every form that the readers accept, made by hypothesis, and what is in them."""

from hypothesis import strategies as st

IUPAC = "ACGTUNRYSWKMBDHVX-"


def naive_codes(text: str) -> list[int]:
    return ["ACGT".index(letter) if letter in "ACGT" else 4 for letter in text.upper().replace("U", "T")]


@st.composite
def fasta_files(draw):
    """A FASTA text (any line lengths, line ends, blank lines, case, mark at its start) and its records."""
    records, text = [], draw(st.sampled_from(["", "\ufeff", "\n", " \n\r\n"]))
    names = draw(
        st.lists(st.text("abcXYZ019._é", min_size=1, max_size=8), min_size=1, max_size=5, unique=True)
    )
    for name in names:
        description = draw(st.sampled_from(["", "chromosome 1, primary > assembly", 'a "quoted", µ']))
        sequence = draw(st.text(IUPAC + IUPAC.lower(), min_size=1, max_size=90))
        end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
        width = draw(st.integers(1, 100))
        lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
        if draw(st.booleans()):
            lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", "  ", "\t"])))
        text += (
            f">{draw(st.sampled_from(['', ' ']))}{name} {description}".rstrip() + end + end.join(lines) + end
        )
        records.append((name, description, sequence))
    return (text.rstrip("\r\n\t ") if draw(st.booleans()) else text), records
