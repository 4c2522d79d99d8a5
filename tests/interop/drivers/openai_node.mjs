// The official npm package over ws, which is always encrypted: raw events, played and truncated by the application.

import { INSTRUCTIONS, KEY, MODEL, TOOL, Talk, URL_, WEATHER, load, tell } from './common.mjs';

const { default: OpenAI } = await load('openai');
const { OpenAIRealtimeWS } = await load('openai/realtime/ws');

const socket = new OpenAIRealtimeWS({ model: MODEL }, new OpenAI({ apiKey: KEY, baseURL: URL_ }));
const talk = new Talk(() => socket.send({ type: 'conversation.item.retrieve', item_id: talk.cut }));

socket.on('session.created', () => {
  socket.send({
    type: 'session.update',
    session: {
      type: 'realtime',
      instructions: INSTRUCTIONS,
      tools: [TOOL],
      audio: {
        input: { transcription: { model: 'gpt-4o-mini-transcribe' }, turn_detection: { type: 'server_vad' } },
        output: { voice: 'marin' },
      },
    },
  });
  talk.microphone.start((frame) =>
    socket.send({ type: 'input_audio_buffer.append', audio: frame.toString('base64') }),
  );
});
socket.on('session.updated', (event) => {
  tell('session', { voice: event.session.audio.output.voice });
  talk.say('greeting');
});
socket.on('response.created', () => talk.began());
socket.on('response.output_audio.delta', (event) => talk.sound(event.item_id, Buffer.from(event.delta, 'base64')));
socket.on('response.output_audio_transcript.delta', (event) => (talk.answer.text += event.delta));
socket.on('conversation.item.input_audio_transcription.completed', (event) =>
  tell('user', { text: event.transcript }),
);
socket.on('input_audio_buffer.speech_started', () => {
  const heard = talk.interrupted();
  if (heard !== undefined) {
    socket.send({ type: 'conversation.item.truncate', item_id: talk.cut, content_index: 0, audio_end_ms: heard });
  }
});
socket.on('response.function_call_arguments.done', (event) => {
  tell('tool', { name: event.name, arguments: JSON.parse(event.arguments) });
  const item = { type: 'function_call_output', call_id: event.call_id, output: WEATHER };
  socket.send({ type: 'conversation.item.create', item });
});
socket.on('response.done', (event) => {
  talk.ended({ status: event.response.status });
  if (talk.answers === 2) socket.send({ type: 'response.create' });
});
socket.on('conversation.item.retrieved', (event) => {
  tell('retrieved', { item: event.item.id });
  talk.microphone.stop();
  socket.close();
  tell('end');
});
socket.on('error', (error) => tell('error', { message: error.message }));
