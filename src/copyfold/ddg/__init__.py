"""Change of protein folding stability (ΔΔG) on mutation."""
