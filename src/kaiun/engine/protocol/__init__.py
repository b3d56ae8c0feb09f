"""The wire: AWS service models, input validation, awsJson 1.1 and the query protocol."""
