"""The stages of a run, one function each; `campaign.pipeline` puts them in order."""
