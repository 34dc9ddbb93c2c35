"""One transaction with every repository at hand."""
