"""The wire: AWS service models, input validation, awsJson 1.1, the query protocol and rest-json."""
