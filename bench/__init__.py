"""Measures scaleout beside its peers: `python -m bench`, from the top of the repository."""
