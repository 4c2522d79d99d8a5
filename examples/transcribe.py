"""Write down what is said in a WAV file: python examples/transcribe.py talk.wav

With OPENAI_API_KEY the service does. The server inside understands no speech; it has the words of a script, if you give
it one: engine.transcribe(..., responder="script:words.yaml").
"""

import asyncio
import sys

import engine


async def main(path: str) -> None:
    async with engine.transcribe(engine.WavFile(path), model="gpt-4o-transcribe-diarize") as transcript:
        async for line in transcript.lines():
            print(f"{line.start_s:6.1f}  {line.speaker}: {line.text or line.error}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
