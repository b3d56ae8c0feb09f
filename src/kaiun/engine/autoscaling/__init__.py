"""Application Auto Scaling acts: alarms and schedules change the desired count of services."""
