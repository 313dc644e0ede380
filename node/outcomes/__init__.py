"""What became of loans that scores were asked for: tomorrow's labels."""
