"""Runs tracked in MLflow or Azure Machine Learning."""
