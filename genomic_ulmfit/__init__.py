"""What the notebooks import besides utils.py: genomes, language models, classifiers, results, and scoring of new DNA."""
