"""Runs the notebooks as a series, keeps their outputs in step, ships models.

No notebook imports anything from here.
"""
