"""How long what is kept is kept: schedules as data, runs that delete, holds that stop them."""
