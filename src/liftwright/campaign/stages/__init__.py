"""The stages of a run, one function each; `campaign/pipeline.py` puts them in order."""
