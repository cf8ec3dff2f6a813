"""The report's numbers for Part III: one run of each batch size. Data only, nothing is trained."""

# The final accuracies on training and test data, in percent, with the digits that it gives.
ACCURACIES = {
    "1": ("over 96", "97"),
    "16": ("88", "88"),
    "64": ("88", "89"),
    "256": ("87", "86"),
    "full": ("86.88", "84.50"),
}

# How the full batch ends, by the keys of a history; the report gives no other losses.
FULL_BATCH = {
    "train_loss": 0.3037,
    "train_accuracy": 0.8688,
    "test_loss": 0.3123,
    "test_accuracy": 0.8450,
}

# How it was trained, as text, by the flags of the scripts.
SETTINGS = {
    "budget": "epochs",
    "max_steps": "1500",
    "learning_rate": "0.01",
    "dnn_hidden_units": "20",
    "dataset": "moons",
    "n_samples": "1000",
    "noise": "0.2",
    "data_seed": "42",
}


def has_settings(dataset, n_samples, noise, data_seed, hidden_units, learning_rate, epochs):
    """Return whether all of these settings are the report's."""
    ours = {
        "dataset": dataset,
        "n_samples": n_samples,
        "noise": noise,
        "data_seed": data_seed,
        "dnn_hidden_units": hidden_units,
        "learning_rate": learning_rate,
        "max_steps": epochs,
    }
    return all(str(value) == SETTINGS[name] for name, value in ours.items())
