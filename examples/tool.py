"""A tool and typed text: ask by text, let the model call a function, hear the reply: python examples/tool.py

The server inside plays a model that wants to know the weather; with OPENAI_API_KEY a real one does.
"""

import asyncio

import numpy as np

import engine
from engine.server.responders.script import Script

BRAIN = {
    "rules": [
        {"match": {"turn": 1}, "do": [{"call": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
        {"match": {"tool": "get_weather"}, "do": [{"say": "In Paris: {output}"}]},
    ]
}


@engine.tool
async def get_weather(city: str) -> dict[str, str]:
    """The weather in a city.

    Args:
        city: Its name in English.
    """
    return {"city": city, "weather": "rain"}


async def main() -> None:
    endpoint = engine.Memory(np.zeros(24000 * 6, dtype=np.int16), 24000)
    async with engine.connect(endpoint, tools=[get_weather], responder=Script(BRAIN)) as conversation:
        conversation.say("What is the weather in Paris?")
        async for turn in conversation.turns():
            if turn.text:
                print(f"{turn.role}: {turn.text}")


if __name__ == "__main__":
    asyncio.run(main())
