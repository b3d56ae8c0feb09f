// shortened
