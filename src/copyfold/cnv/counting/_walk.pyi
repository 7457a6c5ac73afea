import numpy as np

def walk_records(
    data: np.ndarray,
    contig_of_reference: np.ndarray,
    contig_length: np.ndarray,
    contig_offset: np.ndarray,
    min_mapq: np.ndarray,
    starts: np.ndarray,
    depth_change: np.ndarray,
    totals: np.ndarray,
    /,
) -> tuple[int, int, int, int]: ...
