"""How the schema's history is written and kept; in an installed wheel the history itself lies here too."""
