"""Keeps a list of books."""
