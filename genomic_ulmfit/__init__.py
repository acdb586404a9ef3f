"""What the notebooks import besides utils.py.

Genomes, language models, classifiers, results, and scoring of new DNA.
"""
