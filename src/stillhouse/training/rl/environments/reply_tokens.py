"""Replies of an environment -> the tokens that a model reads between two of its turns."""

from stillhouse.errors import EngineFailed
from stillhouse.models.chat_formats import ChatFormat, ResponsePart, rendered

CUT = "\n[cut]"
"""Ends what is shown of a long reply."""
_TURN, _REPLY = "stillhouse-own-turn", "stillhouse-reply"


class ReplyTokens:
    """Writes replies as the chat template writes a user's message, with the prompt for the model's next turn."""

    def __init__(self, chat: ChatFormat, most: int) -> None:
        """``most``: tokens of a reply. Raises EngineFailed if the template does not take several turns."""
        self._chat, self._most = chat, most
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _TURN}, {"role": "user", "content": _REPLY}]
        _, _, after_turn = rendered(chat.tokenizer, messages, prompt=True).partition(_TURN)
        _, ended, suffix = after_turn.partition(chat.end_token)
        self._head, found, self._tail = suffix.partition(_REPLY)
        if not (ended and found):
            msg = "environment: the chat template writes no second question after an answer; set chat_template to one that does"
            raise EngineFailed(msg)

    def ids(self, reply: str) -> list[int]:
        """The tokens after the end of the model's turn: what the template writes there, the reply, and the next turn's prompt.

        The text of a special token in the reply is read as any other text: a tool cannot end the model's turn.
        """
        shown = self.shown(reply)
        if not any(special in shown for special in self._chat.special_tokens):
            # Behind the token that ends the turn, as the template has it: some of these swallow white space.
            end, *ids = self._chat.ids(f"{self._chat.end_token}{self._head}{shown}{self._tail}")
            if end == self._chat.end_id:
                return ids
        parts = [ResponsePart(self._head), ResponsePart(shown, is_content=True), ResponsePart(self._tail)]
        return [token for part in parts if part.text for token in self._chat.continued(part)]

    def shown(self, reply: str) -> str:
        """The reply, or as many of its first tokens as it may have."""
        ids = self._chat.ids(reply)
        return reply if len(ids) <= self._most else f"{self._chat.tokenizer.decode(ids[: self._most])}{CUT}"
