"""Second opinions on the harness's scores: this project's verifier, and a model as a judge."""
