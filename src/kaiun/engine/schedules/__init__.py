"""When schedules are due, and what they run: EventBridge Scheduler, and rules on a schedule.

`cron`, `expression` and `timing` are pure.
"""
