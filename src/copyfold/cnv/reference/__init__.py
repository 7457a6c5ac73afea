"""The reference: sequences, bins with GC and mappability, genes and families.

`read_reference` opens the folder that ``copyfold cnv reference build`` writes; the parts that make one are in
`fasta`, `bins`, `mappability`, `gene_search`, `annotation` and `build`.
"""

from copyfold.cnv.reference.folder import Reference, ReferenceContig, ReferenceGene, read_reference

__all__ = ["Reference", "ReferenceContig", "ReferenceGene", "read_reference"]
