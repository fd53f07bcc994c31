"""One endpoint's processing spread over helper processes of its worker, with the results in order."""
