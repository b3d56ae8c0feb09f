"""The only door to boto3."""
