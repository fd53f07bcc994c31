"""Synthetic days: the placement code against endpoints whose rates drift, burst and crowd, and workers that die."""
