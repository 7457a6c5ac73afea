"""HTML report pieces shared by both applications: sections, plots, templates."""
