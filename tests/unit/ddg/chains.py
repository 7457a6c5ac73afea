"""Chains built by code: ideal helices of any sequence."""

import numpy as np

from copyfold.ddg.sequences import THREE_TO_ONE
from copyfold.ddg.structures import Structure

TURN, RISE = np.deg2rad(100.0), 1.5  # of an α helix, per residue
ATOMS = {"N": (1.55, -28.0, -0.87), "CA": (2.29, 0.0, 0.0), "C": (1.68, 27.0, 1.08), "O": (2.03, 24.0, 2.27)}
"""Radius in Å, angle in degrees, height in Å, after Arnott and Dover 1967."""


def helix_backbone(n):
    backbone = np.empty((n, 4, 3), dtype=np.float32)
    for place, (radius, angle, height) in enumerate(ATOMS.values()):
        phase = np.deg2rad(angle) + TURN * np.arange(n)
        backbone[:, place] = np.stack(
            [radius * np.cos(phase), radius * np.sin(phase), height + RISE * np.arange(n)], axis=1
        )
    return backbone


def helix(sequence, first=1, **changes):
    n = len(sequence)
    values = {
        "name": "helix",
        "chain": "A",
        "numbers": np.arange(first, first + n, dtype=np.int32),
        "insertion_codes": ("",) * n,
        "sequence": sequence,
        "backbone": helix_backbone(n),
        "rsa": np.full(n, np.nan, dtype=np.float32),
        "secondary_structure": "H" * n,
        "b_factors": np.zeros(n, dtype=np.float32),
        "seqres": None,
    }
    return Structure(**{**values, **changes})


def pdb_text(structure):
    """The structure as a PDB file, SEQRES included where it is known."""
    names = {one: three for three, one in THREE_TO_ONE.items()}
    lines, serial = [], 0
    stated = structure.seqres or ""
    for row, start in enumerate(range(0, len(stated), 13), 1):
        part = " ".join(names[letter] for letter in stated[start : start + 13])
        lines.append(f"SEQRES {row:>3} {structure.chain} {len(stated):>4}  {part}")
    for index, letter in enumerate(structure.sequence):
        for name, xyz in zip(ATOMS, structure.backbone[index], strict=True):
            serial += 1
            code = structure.insertion_codes[index] or " "
            lines.append(
                f"ATOM  {serial:>5}  {name:<3} {names[letter]} {structure.chain}{structure.numbers[index]:>4}{code}   "
                f"{xyz[0]:8.3f}{xyz[1]:8.3f}{xyz[2]:8.3f}  1.00  0.00           {name[0]}"
            )
    return "\n".join([*lines, "TER", "END"]) + "\n"
