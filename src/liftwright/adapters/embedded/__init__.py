"""What runs on this machine without an account: models, index, writer, simulator, ledger."""
