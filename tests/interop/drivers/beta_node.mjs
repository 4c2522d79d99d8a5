// openai-realtime-api, which speaks the older dialect: it keeps the conversation and calls the tool; playing and
// interrupting are the application's. It hands over items, not deltas of words.

import { INSTRUCTIONS, KEY, MODEL, TOOL, Talk, URL_, WEATHER, load, tell } from './common.mjs';

const { RealtimeClient } = await load('openai-realtime-api');

const client = new RealtimeClient({
  url: URL_,
  apiKey: KEY,
  model: MODEL,
  sessionConfig: {
    instructions: INSTRUCTIONS,
    voice: 'alloy',
    input_audio_transcription: { model: 'whisper-1' },
    turn_detection: { type: 'server_vad' },
  },
});
const talk = new Talk(() => client.realtime.send('conversation.item.retrieve', { item_id: talk.cut }));
const { type: _, ...tool } = TOOL;
client.addTool(tool, async (given) => {
  tell('tool', { name: TOOL.name, arguments: given });
  return WEATHER;
});

client.on('conversation.updated', ({ item, delta }) => {
  if (item.role !== 'assistant') return;
  if (delta?.audio) {
    const { buffer, byteOffset, byteLength } = new Uint8Array(delta.audio.buffer ?? delta.audio);
    talk.sound(item.id, Buffer.from(buffer, byteOffset, byteLength));
  }
  talk.answer.text = item.formatted.transcript;
});
client.on('conversation.interrupted', () => {
  const heard = talk.interrupted();
  if (heard !== undefined) client.cancelResponse(talk.cut, heard * 24);
});
client.on('error', (event) => tell('error', { message: JSON.stringify(event) }));
client.realtime.on('server.error', (event) => tell('error', { message: JSON.stringify(event.error) }));
client.realtime.on('server.response.created', () => talk.began());
client.realtime.on('server.response.done', (event) => talk.ended({ status: event.response.status }));
client.realtime.on('server.conversation.item.input_audio_transcription.completed', (event) =>
  tell('user', { text: event.transcript }),
);
client.realtime.on('server.conversation.item.retrieved', (event) => {
  tell('retrieved', { item: event.item.id });
  talk.microphone.stop();
  client.disconnect();
  tell('end');
});

await client.connect();
await client.waitForSessionCreated();
talk.microphone.start((frame) =>
  client.appendInputAudio(frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.byteLength)),
);
talk.say('greeting');
