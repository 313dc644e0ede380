"""What a watch is proposed to look at."""

from models.catalogue import load_default
from models.encoder import Encoder
from models.plan import Architecture
from models.watch_proposal import main_signals
from models.weights import initial_weights

ENCODER = Encoder(load_default())


def test_the_main_signals_are_those_with_the_most_weight():
    weights = initial_weights(Architecture(hidden=2), ENCODER, 0)
    place = ENCODER.columns[3]
    weights["wide.weight"][0, place.start : place.stop] = 5.0
    assert main_signals(ENCODER, weights, 3)[0] == ENCODER.catalogue.signals[3].id
