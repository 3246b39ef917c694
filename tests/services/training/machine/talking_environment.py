"""An environment for the ranks of ``rank_driver``: it talks as often as a turn has an odd number of letters."""


class Talk:
    def __init__(self, question):
        self.question = question

    def reply(self, turn):
        return "1" if len(turn) % 2 else None


def turns(rollout):
    return float(len(rollout.turns))
