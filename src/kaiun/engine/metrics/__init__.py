"""CloudWatch's metrics: kept, read, and measured of services and load balancers."""
