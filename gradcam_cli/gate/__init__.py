"""Explanations are frozen, compared with later ones, and searched for shortcuts."""
