"""Ask a WAV file's question and write the spoken answer to another: python examples/ask.py question.wav answer.wav"""

import asyncio
import sys

import engine


async def main(question: str, answer: str) -> None:
    async with engine.connect(engine.WavFile(question, answer), instructions="Be brief.") as conversation:
        async for turn in conversation.turns():
            print(f"{turn.role}: {turn.text or '(speech)'}" + (" [interrupted]" if turn.interrupted else ""))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
