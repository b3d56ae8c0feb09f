"""What scales a service, as pure functions: statistics, alarms, step and target tracking."""
