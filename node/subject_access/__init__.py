"""What a person may read of their own: who looked, the score, what is held, all of it to take."""
