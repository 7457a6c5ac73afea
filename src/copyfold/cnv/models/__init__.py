"""Models of the depth a sample would show if it carried one copy of everything its lineage carries."""
