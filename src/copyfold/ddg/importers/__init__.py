"""Published sets of measured mutations: readers, checks, downloads."""
