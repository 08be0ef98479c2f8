"""Rows and weights -> tables, figures, pages, sheets of pictures.
Imports common, readers, the four modules my*.py, training and scoring.
"""
