"""Azure OpenAI, AI Search, AI Content Safety and Key Vault."""
