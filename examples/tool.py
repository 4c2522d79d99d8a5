"""A tool and typed text: ask by text, answer the model's function call, hear the reply: python examples/tool.py

The server inside plays a model that wants to know the weather; with OPENAI_API_KEY a real one does.
"""

import asyncio
import json

import numpy as np

import engine
from engine import events
from engine.conversation import Conversation
from engine.server.responders.script import Script

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
BRAIN = {
    "rules": [
        {"match": {"turn": 1}, "do": [{"call": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
        {"match": {"tool": "get_weather"}, "do": [{"say": "In Paris: {output}"}]},
    ]
}


async def answer_calls(conversation: Conversation) -> None:
    """Answer every function call with its result; then, and only then, ask for the reply."""
    async for event in conversation.events():
        if isinstance(event, events.ResponseFunctionCallArgumentsDone):
            city = json.loads(event.arguments)["city"]
            output = json.dumps({"city": city, "weather": "rain"})
            item = {"type": "function_call_output", "call_id": event.call_id, "output": output}
            conversation.send(events.ConversationItemCreate(item=item))
            conversation.send(events.ResponseCreate())


async def main() -> None:
    silence = np.zeros(24000 * 6, dtype=np.int16)
    endpoint = engine.Memory(silence, 24000)
    async with engine.connect(endpoint, session={"tools": [WEATHER]}, responder=Script(BRAIN)) as conversation:
        text = {"type": "input_text", "text": "What is the weather in Paris?"}
        item = {"type": "message", "role": "user", "content": [text]}
        conversation.send(events.ConversationItemCreate(item=item))
        conversation.send(events.ResponseCreate())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(answer_calls(conversation))
            async for turn in conversation.turns():
                if turn.text:
                    print(f"{turn.role}: {turn.text}")


if __name__ == "__main__":
    asyncio.run(main())
