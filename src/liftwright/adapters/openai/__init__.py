"""Language models behind the OpenAI wire format."""
