"""Sessions of ExecuteCommand: handed out by the API, opened by their token, held to their end."""
