import numpy as np

def walk_records(
    blocks: list[bytearray],
    rest: bytes,
    order: np.ndarray,
    contig_of_reference: np.ndarray,
    contig_length: np.ndarray,
    contig_offset: np.ndarray,
    bin_begin: np.ndarray,
    bin_end: np.ndarray,
    min_mapq: np.ndarray,
    starts: np.ndarray,
    depth_change: np.ndarray,
    totals: np.ndarray,
    /,
) -> tuple[bytes, int, int, int]: ...
