"""Answer the telephone: uvicorn phone_call:app, with OPENAI_API_KEY and OPENAI_WEBHOOK_SECRET in the environment."""

from engine import calls, events

SESSION = {"model": "gpt-realtime", "instructions": "You answer the telephone of a bakery. Be brief and kind."}


async def answer(call: calls.Incoming) -> None:
    async with call.answer(SESSION) as conversation:
        conversation.send(events.ResponseCreate())  # the model speaks first
        async for turn in conversation.turns():
            print(f"{call.call_id} {turn.role}: {turn.text}", flush=True)


app = calls.CallApp(answer)
