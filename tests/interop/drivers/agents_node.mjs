// @openai/agents-realtime over a WebSocket: its session calls the tool, asks for the answer and truncates.

import { INSTRUCTIONS, KEY, MODEL, TOOL, Talk, URL_, WEATHER, load, tell } from './common.mjs';

const { RealtimeAgent, RealtimeSession, tool } = await load('@openai/agents-realtime');

const weather = tool({
  name: TOOL.name,
  description: TOOL.description,
  parameters: TOOL.parameters,
  execute: async (given) => {
    tell('tool', { name: TOOL.name, arguments: given });
    return WEATHER;
  },
});
const agent = new RealtimeAgent({ name: 'desk', instructions: INSTRUCTIONS, tools: [weather] });
const session = new RealtimeSession(agent, { transport: 'websocket', model: MODEL });
const talk = new Talk(() => {
  talk.microphone.stop();
  for (const item of session.history) {
    if (item.type === 'message') {
      tell('history', { role: item.role, text: item.content.map((part) => part.transcript ?? '').join(' ') });
    }
  }
  session.close();
  tell('end');
});

const told = new Set();
session.on('history_updated', (history) => {
  for (const item of history) {
    const text = item.role === 'user' && item.content.map((part) => part.transcript ?? '').join('');
    if (text && !told.has(item.itemId)) {
      told.add(item.itemId);
      tell('user', { text });
    }
  }
});
session.on('audio', (event) => talk.sound(event.responseId, Buffer.from(event.data)));
session.on('audio_interrupted', () => talk.interrupted());
session.on('error', (event) => tell('error', { message: JSON.stringify(event.error) }));
session.transport.on('turn_started', () => talk.began());
session.transport.on('audio_transcript_delta', (event) => (talk.answer.text += event.delta));
session.transport.on('turn_done', () => talk.ended());

await session.connect({ apiKey: KEY, url: URL_ });
talk.microphone.start((frame) =>
  session.sendAudio(frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.byteLength)),
);
talk.say('greeting', 0.3);
